import ArgumentParser
import HostModel
import Hosts
import Migration
import Operations
import Reporting

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Move a running domain to another host that shares no storage.",
        discussion: """
            The domain is stopped three times for a few seconds: to put DRBD below its disks, to hand it over, and to take \
            DRBD away again. Between the first and the second its disks are synchronised while it runs. Until the \
            hand-over every failure, Ctrl-C included, leads back to this host.

            \(ExitCodeHelp.migrating)
            """)

    @Argument(help: "The domain, as 'xl list' names it.")
    var domain: String

    @Option(name: .customLong("to"), help: "The target host, as ssh reaches it.")
    var target: String

    @Option(help: "When DRBD is taken off the target: late (a third freeze) or early (within the second).")
    var settle = Settle.late

    @Flag(help: "Compare every block before the hand-over, and checksums during it; this lengthens the second freeze.")
    var verify = false

    @Option(help: "The most that the synchronisation may copy in a second, such as 50M.")
    var bandwidth: String?

    @Option(name: .customLong("target-vg"), help: "The volume group for the target's volumes; the source's by default.")
    var targetGroup: String?

    @Flag(help: "Remove the source's volumes at the end.")
    var removeSource = false

    @Flag(name: .shortAndLong, help: "Tell every command that is run on this host, and how long it took.")
    var verbose = false

    @Flag(help: "Print every command and change that would be made, and change nothing.")
    var dryRun = false

    @Option(help: "The form in which --dry-run prints: table, which is text here, or json.")
    var format = OutputFormat.table

    enum Settle: String, ExpressibleByArgument, CaseIterable { case late, early }

    func run() async throws {
        try await reporting {
            let request = try request()
            let runner = try MigrationRunner(tellsCommands: verbose)
            return dryRun ? try await runner.explain(request, format) : try await runner.start(request)
        }
    }

    private func request() throws -> MigrationRequest {
        let limit = try bandwidth.map(SizeArgument.bandwidth)
        return MigrationRequest(
            domain: try DomainName(domain), target: try HostName(target),
            plan: MigrationPlan(settlement: settle == .late ? .late : .early, comparesCopies: verify),
            verifies: verify, bandwidth: limit, targetGroup: try targetGroup.map { try VolumeGroupName($0) },
            removesSource: removeSource)
    }
}

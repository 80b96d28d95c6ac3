import ArgumentParser
import HostModel
import Hosts
import Migration
import Operations
import Reporting

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Move a running domain to another host, with its disks or without.",
        discussion: """
            DRBD is put below the domain's disks, which are synchronised while it runs; the domain is handed over, and DRBD \
            is taken away again. The hand-over stops the domain for a few seconds. Putting DRBD there and taking it away \
            does so too (three-freeze), unless each disk has a switch ('xenlvs domain prepare'), by which it can be swapped \
            below the running domain. Xen then hands it over while it runs (live), or it is saved, sent and restored \
            (one-freeze). With cold it is shut down first, and started on the target \
            from the configuration there, /etc/xen/DOMAIN.cfg. Disks that both hosts have ('xenlvs share') are not \
            copied: the domain alone moves, live where Xen can. Until the hand-over every failure, Ctrl-C included, leads back to this \
            host.

            \(ExitCodeHelp.migrating)
            """)

    @Argument(help: "The domain, as 'xl list' names it.")
    var domain: String

    @Option(name: .customLong("to"), help: "The target host, as ssh reaches it.")
    var target: String

    @Option(
        help:
            "How: live, one-freeze, three-freeze, cold, or auto: what stands still the least of what both hosts can do."
    )
    var method = Method.auto

    @Option(help: "When three-freeze takes DRBD off the target: late (a third freeze) or early (within the second).")
    var settle = Settle.late

    @Flag(help: "Compare every block before the hand-over, and checksums during it; this lengthens the second freeze.")
    var verify = false

    @Option(help: "The most that the synchronisation may copy in a second, such as 50M.")
    var bandwidth: String?

    @Option(
        help: """
            How the bulk of the disks is copied: stream (past DRBD, from a snapshot, compressed and without what is empty; DRBD \
            then copies what has changed), replica (by DRBD), or auto: stream for thin volumes and where the link, or \
            --bandwidth, is up to 100 Mbit/s (12.5 MB/s).
            """)
    var seed = SeedChoice.Wish.auto

    @Option(name: .customLong("target-vg"), help: "The volume group for the target's volumes; the source's by default.")
    var targetGroup: String?

    @Flag(help: "Remove the source's volumes at the end. Refused where they have snapshots or checkpoints.")
    var removeSource = false

    @Flag(name: .shortAndLong, help: "Tell every command that is run on this host, and how long it took.")
    var verbose = false

    @Flag(help: "Print every command and change that would be made, and change nothing.")
    var dryRun = false

    @Option(help: "The form in which --dry-run prints: table, which is text here, or json.")
    var format = OutputFormat.table

    enum Settle: String, ExpressibleByArgument, CaseIterable { case late, early }

    enum Method: String, ExpressibleByArgument, CaseIterable {
        case auto
        case threeFreeze = "three-freeze"
        case oneFreeze = "one-freeze"
        case live
        case cold
    }

    func validate() throws {
        if method == .oneFreeze || method == .live || method == .cold, settle == .early {
            throw ValidationError("--settle early is for three-freeze: the others take DRBD away without a freeze.")
        }
    }

    func run() async throws {
        try await reporting {
            let request = try request()
            let runner = try MigrationRunner(tellsCommands: verbose)
            return dryRun ? try await runner.explain(request, format) : try await runner.start(request)
        }
    }

    private func request() throws -> MigrationRequest {
        let limit = try bandwidth.map(SizeArgument.bandwidth)
        var request = MigrationRequest(
            domain: try DomainName(domain), target: try HostName(target),
            method: MigrationPlan.Method(rawValue: method.rawValue), settlement: settle == .late ? .late : .early,
            verifies: verify, bandwidth: limit, targetGroup: try targetGroup.map { try VolumeGroupName($0) },
            removesSource: removeSource)
        request.seed = seed
        return request
    }
}

extension SeedChoice.Wish: ExpressibleByArgument {}

import ArgumentParser
import HostModel
import Operations
import Reporting

struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover", abstract: "Put links and switches back after a boot, and say what is left to do.",
        discussion: """
            Run by xenlvs-recover.service before guests are started, which leaves the attachments to \
            xenlvs-attach.service. Links and switches are put back as by 'xenlvs link repair', and a switch that was left suspended goes on; for each \
            open migration one line tells where it stands and what to type; saved images of earlier boots, which are never \
            restored, are named. Attached targets are looked for, all together no longer than --wait says, and get their \
            link only where they are what is recorded of them. A checkpoint that was cut off is removed, and its domain, where it still stands still for it, runs on; one that \
            'domain prepare --now' has saved, and that was cut off in the same boot, is restored. No other domain is started, unpaused or destroyed, and no replica is attached: 'xenlvs migration resume' does that, \
            together with the other host.

            Exit codes: 0 all links are right; 1 failed; 4 something is left for the operator, or the journal cannot be \
            read; 5 all is right but for volumes that another command has; 64 usage.
            """)
    @Option(
        help: ArgumentHelp("How long to wait for attached targets, up to 600; 0 leaves them out.", valueName: "seconds")
    )
    var wait = 60
    @OptionGroup var output: FormatOption

    func run() async throws {
        try await reporting {
            let limit = try TimeArgument.limit(wait, in: 0...600)
            let report = try await BootRecovery(host: try ThisHost.open()).run(
                waitingForTargets: wait == 0 ? nil : limit)
            switch output.format {
            case .json: Console.result(try PrettyJSON.encode(report))
            case .table:
                try output.show(report.links)
                for domain in report.domains { Console.result(domain.line) }
                for migration in report.migrations { Console.result(migration.line) }
                for path in report.earlierImages {
                    Console.result("saved image of an earlier boot, never to be restored: \(path)")
                }
            }
            let status = LinkRepairRow.exitStatus(of: report.links)
            return report.domains.contains(where: \.needsOperator) ? .needsRecovery : status
        }
    }
}

extension LinkRepairRow {
    /// How a command ends that has repaired these links.
    static func exitStatus(of rows: [LinkRepairRow]) -> ExitStatus {
        if rows.contains(where: \.needsOperator) { return .needsRecovery }
        return rows.contains { $0.result == .busy } ? .busy : .done
    }
}

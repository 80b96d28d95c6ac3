import ArgumentParser
import FoundationEssentials
import HostModel
import ISCSI
import ISCSIHost
import Operations

/// The file that says what a host is to serve.
enum ExportFile {
    private static let sizeLimit = 8 << 20

    static func read(_ path: String, _ host: HostContext) throws -> ISCSIState {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure(.notFound, "cannot read \(path)", why: "there is no such file, or it cannot be read")
        }
        guard data.count <= sizeLimit else { throw Failure(.usage, "cannot read \(path)", why: "it is too large") }
        return try ExportDocument.parse(String(decoding: data, as: UTF8.self), path: path) { volume throws(Failure) in
            try ISCSIExport.standardTarget(of: volume, on: host.name)
        }
    }

    static let help: ArgumentHelp = ArgumentHelp("The YAML file with all iSCSI exports.", valueName: "file")
}

struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Make this host's iSCSI exports be what a file says.",
        discussion: """
            The file holds all iSCSI exports of the host: one that is not in it is ended. Only what differs is changed, \
            and sessions of other exports are not disturbed; 'xenlvs plan' shows the changes before. Where any entry is \
            wrong nothing is changed. --recorded brings back what was last asked for, as at boot: exports that cannot be \
            served now are told and left out.

            Exit codes: 0 done, or nothing to do; 1 refused or failed, nothing changed, or with --recorded some exports \
            left out; 3 changed in part: repeat it; 4 the record of exports cannot be read; 5 a domain or an initiator \
            has a volume; 6 no such volume or file; 64 usage.
            """)
    @Option(name: .shortAndLong, help: ExportFile.help) var file: String?
    @Flag(help: "Bring back what was last asked for.") var recorded = false
    @Flag(help: "End sessions that are in the way, after what is under way on them.") var drain = false
    @OptionGroup var patience: KernelPatience

    func validate() throws {
        guard (file != nil) != recorded else { throw ValidationError("Give either --file or --recorded.") }
    }

    func run() async throws {
        try await reporting {
            let host = try ThisHost.open()
            let wanted = try file.map { try ExportFile.read($0, host) }
            var manner = ISCSIExporter.Manner()
            (manner.drains, manner.limit) = (drain, try patience.limit)
            manner.isTolerant = recorded
            let outcome = try await host.iSCSIExporter.apply(manner) { state in
                if let wanted { state = wanted }
            }
            for failure in outcome.failures { Console.say("xenlvs: " + failure.detailedDescription) }
            let count = outcome.orders.count
            Console.result(count == 0 ? "nothing to do" : count == 1 ? "1 change done" : "\(count) changes done")
            return outcome.failures.isEmpty ? .done : .failed
        }
    }
}

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show what 'xenlvs apply' would do, one change a line.",
        discussion: """
            Nothing is changed. Without a file it is shown what would bring back what was last asked for. Secrets are \
            not shown. Sessions that would be ended are told.

            Exit codes: 0 done; 1 apply would be refused; 4 the record of exports cannot be read; 5 a domain has a \
            volume; 6 no such volume or file; 64 usage.
            """)
    @Option(name: .shortAndLong, help: ExportFile.help) var file: String?

    func run() async throws {
        try await reporting {
            let host = try ThisHost.open()
            let wanted = try file.map { try ExportFile.read($0, host) }
            let plan = try await host.iSCSIExporter.plan(wanted)
            for session in plan.changes.flatMap(\.endedSessions) {
                Console.say("warning: ends the session of \(session.initiator)")
            }
            if plan.isEmpty {
                Console.say("nothing to do")
            } else {
                // In one piece: a hundred new exports are two thousand lines.
                Console.result(plan.orders.map(\.description).joined(separator: "\n"))
            }
            return .done
        }
    }
}

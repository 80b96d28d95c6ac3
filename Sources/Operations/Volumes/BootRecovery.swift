import HostModel
import Hosts
import Migration
import Reporting
import Storage

/// An open migration, and what can be typed about it.
public struct OpenMigrationAdvice: Sendable, Encodable, Equatable {
    public var id: String
    public var domain: String
    /// This host's side.
    public var role: Role
    /// Where it stands: `stopped in synchronise`.
    public var state: String
    /// What was lost with an earlier boot, or who has to be asked; nil where there is nothing to say.
    public var why: String?
    /// The commands that go on from here, the likelier first.
    public var commands: [String]

    /// All of it in one line.
    public var line: String {
        "migration \(id) of \(domain) (\(role.rawValue)): \(state)" + (why.map { "; \($0)" } ?? "") + ": "
            + commands.joined(separator: ", or ")
    }

    /// - Parameters:
    ///   - isDecided: the decision stands in this host's journal.
    ///   - isMemoryLost: the guest was saved, or let run, in an earlier boot of this host and not in this one.
    init(_ report: MigrationReport, _ role: Role, isDecided: Bool, isMemoryLost: Bool) {
        id = report.id.text
        domain = report.domain.text
        self.role = role
        let place = report.phases.last.map { " in \($0.phase.title)" } ?? ""
        state = (report.outcome.state == .running ? "left" : "stopped") + place
        let (resume, abort) = ("xenlvs migration resume \(id)", "xenlvs migration abort \(id)")
        let resolve = "xenlvs migration resolve \(id) --fenced"
        if let dead = report.declaredDead {
            why = "\(dead) was declared dead"
            commands = ["\(resolve) \(dead)"]
            return
        }
        switch (role, isDecided, isMemoryLost) {
        case (.source, false, true):
            why = "the domain was lost when this host was restarted"
            commands = [abort]
        case (.source, false, false): commands = [resume, abort]
        case (.source, true, _):
            why = "the domain belongs to \(report.target)"
            commands = [resume]
        case (.target, _, _):
            why = (isDecided ? "the domain belongs to this host; " : "") + "\(report.source) drives it"
            commands = [resume, "if that host is lost for good \(resolve) \(report.source)"]
        }
    }
}

/// What a host does about its own things when it has been started: links, and nothing that could let a guest run, but for one
/// that a checkpoint or a bracket, cut off, has left stopped or away.
///
/// No replica is put back either. To connect one takes the shared secret, which only the coordinator of a run has; attached
/// without a connection it would replicate nothing and keep the volume from its guest. `migration resume` does both.
public struct BootRecovery: Sendable {
    public struct Report: Sendable, Encodable {
        public var links: [LinkRepairRow]
        /// Domains that a killed run had stopped or taken away, and what was done about them.
        public var domains: [DomainRepair]
        public var migrations: [OpenMigrationAdvice]
        /// Saved images of earlier boots, by path. They are never restored.
        public var earlierImages: [String]
    }

    private let host: HostContext

    public init(host: HostContext) { self.host = host }

    /// - Parameter limit: how long to wait for the targets of attachments, all of them together; nil leaves them out.
    public func run(waitingForTargets limit: Duration?) async throws -> Report {
        let links = try await LinkKeeper(host: host).repairAll(waitingForTargets: limit)
        let worker = HostWorker(host: host, version: Version.text)
        let domains =
            try await CheckpointManager(worker: worker).recover() + DomainBracket(worker: worker).recover()
        return Report(
            links: links, domains: domains, migrations: try advice(),
            earlierImages: try host.images.ofEarlierBoots())
    }

    private func advice() throws -> [OpenMigrationAdvice] {
        let reports = MigrationReports(host: host)
        return try host.database.migrations(openOnly: true).map { record in
            let id = try MigrationID(record.id)
            return OpenMigrationAdvice(
                try reports.report(id), record.role == .source ? .source : .target, isDecided: record.decided,
                isMemoryLost: try host.images.areOfAnEarlierBoot(id))
        }
    }
}

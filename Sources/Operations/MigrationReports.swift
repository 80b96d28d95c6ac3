import HostModel
import Hosts
import Migration
import Reporting

/// The reports of the migrations in this host's journal.
public struct MigrationReports: Sendable {
    private let host: HostContext

    public init(host: HostContext) { self.host = host }

    /// Throws `.notFound`, or what makes the journal unreadable.
    public func report(_ id: MigrationID) throws -> MigrationReport {
        try report(try host.database.migration(id.text))
    }

    /// The newest first.
    public func all() throws -> [MigrationReport] { try host.database.migrations().map(report) }

    private func report(_ record: MigrationRecord) throws -> MigrationReport {
        let spec = try JSONText.decode(MigrationSpec.self, from: record.spec, what: "migration \(record.id)")
        let history = try CoordinatorJournal.history(spec.id, in: host.database)
        return MigrationReport(spec: spec, events: history, now: HostContext.now())
    }
}

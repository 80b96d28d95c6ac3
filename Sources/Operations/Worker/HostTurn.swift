import HostModel
import Hosts
import Migration

/// Keeps apart what two runs of one migration want of this host. An agent whose coordinator has died goes on with what it is
/// at; the next run waits until that has ended, and finds what came of it.
enum HostTurn {
    enum Work: String {
        case step
        case image
    }

    /// Runs `body` when nobody else on this host is at such work for the migration. Throws `.busy` where that takes longer than
    /// `limit`.
    static func take<Result>(
        _ work: Work, of id: MigrationID, on host: HostContext, limit: Duration, _ body: () async throws -> Result
    ) async throws -> Result {
        try PrivateDirectory.prepare(host.paths.run)
        let lock = try await lock("\(host.paths.run)/\(work.rawValue)-\(id).lock", of: id, limit: limit)
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    /// One start of a migration from or to this host; waits for the others. Released with the value.
    static func start(on host: HostContext) async throws -> FileLock {
        try PrivateDirectory.prepare(host.paths.run)
        return try await .waiting(
            path: "\(host.paths.run)/start.lock", purpose: "the start of another migration", limit: .seconds(120))
    }

    private static func lock(_ path: String, of id: MigrationID, limit: Duration) async throws -> FileLock {
        let deadline = ContinuousClock.now + limit
        while true {
            do { return try FileLock(path: path, purpose: "migration \(id)") } catch let failure as Failure {
                guard failure.code == .busy, ContinuousClock.now < deadline else { throw failure }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}

import HostModel
import Hosts
import Migration
import Replication
import Storage

/// A replica on this host, as its kernel reports it.
public struct ReplicaSummary: Sendable, Encodable {
    public var volume: VolumeName
    /// DRBD's name for it.
    public var resource: String
    /// `/dev/drbd0`.
    public var device: String?
    public var role: ReplicaRole
    public var disk: DiskState?
    /// In bytes; nil where the kernel does not say.
    public var size: ByteCount?
    public var connection: ConnectionState?
    public var peerRole: ReplicaRole?
    public var peerDisk: DiskState?
    public var replication: ReplicationState?
    /// What is known to differ between the copies, in bytes.
    public var outOfSync: ByteCount?
    /// Why writes are held back: `no`, or DRBD's reasons.
    public var suspended: String
    /// The open migration that it belongs to.
    public var migration: String?
    /// Why there is no connection, and what to do; nil where there is one.
    public var why: String?
    public var remedy: String?
    /// Where both copies were changed, or may have been: which host has which data, and the commands that keep one of them.
    public var splitBrain: SplitBrainReport?
}

/// Reads the state of the replicas on this host. Changes nothing.
public struct ReplicaCatalog: Sendable {
    private let host: HostContext

    public init(host: HostContext) { self.host = host }

    /// Every replica of xenlvs's on this host; none where DRBD is not loaded.
    public func all() async throws -> [ReplicaSummary] {
        guard let version = KernelFile.read(DRBDModule.versionFile) else { return [] }
        let commands = DRBDCommands(dialect: try DRBDDialect(moduleVersion: version))
        let statuses = try ReplicaStatus.parse(events2: try await host.runner.run(commands.statusOfAll).output)
        let migrations = try openMigrations()
        var summaries: [ReplicaSummary] = []
        for status in statuses {
            guard let volume = ReplicaDevice.volume(ofResource: status.resource) else { continue }
            var summary = ReplicaSummary(volume, status)
            let migration = migrations.first { migration in migration.spec.volumes.contains { $0.name == volume } }
            summary.migration = migration?.spec.id.text
            try await explain(status, of: migration, commands, in: &summary)
            summaries.append(summary)
        }
        return summaries
    }

    /// The replica of one volume. Throws `.notFound`.
    public func replica(of name: VolumeName) async throws -> ReplicaSummary {
        guard let summary = try await all().first(where: { $0.volume == name }) else {
            throw Failure(
                .notFound, "the volume '\(name)' has no replica on this host", remedy: "see 'xenlvs replica status'")
        }
        return summary
    }

    private func openMigrations() throws -> [RecordedMigration] {
        try host.database.migrations(openOnly: true).map { record in
            let spec = try JSONText.decode(MigrationSpec.self, from: record.spec, what: "migration \(record.id)")
            return RecordedMigration(record: record, spec: spec, role: record.role == .source ? .source : .target)
        }
    }

    /// The kernel says only in its log why two replicas are apart.
    private func explain(
        _ status: ReplicaStatus, of migration: RecordedMigration?, _ commands: DRBDCommands,
        in summary: inout ReplicaSummary
    ) async throws {
        guard let minor = status.volume?.minor, status.connection?.state != .connected else { return }
        let log = try await host.runner.run(.query(.dmesg)).output
        let explanation = StandAloneExplanation.explain(kernelLog: log, resource: status.resource, minor: minor)
        (summary.why, summary.remedy) = (explanation.sentence, explanation.remedy)
        // Without a migration there is no peer, as with a volume that a swap has put on a replica.
        let name = summary.volume
        guard let migration, let volume = migration.spec.volumes.first(where: { $0.name == name }) else { return }
        var evidence = SplitBrainEvidence(status, minor: minor, explanation.cause, kernelLog: log)
        guard evidence.isSuspicious else { return }
        let connection = try migration.spec.connection(of: volume, seenFrom: migration.role)
        let question = commands.dataGeneration(of: name, minor: minor, connection)
        // A replica without a disk has none; the rest is told all the same.
        evidence.generation = (try? await host.runner.run(question).output).flatMap { DataGeneration($0) }
        summary.splitBrain = try SplitBrainReport(of: volume, in: migration, commands.dialect, evidence)
    }
}

extension ReplicaSummary {
    init(_ volume: VolumeName, _ status: ReplicaStatus) {
        self.init(
            volume: volume, resource: status.resource, device: status.volume.map { "/dev/drbd\($0.minor)" },
            role: status.role, disk: status.volume?.disk, size: status.volume?.size,
            connection: status.connection?.state, peerRole: status.connection?.peerRole, peerDisk: status.peer?.disk,
            replication: status.peer?.replication, outOfSync: status.peer?.outOfSync, suspended: status.suspended)
    }
}

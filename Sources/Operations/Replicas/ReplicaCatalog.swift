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
        let migrations = try OpenMigration.all(in: host.database)
        var summaries: [ReplicaSummary] = []
        for status in statuses {
            guard let volume = ReplicaDevice.volume(ofResource: status.resource) else { continue }
            var summary = ReplicaSummary(volume, status)
            summary.migration = migrations.first { $0.volume(volume) != nil }?.id.text
            if let explanation = try await explanation(status) {
                (summary.why, summary.remedy) = (explanation.sentence, explanation.remedy)
            }
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

    /// The kernel says only in its log why two replicas are apart.
    private func explanation(_ status: ReplicaStatus) async throws -> StandAloneExplanation? {
        guard let minor = status.volume?.minor, status.connection?.state != .connected else { return nil }
        let log = try await host.runner.run(.query(.dmesg)).output
        return StandAloneExplanation.explain(kernelLog: log, resource: status.resource, minor: minor)
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

import HostModel
import Hosts
import Migration
import Replication

/// What there is to say of a replica whose two copies were changed independently of each other, or may have been.
public struct SplitBrainReport: Sendable, Equatable, Encodable {
    /// One of the two copies.
    public struct Copy: Sendable, Equatable, Encodable {
        public var host: HostName
        /// The current data generation as DRBD writes it; nil where this host does not know it.
        public var generation: String?
    }

    /// What is to be typed on a host.
    public struct Line: Sendable, Equatable, Encodable {
        public var host: HostName
        public var command: String
    }

    /// One of the two ways out.
    public struct Choice: Sendable, Equatable, Encodable {
        /// The host whose copy is kept.
        public var keeps: HostName
        /// For the host whose copy gives up what only it has, then for the other one.
        public var lines: [Line]
    }

    public var volume: VolumeName
    public var migration: MigrationID
    /// DRBD has refused to connect the copies. Otherwise nothing is known but that this one is Primary and alone.
    public var isCertain: Bool
    public var here: Copy
    /// With the generation that it had in the last attempt to connect.
    public var peer: Copy
    /// Both ways; the first keeps the copy of the host to which the domain belongs.
    public var choices: [Choice]

    // The volume and the migration stand beside it in a replica's summary.
    private enum CodingKeys: CodingKey { case isCertain, here, peer, choices }
}

/// What a host knows of a replica that is not connected.
struct SplitBrainEvidence {
    var status: ReplicaStatus
    var cause: StandAloneExplanation.Cause
    /// Of the attempt that DRBD has refused.
    var handshake: HandshakeGenerations?
    /// Of the copy here, from the kernel; nil where it does not say.
    var generation: DataGeneration?

    init(_ status: ReplicaStatus, minor: Int, _ cause: StandAloneExplanation.Cause, kernelLog: String) {
        self.status = status
        self.cause = cause
        // An earlier handshake tells what the peer's generation was then, and nothing of what it is.
        if cause.isSplitBrain {
            handshake = HandshakeGenerations(kernelLog: kernelLog, resource: status.resource, minor: minor)
        }
    }

    /// A Primary alone is what every migration's source is before it connects, so that one needs a closer look.
    var isSuspicious: Bool {
        cause.isSplitBrain || (status.role == .primary && status.connection?.state == .standAlone)
    }

    /// A copy that no peer has ever had cannot have been changed by one.
    var isPossible: Bool { cause.isSplitBrain || (isSuspicious && generation?.wasNeverCopied != true) }
}

extension SplitBrainReport {
    /// Nil where nothing speaks for a split brain.
    init?(
        of volume: VolumeSpec, in migration: RecordedMigration, _ dialect: DRBDDialect, _ evidence: SplitBrainEvidence
    ) throws {
        guard evidence.isPossible else { return nil }
        let (spec, role) = (migration.spec, migration.role)
        let commands = DRBDCommands(dialect: dialect)
        func line(on side: Role, givesUpOwn: Bool) throws -> Line {
            let connection = try spec.connection(of: volume, seenFrom: side)
            return Line(
                host: spec.endpoint(side).name,
                command: commands.reconnectAfterSplitBrain(
                    volume.name, minor: volume.minor(side), connection, givesUpOwn: givesUpOwn))
        }
        func choice(keeping side: Role) throws -> Choice {
            Choice(
                keeps: spec.endpoint(side).name,
                lines: [try line(on: side.peer, givesUpOwn: true), try line(on: side, givesUpOwn: false)])
        }
        let owner: Role = migration.record.decided ? .target : .source
        let own = evidence.generation?.current ?? evidence.handshake?.own
        self.init(
            volume: volume.name, migration: spec.id, isCertain: evidence.cause.isSplitBrain,
            here: Copy(host: spec.endpoint(role).name, generation: own.map { DataGeneration.text(of: $0) }),
            peer: Copy(
                host: spec.endpoint(role.peer).name,
                generation: (evidence.handshake?.peer).map { DataGeneration.text(of: $0) }),
            choices: [try choice(keeping: owner), try choice(keeping: owner.peer)])
    }
}

extension MigrationSpec {
    /// The connection of a volume's replica from one side, for commands that do without its secret.
    func connection(of volume: VolumeSpec, seenFrom role: Role) throws -> ReplicaConnection {
        ReplicaConnection(
            local: try node(role, port: volume.port), peer: try node(role.peer, port: volume.port), secret: .random())
    }
}

import HostModel
import Migration
import Replication
import Storage

/// What one host asks of another, or of itself. One JSON object a line on the agent's standard input.
///
/// Version 1. A request names everything it needs; the agent checks every name and path against what its own journal
/// knows before it acts.
public enum HostRequest: Sendable, Codable {
    /// First on every connection.
    case hello(protocolVersion: Int, host: String)
    /// What this host is and has.
    case survey(SurveyQuery)
    /// Performs one step of a migration on this side.
    case perform(StepOrder)
    /// The states of a migration's replicas, from the kernel.
    case replicas(MigrationID)
    /// Starts comparing the replica's blocks with the peer's.
    case verify(MigrationID, VolumeName, wholly: Bool)
    /// Disconnects and connects a replica, so that what a verification found is resynchronised.
    case reconnect(MigrationID, VolumeName, secret: SharedSecret)
    /// Why a replica stands alone, from the kernel's log.
    case explain(MigrationID, VolumeName)
    /// SHA-256 of the volume's bytes below DRBD. Nothing may be writing.
    case checksum(MigrationID, VolumeName)
    /// The coordinator's journal, so that either host can be asked.
    case mirror(MirrorUpdate)
    /// Something about disks that both hosts see, by the host that asks.
    case share(ShareOrder, by: HostName)
}

public enum HostReply: Sendable, Codable {
    case hello(HelloReply)
    case survey(HostSurvey)
    case performed(StepResult)
    case replicas([VolumeReplica])
    case explanation(String)
    case checksum(String)
    case share(ShareAnswer)
    case done
    case failed(Failure)
}

public struct HelloReply: Sendable, Codable, Equatable {
    public var protocolVersion: Int
    public var version: String
    /// The name the host calls itself.
    public var host: String
    /// Identifies the machine: `/etc/machine-id` or the boot's own; tells a host that is named twice.
    public var machine: String

    public init(protocolVersion: Int, version: String, host: String, machine: String) {
        self.protocolVersion = protocolVersion
        self.version = version
        self.host = host
        self.machine = machine
    }
}

/// One step to be performed, with all that the performing host must know.
public struct StepOrder: Sendable, Codable {
    public var step: Step
    public var role: Role
    public var spec: MigrationSpec
    /// The run of the coordinator; an order of an older run is refused.
    public var epoch: Int64
    /// For the steps that connect.
    public var secret: SharedSecret?
    /// Replicas that are not attached any more may be attached again: the coordinator has recorded that they were.
    public var mayAttachAgain = false
    /// For the steps that open the target's copy: what the source's kernel said just now.
    public var sourceReplicas: [VolumeReplica]?

    public init(
        step: Step, role: Role, spec: MigrationSpec, epoch: Int64, secret: SharedSecret? = nil,
        sourceReplicas: [VolumeReplica]? = nil
    ) {
        self.step = step
        self.role = role
        self.spec = spec
        self.epoch = epoch
        self.secret = secret
        self.sourceReplicas = sourceReplicas
    }
}

public struct StepResult: Sendable, Codable {
    /// Things an operator should know that are no failures.
    public var notes: [String]
    public var imageSize: ByteCount?
    /// When the domain was stopped, or let run, in this step.
    public var freezeBegan: HostMoment?
    public var freezeEnded: HostMoment?
    /// The domain was saved already, by an earlier run.
    public var foundSaved: Bool
    /// The domain was lost with this host's memory. Only a source says so, of itself: it does not cross the wire.
    var domainWasLost = false

    public init(notes: [String] = [], imageSize: ByteCount? = nil, foundSaved: Bool = false) {
        self.notes = notes
        self.foundSaved = foundSaved
        self.imageSize = imageSize
    }

    private enum CodingKeys: CodingKey { case notes, imageSize, freezeBegan, freezeEnded, foundSaved }

    /// Reads what another host says. Notes go into the journal: more of them than a step has to say are left out.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        notes = try values.decode([String].self, forKey: .notes).prefix(256).map(\.cutToForeignLength)
        imageSize = try values.decodeIfPresent(ByteCount.self, forKey: .imageSize)
        freezeBegan = try values.decodeIfPresent(HostMoment.self, forKey: .freezeBegan)
        freezeEnded = try values.decodeIfPresent(HostMoment.self, forKey: .freezeEnded)
        foundSaved = try values.decode(Bool.self, forKey: .foundSaved)
    }
}

/// A moment on the host that performs a step. It crosses the wire as the time that has passed since, because the hosts' clocks
/// need not agree.
public struct HostMoment: Sendable, Codable {
    private let moment: ContinuousClock.Instant

    public static var now: HostMoment { HostMoment(moment: .now) }

    private init(moment: ContinuousClock.Instant) { self.moment = moment }

    public var millisecondsAgo: Int64 { moment.duration(to: .now).milliseconds }

    public init(from decoder: any Decoder) throws {
        let ago = try decoder.singleValueContainer().decode(Int64.self)
        moment = .now - .milliseconds(max(0, min(ago, 86_400_000)))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(millisecondsAgo)
    }
}

/// A volume's replica as the kernel reports it.
public struct VolumeReplica: Sendable, Codable {
    public var volume: VolumeName
    /// Nil where DRBD has no such resource.
    public var status: ReplicaStatus?

    public init(volume: VolumeName, status: ReplicaStatus?) {
        self.volume = volume
        self.status = status
    }
}

/// A copy of the coordinator's journal.
public struct MirrorUpdate: Sendable, Codable {
    public var id: MigrationID
    public var epoch: Int64
    public var machine: MigrationMachine
    public var events: [MigrationEvent]

    public init(id: MigrationID, epoch: Int64, machine: MigrationMachine, events: [MigrationEvent]) {
        self.id = id
        self.epoch = epoch
        self.machine = machine
        self.events = events
    }
}

/// One line from the coordinator to the agent.
struct RequestLine: Codable {
    var id: Int
    var request: HostRequest
}

/// One line from the agent to the coordinator.
struct ReplyLine: Codable {
    var id: Int
    var reply: HostReply
    /// How long the agent worked, and how much of that was commands and waits.
    var totalMilliseconds: Int64
    var activeMilliseconds: Int64
}

public enum AgentProtocol {
    /// 2: images are sent as pieces, some of which the target has already. 3: empty lines from an agent that is not asked. 4: disks that
    /// hosts share. 5: volumes that are sent past DRBD. 6: a guest that runs on the target without a decision, which an older
    /// source would take for a lost connection, and go back.
    public static let version = 6
    /// A longer line is refused before it is parsed.
    public static let longestLine = 4 << 20
}

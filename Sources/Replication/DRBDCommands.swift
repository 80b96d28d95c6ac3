import HostModel

/// Builds every DRBD command that xenlvs runs, for the dialect of the loaded module. Executes nothing.
///
/// Sources: drbd-utils 9.22 (`user/v84/drbdsetup.c`, `user/v9/drbdsetup.c`, `config_flags.c`, `shared/drbdmeta.c`); the
/// command lines are compared with those of the real `drbdadm` in the tests.
public struct DRBDCommands: Sendable {
    public let dialect: DRBDDialect

    public init(dialect: DRBDDialect) { self.dialect = dialect }

    // MARK: Observing

    /// The state of one resource; nothing but the end mark is printed where it does not exist.
    public func status(_ device: ReplicaDevice) -> Command {
        .query(.drbdsetup, "events2", "--now", "--statistics", device.resource)
    }

    /// The states of all resources on the host.
    public var statusOfAll: Command { .query(.drbdsetup, "events2", "--now", "--statistics") }

    /// The data generation of an attached device, for `DataGeneration`. DRBD 9 answers for a peer it knows.
    public func dataGeneration(_ device: ReplicaDevice, _ connection: ReplicaConnection) -> Command {
        dataGeneration(of: device.volume, minor: device.minor, connection)
    }

    /// The same, for who does not know where the device's data and metadata are.
    public func dataGeneration(of volume: VolumeName, minor: Int, _ connection: ReplicaConnection) -> Command {
        switch dialect {
        case .v84: .query(.drbdsetup, "get-gi", "\(minor)")
        case .v9: Command(.drbdsetup, ["get-gi"] + peerDevice(of: volume, connection), .query)
        }
    }

    // MARK: Resource and device

    /// Idempotent on DRBD 8.4.
    public func newResource(_ device: ReplicaDevice, _ connection: ReplicaConnection) -> Command {
        switch dialect {
        case .v84: setUp(["new-resource", device.resource])
        case .v9:
            // By default DRBD 9 promotes a device as soon as anything opens it for writing.
            setUp(
                ["new-resource", device.resource, "\(connection.local.nodeID)"],
                [DRBDOption("auto-promote", "no"), DRBDOption("quorum", "off")])
        }
    }

    /// Makes `/dev/drbdN`. Idempotent on DRBD 8.4.
    public func newMinor(_ device: ReplicaDevice) -> Command {
        setUp(["new-minor", device.resource, "\(device.minor)", "\(ReplicaDevice.volumeNumber)"])
    }

    /// Attaches the data and the metadata. `applyActivityLog` has to come before, each time.
    public func attach(_ device: ReplicaDevice, _ tuning: ResyncTuning) -> Command {
        let fixed = [
            DRBDOption("size", "\(device.size.sectors)s"),
            DRBDOption("on-io-error", "detach"),
        ]
        return setUp(
            ["attach", "\(device.minor)", device.lowerPath, device.metadataPath, "flexible"],
            dialect == .v84 ? fixed + tuning.options : fixed)
    }

    public func detach(_ device: ReplicaDevice) -> Command { setUp(["detach", "\(device.minor)"]) }

    /// Secondary, disconnected, detached, and gone, in one step. Idempotent. Fails while the device is held open.
    public func down(_ device: ReplicaDevice) -> Command { setUp(["down", device.resource]) }

    /// Removes a minor that has no disk.
    public func deleteMinor(_ device: ReplicaDevice) -> Command { setUp(["del-minor", "\(device.minor)"]) }

    /// Removes a resource that has neither minors nor a connection.
    public func deleteResource(_ device: ReplicaDevice) -> Command { setUp(["del-resource", device.resource]) }

    /// Lets a replica that is not connected begin a new generation of data; the one before is what a peer may have that was
    /// filled by other means (drbdsetup-new-current-uuid(8), truck based replication). DRBD 8.4 only.
    /// - Parameter isClean: what the peer would be missing is forgotten: it is to get all there is.
    public func newGeneration(_ device: ReplicaDevice, isClean: Bool) -> Command {
        setUp(["new-current-uuid", "\(device.minor)"], isClean ? [DRBDOption("clear-bitmap", "yes")] : [])
    }

    // MARK: Roles

    /// Makes the copy Primary although DRBD knows no good data: once in the life of a replica, when its volume's data
    /// are taken over.
    public func primaryForcedOnce(_ proof: FreshMetadata) -> Command {
        setUp(["primary", roleTarget(proof.device), "--force"])
    }

    /// Makes the replica Primary. The permit is the proof that both copies are complete and the peer is Secondary.
    /// - Throws: `.refused` for a device that the permit does not speak of.
    public func primary(_ device: ReplicaDevice, _ permit: PromotionPermit) throws(Failure) -> Command {
        guard permit.covers(device) else {
            throw Failure(.refused, "will not promote \(device.resource)", why: "the permit is for other replicas")
        }
        return setUp(["primary", roleTarget(device)])
    }

    /// Makes the replica Primary beside its peer. Refused by DRBD unless two Primaries are allowed.
    /// - Throws: `.refused` for a device that the permit does not speak of.
    public func primary(_ device: ReplicaDevice, beside permit: WindowPermit) throws(Failure) -> Command {
        guard permit.covers(device) else {
            throw Failure(.refused, "will not promote \(device.resource)", why: "the permit is for other replicas")
        }
        return setUp(["primary", roleTarget(device)])
    }

    /// Fails while the device is held open; after it nothing can write through this device.
    public func secondary(_ device: ReplicaDevice) -> Command { setUp(["secondary", roleTarget(device)]) }

    // MARK: Building

    private func roleTarget(_ device: ReplicaDevice) -> String {
        switch dialect {
        case .v84: "\(device.minor)"
        case .v9: device.resource
        }
    }

    func peerDevice(_ device: ReplicaDevice, _ connection: ReplicaConnection) -> [String] {
        peerDevice(of: device.volume, connection)
    }

    private func peerDevice(of volume: VolumeName, _ connection: ReplicaConnection) -> [String] {
        [ReplicaDevice.resource(of: volume), "\(connection.peer.nodeID)", "\(ReplicaDevice.volumeNumber)"]
    }

    func setUp(_ words: [String], _ options: [DRBDOption] = []) -> Command {
        let secrets = options.indices.filter { options[$0].isSecret }.map { words.count + $0 }
        return Command(
            .drbdsetup, words + options.map(\.argument), .mutation, deadline: .seconds(120),
            secretArguments: Set(secrets))
    }
}

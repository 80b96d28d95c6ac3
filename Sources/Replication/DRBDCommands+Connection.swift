import HostModel

/// Connecting two replicas, and what runs over the connection.
extension DRBDCommands {
    /// Tells DRBD 9 of its peer, before the first `attach`; DRBD 8.4 learns of it in `connect`.
    public func definePeer(
        _ device: ReplicaDevice, _ connection: ReplicaConnection, _ tuning: ResyncTuning
    ) -> [Command] {
        switch dialect {
        case .v84: []
        case .v9:
            [
                setUp(
                    ["new-peer"] + peer(device, connection),
                    [DRBDOption("_name", connection.peer.host.text)] + connection.options),
                setUp(["new-path"] + peer(device, connection) + addresses(connection)),
                tune(device, connection, tuning),
            ]
        }
    }

    /// Lets the replica connect. It returns at once: whether a connection comes about, only the status tells, and why
    /// it does not, only the kernel's log (`StandAloneExplanation`).
    public func connect(_ device: ReplicaDevice, _ connection: ReplicaConnection) -> Command {
        switch dialect {
        case .v84: setUp(["connect", device.resource] + addresses(connection), connection.options)
        case .v9: setUp(["connect"] + peer(device, connection))
        }
    }

    /// Ends the connection. DRBD 8.4 answers "(162) unknown connection" where there is none, and "(-18) in transient
    /// state" while it is about to retry one: `DRBDRefusal.isTransient`, to be repeated.
    public func disconnect(_ device: ReplicaDevice, _ connection: ReplicaConnection) -> Command {
        switch dialect {
        case .v84: setUp(["disconnect"] + addresses(connection))
        case .v9: setUp(["disconnect"] + peer(device, connection))
        }
    }

    /// Changes the speed of the resync, while it runs as well. Other options stay.
    public func tune(_ device: ReplicaDevice, _ connection: ReplicaConnection, _ tuning: ResyncTuning) -> Command {
        switch dialect {
        case .v84: setUp(["disk-options", "\(device.minor)"], tuning.options)
        case .v9: setUp(["peer-device-options"] + peerDevice(device, connection), tuning.options)
        }
    }

    /// Lets both sides be Primary, or no longer, while connected. One side passes it on to the other.
    public func allowTwoPrimaries(
        _ device: ReplicaDevice, _ connection: ReplicaConnection, _ isAllowed: Bool
    ) -> Command {
        let option = [DRBDOption("allow-two-primaries", isAllowed ? "yes" : "no")]
        return switch dialect {
        case .v84: setUp(["net-options"] + addresses(connection), option)
        case .v9: setUp(["net-options"] + peer(device, connection), option)
        }
    }

    /// Starts to compare blocks with the peer; run it on the source. The range is always given: without it DRBD would
    /// go on where an earlier, broken-off verification stood (`drbd_adm_start_ov`, drbd_nl.c).
    public func verify(_ device: ReplicaDevice, _ connection: ReplicaConnection, _ range: VerifyRange) -> Command {
        let start = [DRBDOption("start", "\(range.start.sectors)s")]
        return switch dialect {
        case .v84: setUp(["verify", "\(device.minor)"], start)
        case .v9: setUp(["verify"] + peerDevice(device, connection), start)
        }
    }

    /// Makes DRBD 9 forget a peer that will not come back. DRBD 8.4 remembers none.
    public func forgetPeer(_ device: ReplicaDevice, _ connection: ReplicaConnection) -> [Command] {
        switch dialect {
        case .v84: []
        case .v9: [setUp(["del-peer"] + peer(device, connection)), setUp(["forget-peer"] + peer(device, connection))]
        }
    }

    private func peer(_ device: ReplicaDevice, _ connection: ReplicaConnection) -> [String] {
        [device.resource, "\(connection.peer.nodeID)"]
    }

    func addresses(_ connection: ReplicaConnection) -> [String] {
        [connection.local.address.argument, connection.peer.address.argument]
    }
}

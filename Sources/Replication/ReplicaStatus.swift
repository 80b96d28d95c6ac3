import HostModel

/// The state of one DRBD resource on one host, as its kernel reports it.
public struct ReplicaStatus: Sendable, Codable, Equatable {
    public var resource: String
    public var role: ReplicaRole
    /// Why writes are held back: `no`, or reasons such as `user`, `no-data`, `fencing`, `quorum`.
    public var suspended: String
    public var volumes: [Volume]
    public var connections: [Connection]

    /// A device of the resource.
    public struct Volume: Sendable, Codable, Equatable {
        public var number: Int
        public var minor: Int
        public var disk: DiskState
        /// Of the DRBD device; zero while nothing is attached, nil where the kernel does not say.
        public var size: ByteCount?
        /// Read from and written to the lower device since it was attached, resync and verification included.
        public var read: ByteCount?
        public var written: ByteCount?
        /// Whether enough hosts are connected to go on writing; nil on DRBD 8.4, which has no such rule.
        public var hasQuorum: Bool?
    }

    /// The connection to a peer. DRBD 8.4 shows one even where none is configured.
    public struct Connection: Sendable, Codable, Equatable {
        public var peerNodeID: Int
        public var state: ConnectionState
        public var peerRole: ReplicaRole
        public var congested: Bool
        public var peers: [PeerVolume]
    }

    /// A device's counterpart on the peer.
    public struct PeerVolume: Sendable, Codable, Equatable {
        public var number: Int
        public var replication: ReplicationState
        public var disk: DiskState
        /// Why the resync is paused: `no`, or reasons such as `user`, `peer`, `dependency`.
        public var resyncSuspended: String
        public var received: ByteCount?
        public var sent: ByteCount?
        /// What is known to differ between the copies; nil where the kernel does not say.
        public var outOfSync: ByteCount?
        /// Of a running resync or verification; DRBD 9 only.
        public var percentDone: Double?
    }

    /// The device of a replica, which has exactly one; nil for a resource of any other form.
    public var volume: Volume? { volumes.count == 1 ? volumes[0] : nil }
    /// The connection of a replica; nil where there is none, or more than one.
    public var connection: Connection? { connections.count == 1 ? connections[0] : nil }
    /// The peer's copy of a replica.
    public var peer: PeerVolume? { connection.flatMap { $0.peers.count == 1 ? $0.peers[0] : nil } }
}

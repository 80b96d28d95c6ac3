import HostModel

/// One end of a replica's connection.
public struct ReplicaNode: Sendable, Codable, Equatable {
    public var host: HostName
    /// DRBD 9's number of the host; the two ends differ. DRBD 8.4 has none.
    public var nodeID: Int
    public var address: ReplicaAddress

    public init(host: HostName, nodeID: Int, address: ReplicaAddress) {
        self.host = host
        self.nodeID = nodeID
        self.address = address
    }
}

/// The connection between the two replicas of a volume, seen from one of the hosts.
///
/// Protocol C always: a write is done when both hosts have it. After a split brain DRBD must never choose by itself
/// whose data to drop, so every such policy is `disconnect`.
public struct ReplicaConnection: Sendable, Codable, Equatable {
    public var local: ReplicaNode
    public var peer: ReplicaNode
    public var secret: SharedSecret
    /// Compare checksums before a block is sent in a resync: worth it where the target already holds an older copy,
    /// and slower where it is empty.
    public var comparesChecksums: Bool

    public init(local: ReplicaNode, peer: ReplicaNode, secret: SharedSecret, comparesChecksums: Bool = false) {
        self.local = local
        self.peer = peer
        self.secret = secret
        self.comparesChecksums = comparesChecksums
    }

    /// The digest that a verification compares blocks by, known to every kernel that has DRBD.
    static let verifyDigest = "sha1"
    /// The digest of the peers' authentication.
    static let authenticationDigest = "sha256"

    var options: [DRBDOption] {
        var options = [
            DRBDOption("protocol", "C"),
            DRBDOption("cram-hmac-alg", Self.authenticationDigest),
            DRBDOption("shared-secret", secret.text, isSecret: true),
            DRBDOption("verify-alg", Self.verifyDigest),
            DRBDOption("after-sb-0pri", "disconnect"),
            DRBDOption("after-sb-1pri", "disconnect"),
            DRBDOption("after-sb-2pri", "disconnect"),
            DRBDOption("rr-conflict", "disconnect"),
            DRBDOption("max-buffers", "8000"),
            DRBDOption("max-epoch-size", "8000"),
        ]
        if comparesChecksums { options.append(DRBDOption("csums-alg", Self.verifyDigest)) }
        return options + Self.timeouts
    }

    /// The settings that a person has to type for a connection like this one: without the secret, which is kept nowhere, and
    /// without `disconnect` after a split brain, which is DRBD's own default.
    var typedOptions: [DRBDOption] {
        options.filter { !["cram-hmac-alg", "shared-secret"].contains($0.name) && $0.value != "disconnect" }
    }

    /// In DRBD's units: tenths of a second for what ends in "timeout", else seconds.
    ///
    /// A guest's writes wait for a peer that has died until it is noticed: at most `ping-int` + `ping-timeout` = 8 s
    /// here, 10.5 s by default. The default `ping-timeout` of half a second takes a busy host for a dead one.
    /// `timeout` has to stay below `connect-int` and `ping-int` (drbd.conf(5)).
    static let timeouts = [
        DRBDOption("timeout", "40"),
        DRBDOption("connect-int", "5"),
        DRBDOption("ping-int", "5"),
        DRBDOption("ping-timeout", "30"),
    ]
}

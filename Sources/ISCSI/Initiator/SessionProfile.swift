/// How an initiator treats a session: the times it waits, and what it negotiates (iscsid.conf of open-iscsi 2.1.8).
public struct SessionProfile: Sendable, Equatable {
    /// How long requests wait for a lost session before they fail.
    public var replacementSeconds: Int
    /// How often a silent target is asked whether it is there, and how long for the answer is waited.
    public var pingIntervalSeconds: Int
    public var pingSeconds: Int
    /// How long a login may take, and how often it is tried again before it counts as failed.
    public var loginSeconds = 10
    public var loginAttempts = 2
    public var abortSeconds: Int
    public var resetSeconds: Int
    public var maxBurstLength: Int
    public var firstBurstLength: Int
    public var maxReceiveLength: Int
    /// `either` in both profiles: none is asked for, and what the target requires is possible.
    public var headerDigest: Digest
    public var dataDigest: Digest

    /// Below a multipath map: a path that is lost has to be given up soon, because there is another.
    public static let multipath = SessionProfile(
        replacementSeconds: 10, pingIntervalSeconds: 2, pingSeconds: 3, abortSeconds: 10, resetSeconds: 30,
        maxBurstLength: 16_776_192, firstBurstLength: 262_144, maxReceiveLength: 262_144, headerDigest: .either,
        dataDigest: .either)

    /// For one path alone, as a guide to clusters of 2008 has it: whoever waits two minutes need not fail.
    public static let singlePath = SessionProfile(
        replacementSeconds: 120, pingIntervalSeconds: 5, pingSeconds: 5, abortSeconds: 10, resetSeconds: 30,
        maxBurstLength: 16_776_192, firstBurstLength: 262_144, maxReceiveLength: 65_536, headerDigest: .either,
        dataDigest: .either)

    /// The digest, as open-iscsi prefers it: of a list the target takes the first value that it can (RFC 7143, 6.2.1).
    static func words(_ digest: Digest) -> String {
        switch digest {
        case .either: "None,CRC32C"
        case .crc32c: "CRC32C"
        case .none: "None"
        }
    }

    /// Keys and values of a node record.
    var values: [(key: String, value: String)] {
        [
            ("node.session.timeo.replacement_timeout", "\(replacementSeconds)"),
            ("node.session.initial_login_retry_max", "\(loginAttempts)"),
            ("node.conn[0].timeo.login_timeout", "\(loginSeconds)"),
            ("node.conn[0].timeo.logout_timeout", "\(loginSeconds)"),
            ("node.session.err_timeo.abort_timeout", "\(abortSeconds)"),
            ("node.session.err_timeo.lu_reset_timeout", "\(resetSeconds)"),
            ("node.session.err_timeo.tgt_reset_timeout", "\(resetSeconds)"),
            ("node.session.iscsi.InitialR2T", "No"), ("node.session.iscsi.ImmediateData", "Yes"),
            ("node.session.iscsi.FirstBurstLength", "\(firstBurstLength)"),
            ("node.session.iscsi.MaxBurstLength", "\(maxBurstLength)"),
            ("node.conn[0].timeo.noop_out_interval", "\(pingIntervalSeconds)"),
            ("node.conn[0].timeo.noop_out_timeout", "\(pingSeconds)"),
            ("node.conn[0].iscsi.MaxRecvDataSegmentLength", "\(maxReceiveLength)"),
            ("node.conn[0].iscsi.HeaderDigest", Self.words(headerDigest)),
            ("node.conn[0].iscsi.DataDigest", Self.words(dataDigest)),
        ]
    }
}

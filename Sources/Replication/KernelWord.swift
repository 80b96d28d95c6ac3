/// A state that DRBD reports as one word. A word that is not known is kept and never counts as a good one.
public protocol KernelWord: Sendable, Hashable, Codable, CustomStringConvertible {
    /// Every state with a name of its own.
    static var known: [Self] { get }
    static func other(_ word: String) -> Self
    /// The kernel's word (`drbd_strings.c`).
    var word: String { get }
}

extension KernelWord {
    public init(word: some StringProtocol) {
        self = Self.known.first { $0.word == word } ?? .other(String(word))
    }

    public init(from decoder: any Decoder) throws {
        self.init(word: try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(word)
    }

    public var description: String { word }
}

public enum ReplicaRole: KernelWord {
    case primary, secondary, unknown
    case other(String)

    public static let known: [ReplicaRole] = [.primary, .secondary, .unknown]

    public var word: String {
        switch self {
        case .primary: "Primary"
        case .secondary: "Secondary"
        case .unknown: "Unknown"
        case .other(let word): word
        }
    }
}

/// How far a connection to the peer has come, in DRBD 9's words; `drbdsetup` translates those of 8.4.
public enum ConnectionState: KernelWord {
    case standAlone, disconnecting, unconnected, timeout, brokenPipe, networkFailure, protocolError, tearDown
    case connecting, connected
    case other(String)

    public static let known: [ConnectionState] = [
        .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure, .protocolError, .tearDown,
        .connecting, .connected,
    ]

    public var word: String {
        switch self {
        case .standAlone: "StandAlone"
        case .disconnecting: "Disconnecting"
        case .unconnected: "Unconnected"
        case .timeout: "Timeout"
        case .brokenPipe: "BrokenPipe"
        case .networkFailure: "NetworkFailure"
        case .protocolError: "ProtocolError"
        case .tearDown: "TearDown"
        case .connecting: "Connecting"
        case .connected: "Connected"
        case .other(let word): word
        }
    }
}

/// How good the data of one copy are.
public enum DiskState: KernelWord {
    case diskless, attaching, detaching, failed, negotiating, inconsistent, outdated, unknown, consistent, upToDate
    case other(String)

    public static let known: [DiskState] = [
        .diskless, .attaching, .detaching, .failed, .negotiating, .inconsistent, .outdated, .unknown, .consistent,
        .upToDate,
    ]

    public var word: String {
        switch self {
        case .diskless: "Diskless"
        case .attaching: "Attaching"
        case .detaching: "Detaching"
        case .failed: "Failed"
        case .negotiating: "Negotiating"
        case .inconsistent: "Inconsistent"
        case .outdated: "Outdated"
        case .unknown: "DUnknown"
        case .consistent: "Consistent"
        case .upToDate: "UpToDate"
        case .other(let word): word
        }
    }
}

/// What passes between two copies at the moment.
public enum ReplicationState: KernelWord {
    case off, established
    case startingSyncSource, startingSyncTarget, waitingBitmapSource, waitingBitmapTarget, waitingSyncUUID
    case syncSource, syncTarget, pausedSyncSource, pausedSyncTarget
    case verifySource, verifyTarget
    case ahead, behind
    case other(String)

    public static let known: [ReplicationState] = [
        .off, .established, .startingSyncSource, .startingSyncTarget, .waitingBitmapSource, .waitingBitmapTarget,
        .waitingSyncUUID, .syncSource, .syncTarget, .pausedSyncSource, .pausedSyncTarget, .verifySource,
        .verifyTarget, .ahead, .behind,
    ]

    public var word: String {
        switch self {
        case .off: "Off"
        case .established: "Established"
        case .startingSyncSource: "StartingSyncS"
        case .startingSyncTarget: "StartingSyncT"
        case .waitingBitmapSource: "WFBitMapS"
        case .waitingBitmapTarget: "WFBitMapT"
        case .waitingSyncUUID: "WFSyncUUID"
        case .syncSource: "SyncSource"
        case .syncTarget: "SyncTarget"
        case .pausedSyncSource: "PausedSyncS"
        case .pausedSyncTarget: "PausedSyncT"
        case .verifySource: "VerifyS"
        case .verifyTarget: "VerifyT"
        case .ahead: "Ahead"
        case .behind: "Behind"
        case .other(let word): word
        }
    }

    /// Whether blocks are being compared.
    public var isVerifying: Bool { self == .verifySource || self == .verifyTarget }
}

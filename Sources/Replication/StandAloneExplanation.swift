import HostModel

/// Why a replica has no connection, in one sentence, with what to do. DRBD says it only to the kernel's log.
public struct StandAloneExplanation: Sendable, Equatable, CustomStringConvertible {
    public enum Cause: Sendable, Equatable {
        case incompatibleVersions
        /// The name of a setting that has to be equal on both hosts.
        case differentSetting(String)
        case splitBrain
        case unrelatedData
        case peerTooSmall(peer: ByteCount, own: ByteCount)
        case portInUse
        case addressNotHere
        case wouldOverwritePrimary
        case noGoodData
        case bothPrimary
        case secretOnOneSide
        case differentSecretDigest
        case wrongSecret
        case pingTimeout
        case peerTooSlow
        case peerClosed
        case networkFailure
        case disconnectedHere
        case unknown
    }

    public let cause: Cause

    public init(cause: Cause) { self.cause = cause }

    /// Reads the cause from the kernel's log.
    /// - Parameters:
    ///   - kernelLog: what `dmesg` prints, newest last, with or without time stamps.
    ///   - minor: the replica's; DRBD 8.4 names a device by nothing else.
    public static func explain(kernelLog: String, resource: String, minor: Int) -> StandAloneExplanation {
        let attempt = KernelLogSpeaker(resource: resource, minor: minor).lastAttempt(in: kernelLog)
        for rule in rules {
            for line in attempt.reversed() {
                if let cause = rule(line) { return StandAloneExplanation(cause: cause) }
            }
        }
        return StandAloneExplanation(cause: .unknown)
    }

    /// From the specific to the general: the general lines follow from the specific ones. Texts of DRBD 8.4.11
    /// (Linux 6.1) and 9, `drbd_receiver.c`, `drbd_transport_tcp.c`.
    private static let rules: [@Sendable (Substring) -> Cause?] = [
        { $0.contains("incompatible DRBD") ? .incompatibleVersions : nil },
        { line in between("incompatible ", " settings", line).map { .differentSetting(String($0)) } },
        { line in between("Different ", " settings.", line).map { .differentSetting(String($0)) } },
        { $0.contains("Split-Brain detected") && $0.contains("unresolved") ? .splitBrain : nil },
        { $0.contains("Unrelated data, aborting!") ? .unrelatedData : nil },
        peerTooSmall,
        { $0.contains("bind before listen failed, err = -98") ? .portInUse : nil },
        { $0.contains("bind before listen failed, err = -99") ? .addressNotHere : nil },
        { $0.contains("I shall become SyncTarget, but I am primary!") ? .wouldOverwritePrimary : nil },
        { $0.contains("I shall become SyncSource, but I am inconsistent!") ? .noGoodData : nil },
        { $0.contains("but both are primary. Can not resolve this.") ? .bothPrimary : nil },
        { $0.contains("Multiple primaries not allowed by config") ? .bothPrimary : nil },
        { $0.contains("expected AuthChallenge packet, received") ? .secretOnOneSide : nil },
        { $0.contains("Unexpected data packet AuthChallenge") ? .secretOnOneSide : nil },
        { $0.contains("expected AuthResponse payload of") ? .differentSecretDigest : nil },
        { $0.contains("Authentication of peer failed") ? .wrongSecret : nil },
        { $0.contains("PingAck did not arrive in time") ? .pingTimeout : nil },
        { $0.contains("Remote failed to") ? .peerTooSlow : nil },
        { $0.contains("-> TearDown )") || $0.contains("shut down by peer") ? .peerClosed : nil },
        { $0.contains("-> NetworkFailure )") || $0.contains("-> BrokenPipe )") ? .networkFailure : nil },
        { $0.contains("-> Disconnecting )") ? .disconnectedHere : nil },
    ]

    private static let peerTooSmall: @Sendable (Substring) -> Cause? = { line in
        guard line.contains("size is too small! ("), let text = between("(", " sectors)", line) else { return nil }
        let numbers = text.split(separator: " < ").compactMap { Int64($0) }
        guard numbers.count == 2 else { return nil }
        return .peerTooSmall(peer: .sectors(numbers[0]), own: .sectors(numbers[1]))
    }

    private static func between(_ start: String, _ end: String, _ line: Substring) -> Substring? {
        guard let opening = line.firstRange(of: start) else { return nil }
        let rest = line[opening.upperBound...]
        return rest.firstRange(of: end).map { rest[..<$0.lowerBound] }
    }

    public var description: String { "\(sentence) (\(remedy))" }
}

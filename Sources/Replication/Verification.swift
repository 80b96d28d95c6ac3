import HostModel

/// The part of a device that is compared block by block, from `start` to the end.
public struct VerifyRange: Sendable, Codable, Equatable {
    public let start: ByteCount
    public let length: ByteCount

    /// All of a device.
    public static func whole(of size: ByteCount) -> VerifyRange { VerifyRange(start: ByteCount(0), length: size) }

    /// The last 256 KiB of a device: one word of 64 bits of DRBD's bitmap, a bit for 4 KiB.
    public static func tail(of size: ByteCount) -> VerifyRange {
        let start = max(ByteCount(0), size - bitmapWord)
        return VerifyRange(start: start, length: size - start)
    }

    /// What a word of the bitmap stands for.
    static let bitmapWord = ByteCount.kibibytes(256)
}

/// What must be compared before a synchronised copy is trusted.
///
/// DRBD 8.4 loses the last word of its bitmap when it reads it from disk and the device is a multiple of 256 KiB, as
/// every LV is (`bm_count_bits`, drbd_bitmap.c): after a re-attach with differences there it reports UpToDate and
/// nothing out of sync over data that differ. Measured on 8.4.11: 16 KiB out of sync at the end of the device became 0
/// by `detach`, `apply-al`, `attach`.
public enum TrustRequirement: String, Sendable, Codable {
    case verifyTail
    case verifyWhole

    /// - Parameters:
    ///   - wasReattached: whether either side was attached again after it had differences: after a crash, a reboot or
    ///     a detach. When in doubt, it was.
    ///   - wholeIsWanted: the operator asked for a comparison of everything.
    public init(dialect: DRBDDialect, size: ByteCount, wasReattached: Bool, wholeIsWanted: Bool = false) {
        let hasDefect =
            switch dialect {
            case .v84: size.bytes % VerifyRange.bitmapWord.bytes == 0
            case .v9: false
            }
        self = wholeIsWanted || (wasReattached && hasDefect) ? .verifyWhole : .verifyTail
    }

    public func range(of size: ByteCount) -> VerifyRange {
        switch self {
        case .verifyTail: .tail(of: size)
        case .verifyWhole: .whole(of: size)
        }
    }
}

/// A verification that was started, and how it is recognised to have been done.
///
/// DRBD leaves no record of a finished verification but its kernel log, and one that was cut off by the network looks
/// finished after the reconnect. So the proof is that both sides have read the whole range since: on the target, which
/// is Secondary, nobody but DRBD reads.
public struct VerifyRun: Sendable, Codable, Equatable {
    public enum Outcome: Sendable, Equatable {
        case running
        case equal
        case different(ByteCount)
        /// It did not get to the end, for this reason.
        case interrupted(String)
    }

    public let range: VerifyRange
    private let readBefore: [ByteCount]

    /// - Parameters: the statuses of both sides just before the start.
    /// - Throws: `.refused` unless the two are connected and at rest.
    public init(_ range: VerifyRange, source: ReplicaStatus, target: ReplicaStatus) throws(Failure) {
        let sides = [source, target]
        let reads = sides.compactMap { $0.volume?.read }
        guard sides.allSatisfy({ $0.connection?.state == .connected && $0.peer?.replication == .established }),
            reads.count == sides.count
        else {
            throw Failure(
                .refused, "cannot verify \(source.resource)", why: "its copies are not connected and at rest",
                remedy: "wait for the synchronisation to end")
        }
        self.range = range
        readBefore = reads
    }

    /// What the statuses, read after the start, say.
    public func judge(source: ReplicaStatus, target: ReplicaStatus) -> Outcome {
        let sides = [source, target]
        if let side = sides.first(where: { $0.connection?.state != .connected }) {
            return .interrupted("the connection is \(side.connection?.state.word ?? "gone")")
        }
        if sides.contains(where: { $0.peer?.replication.isVerifying == true }) { return .running }
        let outOfSync = sides.compactMap { $0.peer?.outOfSync }
        guard outOfSync.count == sides.count, let worst = outOfSync.max() else {
            return .interrupted("DRBD does not say how much is out of sync")
        }
        if worst.bytes > 0 { return .different(worst) }
        let read = sides.map { $0.volume?.read ?? ByteCount(0) }
        guard zip(read, readBefore).allSatisfy({ $0 - $1 >= range.length }) else {
            return .interrupted("not all of the \(range.length) were read on both sides")
        }
        return .equal
    }
}

/// What to do after a verification.
public enum TrustDecision: Sendable, Equatable {
    case wait
    case trusted
    /// Disconnect and connect, so that what differs is sent, and verify again; the number of the coming round.
    case resyncAndVerifyAgain(round: Int)
    case giveUp(Failure)

    /// How often a verification is made before the copies are given up.
    public static let rounds = 3

    /// - Parameter round: the number of the verification that was judged, from 1.
    public init(after outcome: VerifyRun.Outcome, round: Int, resource: String) {
        let why: String
        switch outcome {
        case .running:
            self = .wait
            return
        case .equal:
            self = .trusted
            return
        case .different(let amount): why = "\(amount) differ"
        case .interrupted(let reason): why = reason
        }
        self =
            round < Self.rounds
            ? .resyncAndVerifyAgain(round: round + 1)
            : .giveUp(
                Failure(
                    .failed, "the copies of \(resource) cannot be trusted", why: "after \(round) verifications \(why)",
                    remedy: "look at the kernel logs of both hosts for disk and network errors, then try again"))
    }
}

import HostModel

/// One entry of a migration's history, kept on both hosts and shown in the report.
public struct MigrationEvent: Sendable, Codable, Equatable {
    public enum Kind: Sendable, Codable, Equatable {
        /// A run of the coordinator took the migration over.
        case runBegan(epoch: Int64, resumed: Bool)
        case stepBegan(Step)
        case stepEnded(Step)
        case stepFailed(Step, Failure)
        /// The domain stopped running for its users / runs again.
        case freezeBegan(Freeze)
        case freezeEnded(Freeze)
        /// What a resynchronisation had to copy and what it took.
        case synchronised(volume: VolumeName, copied: ByteCount, milliseconds: Int64)
        /// What the second freeze has sent of the domain's memory; `ahead` of it had been sent before, while the domain ran.
        case imageSent(size: ByteCount, sent: ByteCount, ahead: ByteCount?, milliseconds: Int64)
        case verified(volume: VolumeName, compared: ByteCount, differing: ByteCount)
        /// The target's replicas are about to be attached a second time, as after its reboot: from here on nothing less than a
        /// comparison of every block is trusted.
        case attachedAgain
        /// SHA-256 of both copies while nothing wrote to them.
        case compared(volume: VolumeName, source: String, target: String)
        case note(String)
        /// The operator has declared this host dead; from here on it is not asked any more.
        case declaredDead(HostName)
        /// The domain's memory was lost with this host's power; its disks are as it left them.
        case domainLost(HostName)
        case suspended(Failure, needsRecovery: Bool)
        case finished(MigrationMachine.Outcome)
        /// What the whole run took, and how much of it was xenlvs's own time, outside commands and waits.
        case accounted(total: Int64, own: Int64)
    }

    /// Counts a migration's events from 1 on.
    public var sequence: Int
    /// Milliseconds since 1970 by the coordinator's clock.
    public var time: Int64
    public var kind: Kind

    public init(sequence: Int, time: Int64, kind: Kind) {
        self.sequence = sequence
        self.time = time
        self.kind = kind
    }

    private enum CodingKeys: CodingKey { case sequence, time, kind }

    /// Reads an event of the journal, or of another host's. Throws `.usage` for numbers that no history has: sums of them
    /// are made for the report.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        sequence = try values.decode(Int.self, forKey: .sequence)
        time = try values.decode(Int64.self, forKey: .time)
        kind = try values.decode(Kind.self, forKey: .kind).bounded()
        guard (1...1 << 30).contains(sequence), (0...Self.lastTime).contains(time) else {
            throw Failure(.usage, "an event with the number \(sequence) at \(time) is none of a migration's history")
        }
    }

    /// The end of the year 9999.
    private static let lastTime: Int64 = 253_402_300_799_999
}

extension MigrationEvent.Kind {
    /// Ten years.
    private static let longestTime: Int64 = 315_360_000_000

    /// The same with its texts cut. Throws `.usage` for a length of time that cannot be.
    fileprivate func bounded() throws(Failure) -> Self {
        switch self {
        case .synchronised(_, _, let milliseconds), .imageSent(_, _, _, let milliseconds): try Self.check(milliseconds)
        case .accounted(let total, let own):
            try Self.check(total)
            try Self.check(own)
        case .note(let text): return .note(text.cutToForeignLength)
        case .compared(let volume, let source, let target):
            return .compared(
                volume: volume, source: source.cutToForeignLength, target: target.cutToForeignLength)
        case .runBegan, .stepBegan, .stepEnded, .stepFailed, .freezeBegan, .freezeEnded, .verified, .attachedAgain,
            .suspended, .finished, .declaredDead, .domainLost:
            break
        }
        return self
    }

    private static func check(_ milliseconds: Int64) throws(Failure) {
        guard (0...longestTime).contains(milliseconds) else {
            throw Failure(.usage, "\(milliseconds) milliseconds are no length of a step")
        }
    }
}

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
}

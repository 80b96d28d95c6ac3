import HostModel
import Migration

/// What the coordinator tells a display while a migration runs.
public enum ProgressUpdate: Sendable, Equatable {
    case stepBegan(Step)
    case stepEnded(Step)
    /// The step failed; what follows (a way back, a stop) is told by the steps that follow.
    case stepFailed(Step, Failure)
    /// The number is the freeze's in this migration, from 1 on.
    case freezeBegan(number: Int)
    case freezeEnded(number: Int, milliseconds: Int64)
    /// A volume's resynchronisation: `rate` per second; `timeLeft` nil while it cannot be told.
    case sync(volume: VolumeName, done: ByteCount, total: ByteCount, rate: ByteCount, timeLeft: Duration?)
    /// A volume's block-by-block comparison, as `sync`.
    case verification(volume: VolumeName, done: ByteCount, total: ByteCount, rate: ByteCount, timeLeft: Duration?)
    /// The saved image on its way: `read` of about `total` bytes of the image (the domain's memory), `sent` after
    /// compression. Rate and time left are worked out from the calls.
    case image(read: ByteCount, total: ByteCount, sent: ByteCount)
    /// A line for the operator that stays.
    case note(String)
}

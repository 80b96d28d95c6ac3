/// The steps of a swap, by the names under which a test can end the run there; see ``CrashPoint``.
public enum SwapStep: String, Sendable, CaseIterable {
    /// Where the switch has to lead is recorded.
    case record = "swapRecord"
    /// DRBD's metadata are made.
    case metadata = "swapMetadata"
    /// DRBD is attached over the volume.
    case attach = "swapAttach"
    /// The replica becomes Primary.
    case promote = "swapPromote"
    /// The switch is led elsewhere.
    case exchange = "swapExchange"
    /// The replica is taken down, its metadata are removed.
    case takeDown = "swapTakeDown"
    /// What it held in the journal is given back.
    case release = "swapRelease"
}

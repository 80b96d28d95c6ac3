/// The steps of a swap, by the names under which a test can end the run there; see ``CrashPoint``.
public enum SwapStep: String, Sendable, CaseIterable {
    /// Where the switch has to lead is recorded.
    case record = "swapRecord"
    /// The place that the volume is to have, and the log of the copy, are made.
    case target = "swapTarget"
    /// The switch is led to both.
    case mirror = "swapMirror"
    /// More of the volume is put into the mirror.
    case window = "swapWindow"
    /// Everything is copied, and compared.
    case compare = "swapCompare"
    /// The other place is recorded to be the volume's.
    case commit = "swapCommit"
    /// The LV that is left gets its new name.
    case rename = "swapRename"
    /// The volume's new place is recorded.
    case settle = "swapSettle"
    /// What a swap has made is removed again, and the volume is recorded as before.
    case takeBack = "swapTakeBack"
    /// The domain is saved, and away.
    case bracket = "swapBracket"
    /// The domain is restored.
    case bracketBack = "swapBracketBack"
    /// That the device of a running guest's LV is made its switch is recorded.
    case adopt = "swapAdopt"
    /// The device has the switch's name.
    case adoptName = "swapAdoptName"
    /// The LV has a device of its own again, under the UUID that it will have.
    case adoptDevice = "swapAdoptDevice"
    /// The switch leads to that.
    case adoptExchange = "swapAdoptExchange"
    /// The LV has its new UUID.
    case adoptCommit = "swapAdoptCommit"
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

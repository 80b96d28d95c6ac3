/// What the targets of a server have in common.
struct TargetCommons: ~Copyable {
    var window: ReplayWindow
    var saves = SaveBudget()
    let replies: ReplyTable

    /// - Parameter requests: those of the engines' pool.
    init(window: consuming ReplayWindow, requests: Int) {
        self.window = window
        replies = ReplyTable(capacity: requests)
    }
}

/// How often clients may change what is kept for them. Each change is synced to the disk before anything else is served,
/// so that whoever sent them without end would stop the targets of everybody.
struct SaveBudget {
    /// As many at once as many initiators that come up together ask for.
    static let burst: Int64 = 64
    static let perSecond: Int64 = 16
    private var left = burst
    /// Until when `left` was last filled up, in nanoseconds.
    private var filled: Int64 = 0

    /// Whether another change may be stored at `now`, in nanoseconds of `Clock`.
    mutating func take(at now: Int64) -> Bool {
        let interval = 1_000_000_000 / Self.perSecond
        let gained = (now - filled) / interval
        if gained > 0 {
            left = min(Self.burst, left + gained)
            filled += gained * interval
        }
        guard left > 0 else { return false }
        left -= 1
        return true
    }
}

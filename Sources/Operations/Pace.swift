import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// Keeps what goes on piece by piece to so many bytes in a second.
struct Pace {
    private let limit: ByteCount?
    private let began = ContinuousClock.now

    /// - Parameter limit: nil for as fast as it goes.
    init(limit: ByteCount?) { self.limit = limit }

    /// Waits until this much in all was allowed. A wait is never longer than a few pieces. Blocks.
    func reached(_ total: Int64) {
        guard let limit, limit.bytes > 0 else { return }
        let ahead = Duration.milliseconds(total * 1000 / limit.bytes) - began.duration(to: .now)
        if ahead > .zero { usleep(UInt32(clamping: min(ahead, .seconds(5)).milliseconds * 1000)) }
    }
}

import HostModel

/// How far a resync or a verification has come.
public struct SyncProgress: Sendable, Codable, Equatable {
    public var done: ByteCount
    public var total: ByteCount
    /// Bytes per second over the last seconds; nil before two observations.
    public var rate: ByteCount?
    /// Nil while nothing moves, or nothing is known.
    public var timeLeft: Duration?

    /// From 0 to 1.
    public var fraction: Double { total.bytes == 0 ? 1 : Double(done.bytes) / Double(total.bytes) }
}

/// Turns successive observations of what is left into progress with a rate. Holds no clock: the caller gives the time.
public struct SyncMeter: Sendable {
    private struct Sample {
        var time: Duration
        var left: ByteCount
    }

    private let window: Duration
    private var samples: [Sample] = []
    private var total: ByteCount

    /// - Parameters:
    ///   - total: how much there is to do at least; more is taken from the observations.
    ///   - window: the time over which the rate is the mean.
    public init(total: ByteCount = ByteCount(0), window: Duration = .seconds(10)) {
        self.total = total
        self.window = window
    }

    /// Takes in an observation.
    /// - Parameters:
    ///   - left: the sum over all replicas that are observed together.
    ///   - time: since any fixed moment; observations out of order are left out of the rate.
    public mutating func observe(left: ByteCount, at time: Duration) -> SyncProgress {
        total = max(total, left)
        if samples.last.map({ $0.time < time }) ?? true { samples.append(Sample(time: time, left: left)) }
        // One sample older than the window stays, so that the rate is over the whole of it.
        while samples.count > 2, samples[1].time <= time - window { samples.removeFirst() }
        let rate = self.rate
        return SyncProgress(
            done: total - left, total: total, rate: rate,
            timeLeft: rate.flatMap { $0.bytes > 0 ? .seconds(Double(left.bytes) / Double($0.bytes)) : nil })
    }

    private var rate: ByteCount? {
        guard let first = samples.first, let last = samples.last, first.time < last.time else { return nil }
        let seconds = (last.time - first.time) / .seconds(1)
        return ByteCount(Int64(max(0, Double((first.left - last.left).bytes) / seconds)))
    }

    /// What is left of the resync of `statuses`, taken on one host; nil where one of them does not say.
    public static func left(_ statuses: [ReplicaStatus]) -> ByteCount? {
        statuses.reduce(ByteCount(0)) { sum, status in
            guard let sum, let left = status.peer?.outOfSync else { return nil }
            return sum + left
        }
    }
}

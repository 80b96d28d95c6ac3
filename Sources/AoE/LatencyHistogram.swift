/// How many requests took how long, in fixed buckets: eight for each doubling, so that a bucket is at most an eighth of its
/// time wide. Counting costs neither memory nor a lock.
struct LatencyHistogram: ~Copyable {
    /// Times are counted in units of 256 ns; what is longer than 68 s is in the last bucket.
    private static let unitShift = 8
    private static let bitLimit = 28
    static let bucketCount = 8 + (bitLimit - 3) * 8
    private(set) var sumNanoseconds: UInt64 = 0
    /// `bucketCount` of them.
    private var counts = InlineArray<208, UInt64>(repeating: 0)

    @inline(__always) mutating func count(nanoseconds: Int64) {
        let time = UInt64(max(0, nanoseconds))
        counts[Self.bucket(time >> UInt64(Self.unitShift))] &+= 1
        sumNanoseconds &+= time
    }

    @inline(__always) static func bucket(_ units: UInt64) -> Int {
        if units < 8 { return Int(units) }
        let top = 63 - units.leadingZeroBitCount
        guard top < bitLimit else { return bucketCount - 1 }
        return (top - 2) * 8 + Int(units >> UInt64(top - 3) & 7)
    }

    /// The first time, in nanoseconds, that is beyond a bucket.
    static func end(of bucket: Int) -> UInt64 {
        if bucket < 8 { return UInt64(bucket + 1) << UInt64(unitShift) }
        let (top, part) = (bucket / 8 + 2, UInt64(bucket % 8))
        return (9 + part) << UInt64(top - 3 + unitShift)
    }

    var snapshot: LatencySnapshot {
        LatencySnapshot(
            buckets: (0..<Self.bucketCount).compactMap { bucket in
                counts[bucket] == 0
                    ? nil : LatencySnapshot.Bucket(belowNanoseconds: Self.end(of: bucket), count: counts[bucket])
            }, sumNanoseconds: sumNanoseconds)
    }
}

/// A histogram at one moment.
public struct LatencySnapshot: Sendable, Codable, Equatable {
    public struct Bucket: Sendable, Codable, Equatable {
        public var belowNanoseconds: UInt64
        /// Requests in this bucket alone.
        public var count: UInt64
    }

    /// Those that are not empty, the shortest times first.
    public var buckets: [Bucket]
    public var sumNanoseconds: UInt64

    public var count: UInt64 { buckets.reduce(0) { $0 &+ $1.count } }

    /// The time that `part` (0 to 1) of the requests stayed below, as the end of its bucket; nil where there were none.
    public func percentileNanoseconds(_ part: Double) -> UInt64? {
        let total = count
        guard total > 0 else { return nil }
        let wanted = max(1, UInt64((Double(total) * min(max(part, 0), 1)).rounded(.up)))
        var seen: UInt64 = 0
        for bucket in buckets {
            seen &+= bucket.count
            if seen >= wanted { return bucket.belowNanoseconds }
        }
        return buckets.last?.belowNanoseconds
    }
}

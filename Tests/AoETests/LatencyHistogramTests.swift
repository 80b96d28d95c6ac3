import Testing

@testable import AoE

@Suite("Latency histogram")
struct LatencyHistogramTests {
    @Test("Every time is below the end of its bucket and not below the end of the one before")
    func bounds() {
        for nanoseconds in (0..<36).flatMap({ power in
            [-1, 0, 1, 77].map { (UInt64(1) << UInt64(power)) &+ UInt64(bitPattern: $0) }
        })
        where nanoseconds < UInt64(1) << 36 {
            let bucket = LatencyHistogram.bucket(nanoseconds >> 8)
            #expect(nanoseconds < LatencyHistogram.end(of: bucket))
            #expect(bucket == 0 || nanoseconds >= LatencyHistogram.end(of: bucket - 1), "\(nanoseconds)")
        }
        #expect(LatencyHistogram.bucket(.max) == LatencyHistogram.bucketCount - 1)
    }

    @Test("A bucket is at most an eighth of its time wide")
    func widths() {
        for bucket in 8..<LatencyHistogram.bucketCount {
            let (start, end) = (LatencyHistogram.end(of: bucket - 1), LatencyHistogram.end(of: bucket))
            #expect(end > start && (end - start) * 8 <= start, "\(bucket)")
        }
    }

    @Test("Percentiles are the ends of the buckets in which they fall")
    func percentiles() {
        var histogram = LatencyHistogram()
        #expect(histogram.snapshot.percentileNanoseconds(0.5) == nil)
        for _ in 0..<98 { histogram.count(nanoseconds: 10_000) }
        for _ in 0..<2 { histogram.count(nanoseconds: 1_000_000) }
        histogram.count(nanoseconds: -5)
        let snapshot = histogram.snapshot
        #expect(snapshot.count == 101)
        #expect(snapshot.sumNanoseconds == 98 * 10_000 + 2_000_000)
        #expect(snapshot.percentileNanoseconds(0.5) == 10_240)
        #expect(snapshot.percentileNanoseconds(0.97) == 10_240)
        #expect((1_000_001...1_125_000).contains(snapshot.percentileNanoseconds(0.99) ?? 0))
    }
}

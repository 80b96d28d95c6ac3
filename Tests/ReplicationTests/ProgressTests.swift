import HostModel
import Replication
import Testing

struct ProgressTests {
    @Test("Rate and time left come from the last seconds, not from the whole time")
    func slidingWindow() {
        var meter = SyncMeter(window: .seconds(10))
        _ = meter.observe(left: .mebibytes(1000), at: .seconds(0))
        // A slow minute ...
        for second in 1...60 { _ = meter.observe(left: .mebibytes(Int64(1000 - second)), at: .seconds(second)) }
        // ... and ten fast seconds.
        var progress = meter.observe(left: .mebibytes(940 - 20), at: .seconds(61))
        for second in 2...10 {
            progress = meter.observe(left: .mebibytes(Int64(940 - 20 * second)), at: .seconds(60 + second))
        }
        #expect(progress.total == .mebibytes(1000))
        #expect(progress.done == .mebibytes(260))
        #expect(progress.rate == .mebibytes(20))
        #expect(progress.timeLeft == .seconds(37))
        #expect(progress.fraction == 0.26)
    }

    @Test("The first observation has no rate, and a resync that stands still no time left")
    func standstill() {
        var meter = SyncMeter(total: .mebibytes(100))
        let first = meter.observe(left: .mebibytes(50), at: .seconds(5))
        #expect(first.rate == nil)
        #expect(first.timeLeft == nil)
        #expect(first.fraction == 0.5)
        let second = meter.observe(left: .mebibytes(50), at: .seconds(6))
        #expect(second.rate == ByteCount(0))
        #expect(second.timeLeft == nil)
    }

    @Test("Work that grows makes the total larger and never the rate negative")
    func growing() {
        var meter = SyncMeter()
        _ = meter.observe(left: .mebibytes(10), at: .seconds(0))
        let progress = meter.observe(left: .mebibytes(30), at: .seconds(1))
        #expect(progress.total == .mebibytes(30))
        #expect(progress.rate == ByteCount(0))
    }

    @Test("An observation out of order does not disturb the rate")
    func outOfOrder() {
        var meter = SyncMeter()
        _ = meter.observe(left: .mebibytes(30), at: .seconds(0))
        _ = meter.observe(left: .mebibytes(20), at: .seconds(1))
        let late = meter.observe(left: .mebibytes(25), at: .seconds(1))
        #expect(late.rate == .mebibytes(10))
    }

    @Test("Nothing to do is done, and what is left is the sum of all replicas")
    func sums() throws {
        var meter = SyncMeter()
        #expect(meter.observe(left: ByteCount(0), at: .seconds(0)).fraction == 1)
        let statuses = [try status("8.4.11-syncing-source"), try status("8.4.11-dirty-source")]
        #expect(SyncMeter.left(statuses) == .kibibytes(65120 + 16))
        var unknown = statuses
        unknown[0].connections[0].peers[0].outOfSync = nil
        #expect(SyncMeter.left(unknown) == nil)
    }
}

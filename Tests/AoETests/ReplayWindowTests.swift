import SeedKit
import Testing

@testable import AoE

/// A window in a class, which `#expect` can look at.
private final class TestWindow {
    private var window = ReplayWindow()
    private var histories = [WriteHistory(target: 1), WriteHistory(target: 2)]
    var milliseconds: Int64 = 1_000_000

    func judge(_ tag: UInt32, sector: Int64 = 7, _ content: UInt64, target: Int = 0) -> ReplayWindow.Judgement {
        let bytes = [UInt64](repeating: content, count: 64)
        return bytes.withUnsafeBytes {
            window.judge(
                &histories[target], tag: tag, sector: sector, count: 1, bytes: $0.baseAddress!,
                at: milliseconds * 1_000_000)
        }
    }

    /// Judges a write and carries it out where it is to be.
    func write(
        _ tag: UInt32, sector: Int64 = 7, _ content: UInt64, succeeds: Bool = true, target: Int = 0
    ) -> Bool {
        end(judge(tag, sector: sector, content, target: target), succeeds)
    }

    /// The same for a trim of sectors that lie somewhere in the range.
    func judgeTrim(_ tag: UInt32, _ sectors: Range<Int64>) -> ReplayWindow.Judgement {
        let bytes = [Int64](repeating: sectors.lowerBound, count: 64)
        return bytes.withUnsafeBytes {
            window.judgeTrim(
                &histories[0], tag: tag, from: sectors.lowerBound, to: sectors.upperBound, ranges: $0.baseAddress!,
                at: milliseconds * 1_000_000)
        }
    }

    func trim(_ tag: UInt32, _ sectors: Range<Int64>) -> Bool { end(judgeTrim(tag, sectors), true) }

    private func end(_ judgement: ReplayWindow.Judgement, _ succeeds: Bool) -> Bool {
        guard case .execute(let number) = judgement else { return false }
        window.end(number, succeeded: succeeds)
        return true
    }
}

@Suite("Replay window")
struct ReplayWindowTests {
    @Test("A copy of a write that is under way is passed over: its original will be answered")
    func pending() {
        let window = TestWindow()
        #expect(window.judge(1, 1) == .execute(0))
        #expect(window.judge(1, 1) == .drop)
    }

    @Test("A copy of a write that is done is answered, as long as nothing has changed its sectors")
    func done() {
        let window = TestWindow()
        #expect(window.write(1, 1))
        #expect(window.judge(1, 1) == .acknowledge)
        #expect(window.write(2, sector: 8, 2))
        #expect(window.judge(1, 1) == .acknowledge)
        // The same bytes, by a retransmission, are no change.
        #expect(window.write(3, 1))
        #expect(window.judge(1, 1) == .acknowledge)
    }

    @Test("Copies that would undo a later write are passed over, and carried out where they still come after a second")
    func overwritten() {
        let window = TestWindow()
        #expect(window.write(1, 1))
        #expect(window.write(2, 2))
        // However late the first one is.
        window.milliseconds += 3_600_000
        for _ in 0..<3 {
            #expect(window.judge(1, 1) == .drop)
            window.milliseconds += 300
        }
        #expect(window.judge(1, 1) == .drop)
        window.milliseconds += 200
        #expect(window.judge(1, 1) == .execute(2))
    }

    @Test("First copies that arrive after the retransmission and after a later write do not undo that")
    func lateFirstCopy() {
        let window = TestWindow()
        #expect(window.write(0x7_0102, 1))
        #expect(window.write(0x8_0103, 2))
        // Both sent before; Linux counts in the upper half, and its clock is in the lower one.
        #expect(window.judge(0x3_0100, 1) == .drop)
        #expect(window.judge(0x5_0101, 1) == .drop)
        // Somebody who goes on asking is another host, whose clock says something else.
        window.milliseconds += 1_100
        #expect(window.write(0x5_0101, 1))
    }

    @Test("A lower tag is no first copy when its retransmission was long ago: the clock in it has gone round")
    func clockGoneRound() {
        let window = TestWindow()
        #expect(window.write(0x1_0102, 1))
        window.milliseconds += 33_000
        #expect(window.write(0x2_8000, 2))
        #expect(window.write(0x3_8200, 1))
    }

    @Test("The same bytes written anew are written, also where a counter has begun again")
    func sameBytesAgain() {
        let window = TestWindow()
        #expect(window.write(0xfffe, 1))
        #expect(window.write(0xffff, 2))
        #expect(window.write(0x0000, 1))
        #expect(window.write(0x0001, 2))
    }

    @Test("A tag that is used again for other sectors is a write of its own; for other bytes it is one after a second")
    func reusedTag() {
        let window = TestWindow()
        #expect(window.write(1, 1))
        #expect(window.write(1, sector: 8, 2))
        #expect(window.judge(1, 2) == .drop)
        window.milliseconds += 1_100
        #expect(window.write(1, 2))
        window.milliseconds += 11_000
        #expect(window.write(1, 3))
    }

    @Test("A first copy that left with other bytes than its retransmission does not undo the write after it")
    func changedBytes() {
        let window = TestWindow()
        #expect(window.write(0x2_0150, 2))
        #expect(window.write(0x3_0151, 3))
        #expect(window.judge(0x1_0100, 1) == .drop)
        // Sent by a card that was stuck, with what the page held by then.
        #expect(window.judge(0x2_0150, 9) == .drop)
        // Also where the one after it is under way.
        guard case .execute = window.judge(0x4_0200, 4) else { return #expect(Bool(false), "it was not carried out") }
        #expect(window.judge(0x3_01a0, 8) == .drop)
        window.milliseconds += 11_000
        #expect(window.write(0x3_01a0, 8))
    }

    @Test(
        "Of four copies the last one is carried out, and the others are late, however they arrive",
        arguments: [true, false])
    func manyCopies(succeeds: Bool) {
        let window = TestWindow()
        #expect(window.write(0x4_0300, 1, succeeds: succeeds))
        if succeeds { #expect(window.judge(0x1_0100, 1) == .acknowledge) }
        #expect(window.write(0x5_0310, 2))
        #expect(window.judge(0x3_0200, 1) == .drop)
        #expect(window.judge(0x1_0100, 1) == .drop)
    }

    @Test("A copy that comes while its retransmission is under way is passed over, and later ones too")
    func copyOfPending() {
        let window = TestWindow()
        #expect(window.judge(0x4_0300, 1) == .execute(0))
        #expect(window.judge(0x1_0100, 1) == .drop)
        #expect(window.write(0x5_0310, 2))
        #expect(window.judge(0x3_0200, 1) == .drop)
    }

    @Test("Of two requests in one tick of the clock the count tells which was sent before")
    func sameTick() {
        let window = TestWindow()
        #expect(window.write(0x0002_0100, 2))
        #expect(window.judge(0x0001_0100, 1) == .drop)
        #expect(window.write(0x0003_0100, 3))
        // The count has 15 bits.
        #expect(window.write(0x0000_0200, sector: 9, 2))
        #expect(window.judge(0x7fff_0200, sector: 9, 1) == .drop)
    }

    @Test("A client whose tags hold a place in a table, and a number that goes round, is not held up")
    func placeInTag() {
        let window = TestWindow()
        #expect(window.write(0x0001_0500, 1))
        // 240 requests later: read as a clock, its lower half lies 4096 before the first one's.
        #expect(window.write(0x0001_f500, 2))
        #expect(window.write(0x0002_0500, 3))
        // A late copy is known all the same, within one round and from one to the next.
        #expect(!window.write(0x0001_f600, 4))
        #expect(!window.write(0x0002_0400, 5))
    }

    @Test("Another host whose clock is far off is not held up, and one whose clock is a little behind for a second")
    func otherHost() {
        let window = TestWindow()
        #expect(window.write(0x0010_8000, 1))
        #expect(window.write(0x4fff_1000, 2))
        #expect(window.write(0x0011_8001, 3))
        #expect(window.judge(0x0001_7f00, 4) == .drop)
        window.milliseconds += 1_100
        #expect(window.write(0x0002_8300, 4))
    }

    @Test("A write that has failed is carried out when it is sent again, and may have changed its sectors")
    func failed() {
        let window = TestWindow()
        #expect(window.write(1, 1, succeeds: false))
        #expect(window.write(1, 1))
        #expect(window.write(2, 2, succeeds: false))
        #expect(window.judge(1, 1) == .drop)
    }

    @Test("A trim overwrites like a write, and a copy of it does not undo a later write")
    func trims() {
        let window = TestWindow()
        #expect(window.write(1, 1))
        #expect(window.write(2, sector: 30, 1))
        #expect(window.trim(3, 5..<10))
        #expect(window.judge(1, 1) == .drop)
        #expect(window.judge(2, sector: 30, 1) == .acknowledge)
        #expect(window.judgeTrim(3, 5..<10) == .acknowledge)
        #expect(window.write(4, 1))
        #expect(window.judgeTrim(3, 5..<10) == .drop)
        #expect(window.trim(5, 5..<10))
    }

    @Test("Another target's writes to the same sectors are neither copies nor later writes")
    func targets() {
        let window = TestWindow()
        #expect(window.write(1, 1))
        #expect(window.judge(1, 1, target: 1) == .execute(1))
        #expect(window.write(2, 2, target: 1))
        #expect(window.judge(1, 1) == .acknowledge)
        #expect(window.write(3, 2))
        #expect(window.judge(1, 1) == .drop)
    }

    @Test("What is older than the window is forgotten")
    func forgotten() {
        let window = TestWindow()
        #expect(window.write(1, 1))
        for number in 0..<UInt32(ReplayWindow.perTarget) {
            #expect(window.write(10 + number, sector: 100 + Int64(number), 3))
        }
        #expect(window.write(1, 1))
    }

    @Test("Nothing younger than the window is forgotten, whatever was written", arguments: 0..<8 as Range<UInt64>)
    func remembered(seed: UInt64) {
        struct Write {
            var sector: Int64
            var content: UInt64
        }
        let window = TestWindow()
        var random = SeededNumbers(seed: seed)
        // The same bytes at the same place come again and again.
        let sectors = Int64.random(in: 1...500, using: &random)
        let contents = UInt64.random(in: 2...8, using: &random)
        let writes = (0..<ReplayWindow.perTarget).map { _ in
            Write(
                sector: Int64.random(in: 0..<sectors, using: &random),
                content: UInt64.random(in: 0..<contents, using: &random))
        }
        for (number, write) in writes.enumerated() {
            #expect(window.write(UInt32(number), sector: write.sector, write.content))
        }
        var later: [Int64: Set<UInt64>] = [:]
        for (number, write) in writes.enumerated().reversed() {
            let isOverwritten = later[write.sector, default: []].contains { $0 != write.content }
            later[write.sector, default: []].insert(write.content)
            let judgement = window.judge(UInt32(number), sector: write.sector, write.content)
            #expect(judgement == (isOverwritten ? .drop : .acknowledge), "write \(number), seed \(seed)")
        }
    }
}

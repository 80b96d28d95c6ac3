import Testing

@testable import AoE

/// A window in a class, which `#expect` can look at.
private final class TestWindow {
    private var window = ReplayWindow()
    private var histories = [WriteHistory(target: 1), WriteHistory(target: 2)]

    func judge(
        _ tag: UInt32, sector: Int64 = 7, _ byte: UInt8, from source: UInt64 = 0x02_0000, target: Int = 0
    ) -> ReplayWindow.Judgement {
        let bytes = [UInt8](repeating: byte, count: 512)
        return bytes.withUnsafeBytes {
            window.judge(
                &histories[target], source: MACAddress(value: source), tag: tag, sector: sector, count: 1,
                bytes: $0.baseAddress!)
        }
    }

    /// Judges a write and carries it out where it is to be.
    func write(
        _ tag: UInt32, sector: Int64 = 7, _ byte: UInt8, succeeds: Bool = true, target: Int = 0
    ) -> Bool {
        guard case .execute(let number) = judge(tag, sector: sector, byte, target: target) else { return false }
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
    }

    @Test("A copy that would undo a later write is passed over once, and only once")
    func overwritten() {
        let window = TestWindow()
        #expect(window.write(1, 1))
        #expect(window.write(2, 2))
        #expect(window.judge(1, 1) == .drop)
        #expect(window.judge(1, 1) == .execute(2))
    }

    @Test("A first copy that arrives after the retransmission and after a later write does not undo that")
    func lateFirstCopy() {
        let window = TestWindow()
        #expect(window.write(0x10002, 1))
        #expect(window.write(0x10003, 2))
        // Sent before both.
        #expect(window.judge(0x10001, 1) == .drop)
    }

    @Test("The same bytes written anew are written, also where a counter has begun again")
    func sameBytesAgain() {
        let window = TestWindow()
        #expect(window.write(0xfffe, 1))
        #expect(window.write(0xffff, 2))
        #expect(window.write(0x0000, 1))
        #expect(window.write(0x0001, 2))
    }

    @Test("A tag that is used again for other bytes or sectors, or by somebody else, is a write of its own")
    func reusedTag() {
        let window = TestWindow()
        #expect(window.write(1, 1))
        #expect(window.write(1, 2))
        #expect(window.write(1, sector: 8, 2))
        #expect(window.judge(1, sector: 8, 2, from: 0x02_0001) == .execute(3))
    }

    @Test("A write that has failed is carried out when it is sent again")
    func failed() {
        let window = TestWindow()
        #expect(window.write(1, 1, succeeds: false))
        #expect(window.write(1, 1))
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
}

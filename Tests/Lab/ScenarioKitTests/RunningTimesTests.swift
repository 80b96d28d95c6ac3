import ScenarioKit
import Testing

@Suite("When guests ran")
struct RunningTimesTests {
    private static let guest = "00000000-0000-4000-8000-000077656231"

    /// On a clock that is known to 20 ms.
    private func times(_ node: String, _ text: String, offset: Double = 0) -> [RunningTime] {
        DomainLog(text).runningTimes(on: node) { boot, time in
            boot == "unread" ? nil : (time + offset - 10)...(time + offset + 10)
        }
    }

    @Test("A guest that is handed over runs on one host at a time")
    func handedOver() {
        let source = times("nodea", "one 100 90 \(Self.guest)\none 5100 5090 \(Self.guest)\none 7000 6990\n")
        let target = times(
            "nodeb", "two 100 90\ntwo 1000 990 \(Self.guest)\ntwo 6000 5990 \(Self.guest)\n", offset: 6500)
        #expect(source.map(\.certain) == [110...5080, 5110...6980])
        #expect((source + target).overlaps.isEmpty)
    }

    @Test("A guest that runs on two hosts at once is noticed, for however short a time that is certain")
    func twice() {
        let source = times("nodea", "one 100 90 \(Self.guest)\none 7000 6990\n")
        let target = times("nodeb", "two 400 390 \(Self.guest)\ntwo 1000 990\n", offset: 6500)
        #expect((source + target).overlaps == ["the guest \(Self.guest) ran on nodea and nodeb for 70 ms"])
    }

    @Test("What the clocks or a power cut leave open is not called an overlap")
    func doubt() {
        let source = times("nodea", "one 100 90 \(Self.guest)\none 7000 6990\n")
        let near = times("nodeb", "two 485 475 \(Self.guest)\ntwo 1000 990\n", offset: 6500)
        #expect((source + near).overlaps.isEmpty)
        let cut = times("nodea", "one 100 90 \(Self.guest)\nthree 50 40\nthree 5")
        #expect(cut.isEmpty)
        #expect(times("nodeb", "unread 100 90 \(Self.guest)\nunread 9000 8990\n").isEmpty)
    }

    @Test("Different guests may run at the same time, and one guest may stay where it is")
    func others() {
        let one = times("nodea", "one 100 90 \(Self.guest)\none 7000 6990\n")
        let other = times("nodeb", "two 100 90 other\ntwo 7000 6990\n")
        #expect((one + other + one).overlaps.isEmpty)
    }
}

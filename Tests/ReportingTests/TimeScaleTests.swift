import Testing

@testable import Reporting

@Suite struct TimeScaleTests {
    @Test("A timeline whose freezes are wide enough is linear")
    func linear() {
        let scale = TimeScale(moments: [0, 10_000, 20_000, 60_000], visible: [(10_000, 20_000)])
        #expect(scale.shortened.isEmpty)
        #expect(scale.position(30_000) == 0.5)
        #expect(scale.position(-5) == 0)
        #expect(scale.position(99_000) == 1)
    }

    @Test("Hours of synchronising are shortened until freezes of seconds can be seen, which stay comparable")
    func shortened() {
        let hours: Int64 = 4 * 3_600_000
        let scale = TimeScale(
            moments: [0, 3_000, 8_000, 8_000 + hours, 18_000 + hours],
            visible: [(3_000, 8_000), (8_000 + hours, 18_000 + hours)])
        #expect(scale.shortened.map(\.milliseconds) == [hours])
        let first = scale.position(8_000) - scale.position(3_000)
        let second = scale.position(18_000 + hours) - scale.position(8_000 + hours)
        #expect(first > TimeScale.leastVisible)
        #expect(abs(second / first - 2) < 0.000_1)
        #expect(abs((scale.pieces.last.map { $0.position + $0.extent } ?? 0) - 1) < 0.000_1)
    }

    @Test("A pause of days and hours of synchronising are both shortened")
    func twice() {
        let scale = TimeScale(
            moments: [0, 5_000, 7_205_000, 180_000_000, 180_005_000], visible: [(0, 5_000)])
        #expect(scale.shortened.map(\.milliseconds) == [7_200_000, 172_795_000])
        #expect(scale.position(5_000) > TimeScale.leastVisible)
    }

    @Test("Ticks are round moments, stay apart, and leave shortened pieces free")
    func ticks() {
        let scale = TimeScale(
            moments: [0, 3_000, 8_000, 11_508_000, 11_518_000], visible: [(3_000, 8_000), (11_508_000, 11_518_000)])
        let ticks = scale.ticks(apart: 0.1)
        #expect(ticks.map(\.elapsed) == [0, 5_000, 11_510_000, 11_515_000])
        for (left, right) in zip(ticks, ticks.dropFirst()) { #expect(right.position - left.position >= 0.099) }
    }

    @Test("A history without length has a scale nevertheless")
    func empty() {
        let scale = TimeScale(moments: [5, 5], visible: [])
        #expect(scale.pieces.isEmpty)
        #expect(scale.position(5) == 0)
        #expect(scale.ticks(apart: 0.1).isEmpty)
    }

    @Test("Labels that would touch are moved apart and stay inside")
    func spreading() {
        #expect(TimelineSVG.spread([10, 50, 90], [20, 20, 20], within: 0...100) == [10, 50, 90])
        #expect(TimelineSVG.spread([88, 90], [20, 20], within: 0...100) == [70, 90])
        #expect(TimelineSVG.spread([2, 5], [20, 20], within: 0...100) == [10, 30])
    }
}

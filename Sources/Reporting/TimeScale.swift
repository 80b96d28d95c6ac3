/// Where a moment lies on a timeline: linear, but for stretches that are drawn shortened so that short freezes stay
/// visible beside hours of synchronising.
///
/// The timeline is cut into pieces at every moment where something begins or ends. While a freeze would be too narrow
/// to see, the longest piece that is drawn to scale is shortened to a fixed share of the width. Every other piece keeps
/// one common scale, so freezes stay comparable with each other.
struct TimeScale {
    struct Piece: Equatable {
        var begin: Int64
        var end: Int64
        /// Shares of the whole width.
        var position: Double
        var extent: Double
        var isShortened: Bool

        var milliseconds: Int64 { end - begin }
    }

    let pieces: [Piece]

    static let leastVisible = 0.045
    static let mostShortened = 4

    /// - Parameters:
    ///   - moments: where anything begins or ends, the timeline's own ends among them; in any order.
    ///   - visible: the spans that must be wide enough to see.
    init(moments: [Int64], visible: [(begin: Int64, end: Int64)], leastVisible: Double = TimeScale.leastVisible) {
        let sorted = Set(moments).sorted()
        let spans = zip(sorted, sorted.dropFirst()).map { (begin: $0, end: $1) }
        var shortened: Set<Int> = []
        while shortened.count < Self.mostShortened {
            let drawn = Self.lay(spans, shortened)
            let isTooNarrow = visible.contains { span in
                span.end > span.begin && Self.extent(of: span, in: drawn) < leastVisible
            }
            let share = Self.share(ofEach: shortened.count + 1)
            let candidate = drawn.indices.filter { !drawn[$0].isShortened && drawn[$0].extent > share }
                .max { drawn[$0].extent < drawn[$1].extent }
            guard isTooNarrow, let candidate, drawn.count > shortened.count + 1 else { break }
            shortened.insert(candidate)
        }
        pieces = Self.lay(spans, shortened)
    }

    /// The place of `moment` between 0 and 1.
    func position(_ moment: Int64) -> Double {
        guard let first = pieces.first, let last = pieces.last, moment > first.begin else { return 0 }
        guard moment < last.end, let piece = pieces.first(where: { moment <= $0.end }) else { return 1 }
        return piece.position + piece.extent * Double(moment - piece.begin) / Double(piece.milliseconds)
    }

    var shortened: [Piece] { pieces.filter(\.isShortened) }

    /// Moments for the axis's labels, counted from the beginning: round ones, at least `apart` of the width from each
    /// other, none within a shortened piece. Where a shortened piece ends, the clock is shown again.
    func ticks(apart: Double) -> [(elapsed: Int64, position: Double)] {
        guard let first = pieces.first, let scaled = pieces.first(where: { !$0.isShortened && $0.extent > 0 }) else {
            return []
        }
        let perMillisecond = scaled.extent / Double(scaled.milliseconds)
        let step = Self.steps.first { Double($0) * perMillisecond >= apart } ?? Self.steps[Self.steps.count - 1]
        var ticks: [(elapsed: Int64, position: Double)] = []
        for piece in pieces where !piece.isShortened {
            let begin = piece.begin - first.begin
            let end = piece.end - first.begin
            var moment = (begin + step - 1) / step * step
            while moment <= end {
                let place = position(first.begin + moment)
                if ticks.last.map({ place - $0.position >= apart * 0.999 }) ?? true { ticks.append((moment, place)) }
                moment += step
            }
        }
        return ticks
    }

    private static let steps: [Int64] =
        [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400].map { $0 * 1_000 }

    /// What one shortened piece gets where there are `count` of them: half of the width at most for all together.
    private static func share(ofEach count: Int) -> Double { min(0.26, 0.5 / Double(max(1, count))) }

    private static func lay(_ spans: [(begin: Int64, end: Int64)], _ shortened: Set<Int>) -> [Piece] {
        let share = share(ofEach: shortened.count)
        let scaled = spans.indices.filter { !shortened.contains($0) }
        let milliseconds = scaled.reduce(0) { $0 + Double(spans[$1].end - spans[$1].begin) }
        let width = 1 - share * Double(shortened.count)
        var position = 0.0
        return spans.indices.map { index in
            let isShortened = shortened.contains(index)
            let length = Double(spans[index].end - spans[index].begin)
            let extent = isShortened ? share : length / milliseconds * width
            defer { position += extent }
            return Piece(
                begin: spans[index].begin, end: spans[index].end, position: position, extent: extent,
                isShortened: isShortened)
        }
    }

    private static func extent(of span: (begin: Int64, end: Int64), in pieces: [Piece]) -> Double {
        pieces.filter { $0.begin >= span.begin && $0.end <= span.end }.reduce(0) { $0 + $1.extent }
    }
}

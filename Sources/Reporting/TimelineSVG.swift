import HostModel
import Migration

/// A report's timeline as SVG: a row for each phase, the volumes' synchronisation below its phase, the freezes as
/// bands across all rows with their lengths on top.
struct TimelineSVG {
    /// Where things stand, in SVG units, which are CSS pixels at the drawing's full size.
    struct Layout {
        var width: Double
        /// The plot's left and right edge.
        var left: Double
        var right: Double
        var rowHeight: Double
        /// Names stand beside the bars, or above them where there is no room beside.
        var namesBeside: Bool
        /// Distinguishes the identifiers of two drawings in one page.
        var name: String

        static let wide = Layout(
            width: 1_000, left: 118, right: 912, rowHeight: 32, namesBeside: true, name: "wide")
        static let narrow = Layout(width: 400, left: 1, right: 399, rowHeight: 42, namesBeside: false, name: "narrow")
    }

    let timeline: Timeline
    let layout: Layout
    /// For those who cannot see the drawing.
    let title: String
    let description: String

    private static let top = 48.0
    private static let barHeight = 14.0
    private static let syncRowHeight = 22.0
    private static let axisHeight = 24.0
    private static let mostSyncBars = 8

    init(_ report: MigrationReport, _ layout: Layout) {
        timeline = Timeline(report)
        self.layout = layout
        title = "Timeline of the migration of \(report.domain)"
        let phases = timeline.rows.map { "\($0.phase.title) \(Format.duration(milliseconds: $0.milliseconds))" }
        let freezes = timeline.freezes.map { "freeze \($0.number) \(Format.duration(milliseconds: $0.milliseconds))" }
        description = "Phases: \(phases.joined(separator: ", ")). Freezes: \(freezes.joined(separator: ", "))."
    }

    /// The drawing alone, with its colours, for a file of its own.
    static func standalone(_ report: MigrationReport) -> String {
        let style = HTML.element("style", [], HTMLStyle.colors + "\n" + HTMLStyle.timeline)
        let drawing = TimelineSVG(report, .wide)
        let margin = 20.0
        // A ground of its own: the document around it may be dark where the reader's system is light.
        let ground = drawing.rect(
            "ground", -margin, -margin, drawing.layout.width + 2 * margin, drawing.height + 2 * margin, radius: 10)
        return drawing.svg(content: style + "\n" + ground, margin: margin) + "\n"
    }

    var html: String { svg(content: "", margin: 0) }

    private var height: Double { bottom + Self.axisHeight }

    private func svg(content: String, margin: Double) -> String {
        let ids = (title: "timeline-title-\(layout.name)", description: "timeline-description-\(layout.name)")
        let box = [-margin, -margin, layout.width + 2 * margin, height + 2 * margin]
        let parts = [
            HTML.element("title", [("id", ids.title)], HTML.text(title)),
            HTML.element("desc", [("id", ids.description)], HTML.text(description)),
            content, grid, bands, rows, tears, labels,
        ]
        return HTML.element(
            "svg",
            [
                ("xmlns", "http://www.w3.org/2000/svg"), ("class", "timeline \(layout.name)"), ("role", "img"),
                ("viewBox", box.map(HTML.number).joined(separator: " ")),
                ("aria-labelledby", "\(ids.title) \(ids.description)"),
            ], parts.filter { !$0.isEmpty }.joined(separator: "\n"))
    }

    // MARK: places

    private func x(_ position: Double) -> Double { layout.left + position * (layout.right - layout.left) }

    private var syncBars: ArraySlice<Timeline.SyncBar> { timeline.syncBars.prefix(Self.mostSyncBars) }

    /// Each row with its upper edge.
    private var placedRows: [(row: Timeline.Row, y: Double)] {
        var y = Self.top
        return timeline.rows.map { row in
            defer { y += height(row) }
            return (row, y)
        }
    }

    private func height(_ row: Timeline.Row) -> Double {
        layout.rowHeight + (row.phase == .synchronise ? Double(syncBars.count) * Self.syncRowHeight : 0)
    }

    private var bottom: Double { timeline.rows.reduce(Self.top) { $0 + height($1) } + 4 }

    private func barTop(_ y: Double) -> Double {
        layout.namesBeside ? y + (layout.rowHeight - Self.barHeight) / 2 : y + layout.rowHeight - Self.barHeight - 4
    }

    // MARK: parts

    private var grid: String {
        let apart = (layout.namesBeside ? 72.0 : 58.0) / (layout.right - layout.left)
        var taken = tearLabels.map { ($0.x - $0.width / 2, $0.x + $0.width / 2) }
        var parts = timeline.scale.ticks(apart: apart).map { tick -> String in
            let place = x(tick.position)
            let label = Format.clock(milliseconds: tick.elapsed)
            let half = Self.textWidth(label) / 2
            let middle = min(max(place, layout.left + half), layout.right - half)
            let mark = line("grid", place, Self.top, place, bottom)
            if taken.contains(where: { $0.0 < middle + half && $0.1 > middle - half }) { return mark }
            taken.append((middle - half, middle + half))
            return mark + text("", middle, bottom + 17, label, anchor: "middle")
        }
        parts += tearLabels.map { text("", $0.x, bottom + 17, $0.label, anchor: "middle") }
        parts.append(line("rule", layout.left, bottom, layout.right, bottom))
        if layout.namesBeside { parts.append(text("", 0, bottom + 17, "elapsed")) }
        return parts.joined(separator: "\n")
    }

    /// What stands on the axis where it is interrupted: the length, if there is room for it.
    private var tearLabels: [(x: Double, label: String, width: Double)] {
        timeline.scale.shortened.map { piece in
            let length = Format.duration(milliseconds: piece.milliseconds)
            let room = piece.extent * (layout.right - layout.left)
            let label = ["\(length), shortened", length, "…"].first { Self.textWidth($0) <= room } ?? "…"
            return (x(piece.position + piece.extent / 2), label, Self.textWidth(label))
        }
    }

    /// About what a label takes in the fonts that a browser may choose, with some air.
    private static func textWidth(_ text: String) -> Double { Double(DisplayText.width(text)) * 7 + 6 }

    private var bands: String {
        timeline.freezes.map { freeze in
            let place = extent(freeze.beginMilliseconds, freeze.endMilliseconds)
            let edges = [place.from, place.to].map { line("edge", $0, Self.top - 4, $0, bottom) }.joined()
            return rect("band", place.from, Self.top - 4, place.to - place.from, bottom - Self.top + 4) + edges
        }.joined(separator: "\n")
    }

    private var rows: String {
        placedRows.map { row, y in
            var parts = row.spans.map { bar($0, barTop(y)) }
            parts += row.spans.flatMap { span in timeline.freezes.compactMap { frozen($0, span, barTop(y)) } }
            let baseline = layout.namesBeside ? barTop(y) + 11.5 : barTop(y) - 6
            parts.append(text("name", layout.namesBeside ? 0 : layout.left, baseline, row.phase.title))
            parts.append(
                text(
                    "length", layout.width - (layout.namesBeside ? 0 : 1), baseline,
                    Format.duration(milliseconds: row.milliseconds), anchor: "end"))
            if row.phase == .synchronise {
                parts += syncBars.enumerated().map { index, bar in
                    sync(bar, y + layout.rowHeight + Double(index) * Self.syncRowHeight)
                }
            }
            return parts.joined(separator: "\n")
        }.joined(separator: "\n")
    }

    private func bar(_ span: MigrationReport.PhaseSpan, _ y: Double) -> String {
        let place = extent(span.beginMilliseconds, span.endMilliseconds)
        let name: String
        switch span.state {
        case .running, .done: name = "phase"
        case .failed, .interrupted: name = "broken"
        }
        return rect(name, place.from, y, place.to - place.from, Self.barHeight, radius: 3)
    }

    /// The part of a phase's bar in which the domain was frozen.
    private func frozen(
        _ freeze: MigrationReport.FreezeSpan, _ span: MigrationReport.PhaseSpan, _ y: Double
    ) -> String? {
        let begin = max(freeze.beginMilliseconds, span.beginMilliseconds)
        let end = min(freeze.endMilliseconds ?? timeline.end, span.endMilliseconds ?? timeline.end)
        guard begin < end else { return nil }
        let place = extent(begin, end)
        return rect("frozen", place.from, y, place.to - place.from, Self.barHeight, radius: 3)
    }

    private func sync(_ bar: Timeline.SyncBar, _ y: Double) -> String {
        let place = extent(bar.begin, bar.end)
        let top = y + (layout.namesBeside ? 4 : 13)
        let drawn = rect("sync", place.from, top, place.to - place.from, 6, radius: 3)
        let name = bar.volume.name.text
        let rate = bar.volume.sync?.bytesPerSecond.map { Format.rate(bytesPerSecond: $0) } ?? ""
        if layout.namesBeside {
            let label = DisplayText.truncated(name, to: 15)
            return drawn + text("sub", 10, top + 7, label)
                + text("sub", layout.width, top + 7, rate, anchor: "end")
        }
        return drawn + text("sub", layout.left + 8, top - 3, DisplayText.truncated(name, to: 40))
            + text("sub", layout.right, top - 3, rate, anchor: "end")
    }

    /// A tear through the drawing where the scale is interrupted.
    private var tears: String {
        timeline.scale.shortened.map { piece in
            let middle = x(piece.position + piece.extent / 2)
            var path = "M\(HTML.number(middle)) \(HTML.number(Self.top - 4))"
            var isRight = true
            var y = Self.top - 4
            while y < bottom {
                y += 8
                path += "L\(HTML.number(middle + (isRight ? 3 : -3))) \(HTML.number(min(y, bottom)))"
                isRight.toggle()
            }
            return HTML.empty("path", [("class", "cut"), ("d", path)])
                + [-2.5, 2.5].map { shift in
                    HTML.empty(
                        "path", [("class", "tear"), ("d", path), ("transform", "translate(\(HTML.number(shift)) 0)")])
                }.joined()
        }.joined(separator: "\n")
    }

    /// Each freeze's number and length above its band, moved apart where bands are close.
    private var labels: String {
        let bands = timeline.freezes.map { extent($0.beginMilliseconds, $0.endMilliseconds) }
        let texts = timeline.freezes.map { freeze in
            Format.duration(milliseconds: freeze.milliseconds) + (freeze.isOpen ? " …" : "")
        }
        let widths = texts.map { max(58, Double(DisplayText.width($0)) * 7 + 12) }
        let middles = bands.map { ($0.from + $0.to) / 2 }
        let places = Self.spread(middles, widths, within: layout.left...layout.right)
        return timeline.freezes.indices.map { index in
            let place = places[index]
            let leader = "M\(HTML.number(place)) 36L\(HTML.number(middles[index])) \(HTML.number(Self.top - 4))"
            return text("", place, 14, "freeze \(timeline.freezes[index].number)", anchor: "middle")
                + text("number", place, 30, texts[index], anchor: "middle")
                + HTML.empty("path", [("class", "leader"), ("d", leader)])
        }.joined(separator: "\n")
    }

    /// Centres for labels of these widths, as near to `wanted` (ascending) as they get without touching.
    static func spread(_ wanted: [Double], _ widths: [Double], within bounds: ClosedRange<Double>) -> [Double] {
        var places = wanted
        for index in places.indices {
            let least = index == 0 ? bounds.lowerBound : places[index - 1] + widths[index - 1] / 2
            places[index] = max(places[index], least + widths[index] / 2)
        }
        for index in places.indices.reversed() {
            let most = index == places.count - 1 ? bounds.upperBound : places[index + 1] - widths[index + 1] / 2
            places[index] = min(places[index], most - widths[index] / 2)
        }
        return places
    }

    // MARK: elements

    /// At least as wide as can be seen.
    private func extent(_ begin: Int64, _ end: Int64?) -> (from: Double, to: Double) {
        let place = timeline.extent(begin, end)
        let from = x(place.from)
        return (min(from, layout.right - 2), max(from + 2, x(place.to)))
    }

    private func rect(
        _ name: String, _ x: Double, _ y: Double, _ width: Double, _ height: Double, radius: Double = 0
    ) -> String {
        let corner = radius > 0 ? [("rx", HTML.number(min(radius, width / 2)))] : []
        return HTML.empty(
            "rect",
            [
                ("class", name), ("x", HTML.number(x)), ("y", HTML.number(y)), ("width", HTML.number(width)),
                ("height", HTML.number(height)),
            ] + corner)
    }

    private func line(_ name: String, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
        HTML.empty(
            "line",
            [
                ("class", name), ("x1", HTML.number(x1)), ("y1", HTML.number(y1)), ("x2", HTML.number(x2)),
                ("y2", HTML.number(y2)),
            ])
    }

    private func text(_ name: String, _ x: Double, _ y: Double, _ content: String, anchor: String = "start") -> String {
        let kind = name.isEmpty ? [] : [("class", name)]
        return HTML.element(
            "text", kind + [("x", HTML.number(x)), ("y", HTML.number(y)), ("text-anchor", anchor)], HTML.text(content))
    }
}

import HostModel
import Migration

/// A timeline in characters: a row for each phase, freezes as solid blocks in it, an axis below.
struct TextTimeline {
    private let timeline: Timeline
    private let style: TerminalStyle
    /// Columns of the plot itself, between the names and the lengths.
    private let columns: Int

    private static let nameWidth = Step.Phase.titleWidth + 4
    private static let lengthWidth = 12

    init(_ report: MigrationReport, style: TerminalStyle, width: Int) {
        timeline = Timeline(report)
        self.style = style
        columns = width - Self.nameWidth - Self.lengthWidth
    }

    private enum Cell { case empty, running, failed, frozen, shortened }

    var lines: [String] {
        var lines = [legend] + timeline.rows.map(row) + axis
        if let remark = timeline.scaleRemark {
            let text = "\(style.shortened)\(style.shortened) \(remark)"
            lines += DisplayText.wrapped(text, to: columns + Self.lengthWidth).map { indented(style.paint($0, .dim)) }
        }
        return lines
    }

    private var legend: String {
        let title = style.paint(DisplayText.padded("Timeline", to: Self.nameWidth), .bold)
        return title + style.paint(style.frozen + style.frozen, .blue) + " frozen   "
            + style.paint(style.running + style.running, .cyan) + " the domain runs"
    }

    private func row(_ row: Timeline.Row) -> String {
        var cells = [Cell](repeating: .empty, count: columns)
        for span in row.spans { fill(&cells, span.beginMilliseconds, span.endMilliseconds, cell(for: span)) }
        for piece in timeline.scale.shortened {
            let middle = Int((piece.position + piece.extent / 2) * Double(columns))
            for index in [middle - 1, middle] where cells.indices.contains(index) && cells[index] != .empty {
                cells[index] = .shortened
            }
        }
        for freeze in timeline.freezes {
            for span in row.spans { overlay(&cells, freeze, span) }
        }
        let length = Format.duration(milliseconds: row.milliseconds)
        return "  " + DisplayText.padded(row.phase.title, to: Self.nameWidth - 2) + painted(cells)
            + DisplayText.padded(length, to: Self.lengthWidth, .right)
    }

    private func cell(for span: MigrationReport.PhaseSpan) -> Cell {
        switch span.state {
        case .running, .done: .running
        case .failed, .interrupted: .failed
        }
    }

    /// The part of `freeze` that lies within `span`, if any.
    private func overlay(
        _ cells: inout [Cell], _ freeze: MigrationReport.FreezeSpan, _ span: MigrationReport.PhaseSpan
    ) {
        let begin = max(freeze.beginMilliseconds, span.beginMilliseconds)
        let end = min(freeze.endMilliseconds ?? timeline.end, span.endMilliseconds ?? timeline.end)
        if begin < end { fill(&cells, begin, end, .frozen) }
    }

    /// At least one cell, so that nothing that happened is lost.
    private func fill(_ cells: inout [Cell], _ begin: Int64, _ end: Int64?, _ cell: Cell) {
        let place = timeline.extent(begin, end)
        let first = min(columns - 1, Int((place.from * Double(columns)).rounded()))
        let last = min(columns - 1, max(first, Int((place.to * Double(columns)).rounded()) - 1))
        for index in first...last { cells[index] = cell }
    }

    private func painted(_ cells: [Cell]) -> String {
        var text = ""
        var rest = cells[...]
        while let cell = rest.first {
            let run = rest.prefix { $0 == cell }
            rest = rest.dropFirst(run.count)
            text += painted(cell, run.count)
        }
        return text
    }

    private func painted(_ cell: Cell, _ count: Int) -> String {
        switch cell {
        case .empty: String(repeating: " ", count: count)
        case .running: style.paint(String(repeating: style.running, count: count), .cyan)
        case .failed: style.paint(String(repeating: style.running, count: count), .red)
        case .frozen: style.paint(String(repeating: style.frozen, count: count), .blue)
        case .shortened: style.paint(String(repeating: style.shortened, count: count), .cyan)
        }
    }

    private var axis: [String] {
        var line = ""
        for tick in timeline.scale.ticks(apart: 9 / Double(columns)) {
            let column = Int((tick.position * Double(columns)).rounded())
            let label = style.tick + Format.clock(milliseconds: tick.elapsed)
            guard column > line.count || line.isEmpty, column + label.count <= columns + Self.lengthWidth else {
                continue
            }
            line = DisplayText.padded(line, to: column) + label
        }
        return line.isEmpty ? [] : [indented(style.paint(line, .dim))]
    }

    private func indented(_ text: String) -> String { String(repeating: " ", count: Self.nameWidth) + text }
}

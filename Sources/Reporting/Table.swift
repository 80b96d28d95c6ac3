/// A plain table for a terminal or a file: a header line, columns two spaces apart, fitted to a width if one is given.
public struct Table: Sendable, Equatable {
    public struct Column: Sendable, Equatable {
        public enum Alignment: Sendable { case left, right }

        public var title: String
        public var alignment: Alignment
        /// Whether its cells may be cut where the table is too wide.
        public var shrinks: Bool

        public init(_ title: String, _ alignment: Alignment = .left, shrinks: Bool = false) {
            self.title = title
            self.alignment = alignment
            self.shrinks = shrinks
        }
    }

    public var columns: [Column]
    /// As many cells in each row as there are columns; missing ones are empty.
    public var rows: [[String]]

    /// What rows have in common, over all columns, by the index of the row that it stands above.
    public var heads: [Int: String]

    public init(columns: [Column], rows: [[String]], heads: [Int: String] = [:]) {
        self.columns = columns
        self.rows = rows.map { $0.map(DisplayText.sanitised) }
        self.heads = heads.mapValues(DisplayText.sanitised)
    }

    private static let gap = "  "
    /// A column that shrinks keeps this much, or its title.
    private static let least = 8

    /// The table, each line ended by a newline. A table without rows has its header alone.
    /// - Parameters:
    ///   - width: columns of the terminal; nil for a file or a pipe, where nothing is cut. Heads are wrapped, never cut.
    public func render(width: Int? = nil, style: TerminalStyle = .plain) -> String {
        let widths = fitted(to: width)
        let header = line(columns.map { $0.title.uppercased() }, widths, style)
        let lines = rows.enumerated().flatMap { index, row in head(above: index, width) + [line(row, widths, style)] }
        return ([style.paint(header, .bold)] + lines).map { $0 + "\n" }.joined()
    }

    private func head(above row: Int, _ width: Int?) -> [String] {
        guard let head = heads[row] else { return [] }
        guard let width else { return [head] }
        let indent = "  "
        return DisplayText.wrapped(head, to: width - indent.count).enumerated().map { $0 == 0 ? $1 : indent + $1 }
    }

    private func fitted(to width: Int?) -> [Int] {
        var widths = columns.indices.map { index in
            ([columns[index].title] + rows.compactMap { $0.indices.contains(index) ? $0[index] : nil })
                .map(DisplayText.width).max() ?? 0
        }
        guard let width else { return widths }
        var excess = widths.reduce(0, +) + Self.gap.count * max(0, widths.count - 1) - width
        while excess > 0 {
            let candidates = columns.indices.filter {
                columns[$0].shrinks && widths[$0] > max(Self.least, DisplayText.width(columns[$0].title))
            }
            guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { break }
            widths[widest] -= 1
            excess -= 1
        }
        return widths
    }

    private func line(_ cells: [String], _ widths: [Int], _ style: TerminalStyle) -> String {
        let shown = columns.indices.map { index -> String in
            let cell = cells.indices.contains(index) ? cells[index] : ""
            let cut = DisplayText.truncated(cell, to: widths[index], ellipsis: style.ellipsis)
            switch columns[index].alignment {
            case .left: return DisplayText.padded(cut, to: widths[index], .left)
            case .right: return DisplayText.padded(cut, to: widths[index], .right)
            }
        }
        let text = shown.joined(separator: Self.gap)
        return String(text.reversed().drop { $0 == " " }.reversed())
    }
}

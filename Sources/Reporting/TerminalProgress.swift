import HostModel
import Migration

/// Draws a progress display in place: lines that stay, and below them live ones that are drawn over. Pure: it returns
/// what is to be written.
struct TerminalProgress {
    let style: TerminalStyle
    private var drawn: [String] = []
    private var drawnColumns = 0
    private var isCursorHidden = false

    init(style: TerminalStyle) { self.style = style }

    /// Whether a redraw at `columns` would leave a stale copy of the live lines behind. A caller that has nothing
    /// lasting to show waits then until the width rests.
    func isDisturbed(by columns: Int) -> Bool {
        drawn.contains { DisplayText.width(ANSI.stripped($0)) > usable(columns) }
    }

    /// The changes for good, then the live lines of `model`.
    mutating func draw(
        _ changes: [ProgressModel.Change], _ model: ProgressModel, at now: Duration, columns: Int
    ) -> String {
        let lines = LiveLines(style: style, columns: usable(columns)).lines(model, at: now)
        return redraw(lasting(changes, columns), lines, columns)
    }

    /// The changes for good and no live lines; the cursor comes back, at the beginning of a free line.
    mutating func close(_ changes: [ProgressModel.Change], columns: Int) -> String {
        let text = redraw(lasting(changes, columns), [], columns)
        defer { isCursorHidden = false }
        return text + (isCursorHidden ? ANSI.showCursor : "")
    }

    private func lasting(_ changes: [ProgressModel.Change], _ columns: Int) -> [String] {
        let text = ProgressText(style: style)
        return changes.flatMap { change -> [String] in
            switch change {
            case .phaseEnded(let phase): text.ended(phase, columns: usable(columns))
            case .note(let note): text.note(note, columns: usable(columns))
            case .freezeEnded, .transferred: []
            }
        }
    }

    private mutating func redraw(_ lasting: [String], _ live: [String], _ columns: Int) -> String {
        if lasting.isEmpty, live == drawn, columns == drawnColumns { return "" }
        var text = ""
        if !isCursorHidden, !live.isEmpty {
            text += ANSI.hideCursor
            isCursorHidden = true
        }
        if isDisturbed(by: columns) {
            // The terminal has wrapped the live lines, or has not: how far up they begin is not known. Beginning afresh
            // below them leaves a stale copy but cannot overwrite a line that was to stay.
            text += "\r\n"
        } else if !drawn.isEmpty {
            // Not each line to its end: a terminal that reflows then takes the cleared cells for text, and wraps them.
            text += "\r" + ANSI.up(drawn.count - 1) + ANSI.clearBelow
        }
        text += lasting.map { $0 + "\r\n" }.joined()
        text += live.joined(separator: "\r\n")
        drawn = live
        drawnColumns = columns
        return text
    }

    /// The last column stays free: many terminals wrap when it is written.
    private func usable(_ columns: Int) -> Int { max(10, columns - 1) }
}

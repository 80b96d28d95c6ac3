import HostModel
import Migration

/// The lines of a progress display, for a terminal and for a plain stream alike. Pure.
struct ProgressText {
    var style: TerminalStyle

    /// One line, and a failure's below it: what stays of a phase. `columns` nil does not wrap.
    func ended(_ phase: ProgressModel.Phase, columns: Int?) -> [String] {
        let mark: String
        switch phase.state {
        case .done: mark = style.paint(style.check, .green)
        case .failed: mark = style.paint(style.cross, .red)
        case .leftOff, .underWay: mark = style.paint(style.stopped, .yellow)
        }
        let length = (phase.until - phase.began).wholeMilliseconds
        let remarks = phase.freezes.map(frozen) + (phase.image.flatMap(imageRemark).map { [$0] } ?? [])
        var lines: [String]
        if let columns, columns < Self.roomy {
            let facts = [phase.phase.title + " " + Format.duration(milliseconds: length)] + remarks.map(ANSI.stripped)
            lines = facts.flatMap { DisplayText.wrapped($0, to: columns - 2) }
            lines = lines.enumerated().map { ($0.offset == 0 ? mark : " ") + " " + $0.element }
        } else {
            lines = beside("\(mark) \(name(phase.phase.title)) \(time(length))", remarks, columns)
        }
        switch phase.state {
        case .failed(let failure): lines += self.failure(failure, columns: columns)
        case .leftOff: lines += note("left off in: \(phase.openStep?.title ?? phase.phase.title)", columns: columns)
        case .done, .underWay: break
        }
        return lines
    }

    /// Below this width remarks get lines of their own.
    private static let roomy = 48

    /// `head` with remarks beside it; those that would not fit go below, so that nothing is cut from a line that stays.
    private func beside(_ head: String, _ remarks: [String], _ columns: Int?) -> [String] {
        var lines = [head]
        for remark in remarks {
            let line = lines[lines.count - 1] + "   " + remark
            if let columns, visibleWidth(line) > columns {
                lines.append(String(repeating: " ", count: Step.Phase.titleWidth + 3) + remark)
            } else {
                lines[lines.count - 1] = line
            }
        }
        return lines
    }

    func frozen(_ length: ProgressModel.FreezeLength) -> String {
        "\(length.title) " + style.paint(Format.duration(milliseconds: length.milliseconds), .blue)
    }

    func failure(_ failure: Failure, columns: Int?) -> [String] {
        var lines = indented(DisplayText.sanitised(failure.withoutRemedy), columns, .red)
        if let remedy = failure.remedy {
            lines += indented("what to do: " + DisplayText.sanitised(remedy), columns, .yellow)
        }
        return lines
    }

    func note(_ text: String, columns: Int?) -> [String] {
        indented(DisplayText.sanitised(text), columns, .dim)
    }

    private func indented(_ text: String, _ columns: Int?, _ paint: TerminalStyle.Paint) -> [String] {
        let lines = columns.map { DisplayText.wrapped(text, to: $0 - 2) } ?? [text]
        return lines.map { "  " + style.paint($0, paint) }
    }

    private func imageRemark(_ image: ProgressModel.Transfer) -> String? {
        guard case .image(let sent) = image.kind else { return nil }
        return "image \(image.done) sent as \(sent)"
    }

    /// A phase's or a freeze's title, filled up to a column.
    func name(_ title: String) -> String { DisplayText.padded(title, to: Step.Phase.titleWidth) }

    func time(_ milliseconds: Int64) -> String {
        DisplayText.padded(Format.duration(milliseconds: milliseconds), to: 10, .right)
    }

    /// Columns of a line that may carry colours.
    private func visibleWidth(_ line: String) -> Int { DisplayText.width(ANSI.stripped(line)) }
}

extension Failure {
    /// The failure's line without its remedy, which displays give a line of its own.
    var withoutRemedy: String {
        var copy = self
        copy.remedy = nil
        return copy.description
    }
}

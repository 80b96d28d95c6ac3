import HostModel
import Migration

/// A report as text, for a terminal or a file.
public struct TextReport {
    private let report: MigrationReport
    private let sentences: ReportSentences
    private let style: TerminalStyle
    private let width: Int

    /// The report in lines of at most `width` columns (60 to 100 are used; below 60 nothing is promised), each ended by
    /// a newline.
    public static func render(_ report: MigrationReport, width: Int, color: Bool, unicode: Bool = true) -> String {
        let style = TerminalStyle(isTerminal: false, color: color, unicode: unicode)
        return TextReport(report: report, style: style, width: min(100, max(60, width))).text
    }

    private init(report: MigrationReport, style: TerminalStyle, width: Int) {
        self.report = report
        sentences = ReportSentences(report: report)
        self.style = style
        self.width = width
    }

    private var text: String {
        let blocks = [
            outcome, report.phases.isEmpty ? [] : TextTimeline(report, style: style, width: width).lines, freezes,
            copies, shared, checksums, runs, failures, notes, footer,
        ]
        return blocks.filter { !$0.isEmpty }.map { $0.map { $0 + "\n" }.joined() }.joined(separator: "\n")
    }

    private var outcome: [String] {
        let mark: String
        switch report.outcome.state {
        case .migrated: mark = style.paint(style.check, .green)
        case .rolledBack: mark = style.paint(style.cross, .yellow)
        case .suspended, .running: mark = style.paint(style.stopped, .yellow)
        case .needsRecovery, .lost: mark = style.paint(style.cross, .red)
        }
        let headline = DisplayText.wrapped(sentences.headline, to: width - 2)
        var lines = headline.enumerated().map { ($0.offset == 0 ? mark + " " : "  ") + style.paint($0.element, .bold) }
        lines += wrapped(sentences.summary, indent: 2)
        if let reason = report.outcome.reason {
            lines += ProgressText(style: style).failure(reason, columns: width)
        }
        lines += sentences.next.enumerated().map { "  " + ($0.offset == 0 ? "next: " : "  or: ") + $0.element }
        return lines
    }

    private var freezes: [String] {
        guard !report.freezes.isEmpty else { return [] }
        let longest = report.freezes.map(\.milliseconds).max() ?? 0
        // Beside the columns before the bar and the longest remark after it.
        let room = Double(min(20, width - 54))
        let rows = report.freezes.map { freeze -> String in
            let at = Format.clock(milliseconds: freeze.beginMilliseconds - report.beginMilliseconds)
            let remark = ReportSentences.freezeRemark(freeze).map { "  " + $0 } ?? ""
            let cells = longest > 0 ? Int((Double(freeze.milliseconds) / Double(longest) * room).rounded()) : 0
            let bar = style.paint(String(repeating: style.frozen, count: max(1, cells)), .blue)
            return "  \(freeze.number)  \(phase(freeze.phase))  \(right(at, 8))  \(length(freeze.milliseconds))  "
                + bar + style.paint(remark, .yellow)
        }
        let head = heading("Freezes", "at", width: 26) + right("for", 12)
        var lines = [head] + rows
        if rows.count > 1, !report.freezes.contains(where: \.isOpen) {
            let name = DisplayText.padded("in all", to: Step.Phase.titleWidth)
            lines.append("     \(name)  \(right("", 8))  \(length(report.frozenMilliseconds))")
        }
        return lines
    }

    private var copies: [String] {
        let copied = report.volumes.filter { $0.sync != nil || $0.verification != nil }
        guard !copied.isEmpty || report.image != nil else { return [] }
        let nameWidth = min(24, (copied.map(\.name.text.count) + ["image".count]).max() ?? 0)
        var lines = [
            style.paint(DisplayText.padded("Copied", to: nameWidth + 2), .bold)
                + style.paint(right("size", 10) + right("in", 13) + right("rate", 13), .dim)
        ]
        lines += copied.flatMap { volume in
            copy(
                volume.name.text, nameWidth, volume.sync?.copiedBytes ?? 0, volume.sync?.milliseconds,
                volume.sync?.bytesPerSecond, ReportSentences.copy(volume))
        }
        if let image = report.image {
            lines += copy(
                "image", nameWidth, image.sizeBytes, image.milliseconds, image.bytesPerSecond,
                ReportSentences.image(image))
        }
        return lines
    }

    /// One row; the remark stands below it where the line is full.
    private func copy(
        _ name: String, _ nameWidth: Int, _ size: Int64, _ time: Int64?, _ rate: Int64?, _ remark: String?
    ) -> [String] {
        let label = DisplayText.truncated(name, to: nameWidth, ellipsis: style.ellipsis)
        let row =
            "  \(DisplayText.padded(label, to: nameWidth))" + right("\(ByteCount(size))", 10)
            + right(time.map { Format.duration(milliseconds: $0) } ?? "", 13)
            + right(rate.map { Format.rate(bytesPerSecond: $0) } ?? "", 13)
        guard let remark else { return [row] }
        let isFull = DisplayText.width(row) + 2 + DisplayText.width(remark) > width
        guard isFull else { return [row + "  " + style.paint(remark, .dim)] }
        return [row] + DisplayText.wrapped(remark, to: width - 4).map { "    " + style.paint($0, .dim) }
    }

    private var shared: [String] {
        guard let disks = report.sharedDisks else { return [] }
        return [style.paint("Shared disks", .bold)]
            + disks.map { cut("  \($0.name)  \($0.device)  \(ByteCount($0.sizeBytes))") }
    }

    private var checksums: [String] {
        let compared = report.volumes.filter { $0.sha256 != nil }
        guard !compared.isEmpty else { return [] }
        var lines = [style.paint("Checksums", .bold) + style.paint("  SHA-256, taken while nothing wrote", .dim)]
        for volume in compared {
            guard let sums = volume.sha256 else { continue }
            let verdict =
                sums.equal
                ? style.paint("\(style.check) equal on both hosts", .green)
                : style.paint("\(style.cross) the copies differ", .red)
            lines.append("  \(volume.name)  \(verdict)")
            let pairs =
                sums.equal
                ? [("", sums.source)] : [("\(report.source) ", sums.source), ("\(report.target) ", sums.target)]
            lines += pairs.map { host, sum in
                style.paint(
                    cut("    " + DisplayText.sanitised(host + sum)), .dim)
            }
        }
        return lines
    }

    private var runs: [String] {
        guard report.runs.count > 1 else { return [] }
        return [heading("Runs", "at", width: 26)]
            + report.runs.enumerated().flatMap { index, run -> [String] in
                let at = Format.clock(milliseconds: run.beginMilliseconds - report.beginMilliseconds)
                let lines = DisplayText.wrapped(DisplayText.sanitised(ReportSentences.ending(run)), to: width - 28)
                let kind = DisplayText.padded(run.resumed ? "resumed" : "begun", to: Step.Phase.titleWidth)
                let head = "  \(index + 1)  \(kind)  \(right(at, 8))"
                return lines.enumerated().map { ($0.offset == 0 ? head : right("", 26)) + "  " + $0.element }
            }
    }

    private var failures: [String] {
        guard !report.failures.isEmpty else { return [] }
        return [style.paint("Failures", .bold)]
            + report.failures.flatMap { entry -> [String] in
                let at = Format.clock(milliseconds: entry.atMilliseconds - report.beginMilliseconds)
                return ["  \(at)  \(entry.step.title)"]
                    + wrapped(DisplayText.sanitised(entry.failure.withoutRemedy), indent: 4, .red)
            }
    }

    private var notes: [String] {
        guard !report.notes.isEmpty else { return [] }
        return [style.paint("Notes", .bold)]
            + report.notes.flatMap { note in
                let at = Format.clock(milliseconds: note.atMilliseconds - report.beginMilliseconds)
                return wrapped("\(at)  \(DisplayText.sanitised(note.text))", indent: 2)
            }
    }

    private var footer: [String] {
        var lines: [String] = []
        if let own = report.ownTime { lines.append("xenlvs's own time: \(ReportSentences.ownTime(own))") }
        lines.append(
            "\(report.id) \(style.bullet) \(report.planWords) \(style.bullet) begun "
                + Format.instant(milliseconds: report.beginMilliseconds))
        return lines.map { style.paint("  " + cut($0), .dim) }
    }

    private func heading(_ title: String, _ column: String, width: Int) -> String {
        style.paint(title, .bold) + style.paint(right(column, width - title.count), .dim)
    }

    private func phase(_ phase: Step.Phase) -> String { DisplayText.padded(phase.title, to: Step.Phase.titleWidth) }

    private func length(_ milliseconds: Int64) -> String {
        style.paint(right(Format.duration(milliseconds: milliseconds), 10), .bold)
    }

    private func right(_ text: String, _ columns: Int) -> String { DisplayText.padded(text, to: columns, .right) }

    private func cut(_ text: String) -> String {
        DisplayText.truncated(text, to: width - 2, ellipsis: style.ellipsis)
    }

    private func wrapped(_ text: String, indent: Int, _ paint: TerminalStyle.Paint? = nil) -> [String] {
        DisplayText.wrapped(text, to: width - indent).map { line in
            String(repeating: " ", count: indent) + (paint.map { style.paint(line, $0) } ?? line)
        }
    }
}

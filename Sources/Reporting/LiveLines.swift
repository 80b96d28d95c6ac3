import HostModel
import Migration

/// The lines at the bottom of a terminal that change while a phase is under way. Pure; no line is wider than asked.
struct LiveLines {
    var style: TerminalStyle
    var columns: Int

    /// Volumes that get a bar of their own; of more, the others are summed up in one line.
    static let mostBars = 6

    func lines(_ model: ProgressModel, at now: Duration) -> [String] {
        guard let phase = model.current else { return [] }
        var lines = [phaseLine(phase, model.openFreeze, now)]
        lines += transferLines(Array(model.transfers.prefix(Self.mostBars)))
        let others = model.transfers.dropFirst(Self.mostBars)
        if !others.isEmpty {
            let done = others.filter { $0.share >= 1 }.count
            lines.append(cut("    and \(others.count) more volumes, \(done) of them done"))
        }
        return lines
    }

    private func phaseLine(_ phase: ProgressModel.Phase, _ open: ProgressModel.OpenFreeze?, _ now: Duration) -> String {
        let frame = Int(now.wholeMilliseconds / 100) % style.spinner.count
        let text = ProgressText(style: style)
        let elapsed = Format.clock(milliseconds: (now - phase.began).wholeMilliseconds)
        let head = "\(text.name(phase.phase.title)) \(DisplayText.padded(elapsed, to: 10, .right))"
        var rest: [(String, TerminalStyle.Paint)] = []
        if let open {
            let length = Format.duration(milliseconds: (now - open.began).wholeMilliseconds)
            rest.append(("frozen for \(length)", .blue))
        }
        rest += phase.freezes.map { ("\($0.title) \(Format.duration(milliseconds: $0.milliseconds))", .blue) }
        if let step = phase.openStep, step.title != phase.phase.title { rest.append((step.title, .dim)) }
        return assemble([(style.spinner[frame] + " ", .cyan), (head, .bold)] + rest.map { ("   " + $0.0, $0.1) })
    }

    /// Pieces set side by side and painted, cut where the line is full.
    private func assemble(_ pieces: [(String, TerminalStyle.Paint)]) -> String {
        var left = columns
        var line = ""
        for (text, paint) in pieces where left > 0 {
            let shown = DisplayText.truncated(text, to: left, ellipsis: style.ellipsis)
            left -= DisplayText.width(shown)
            line += style.paint(shown, paint)
        }
        return line
    }

    private func cut(_ text: String) -> String {
        DisplayText.truncated(text, to: columns, ellipsis: style.ellipsis)
    }

    private func label(_ kind: ProgressModel.Transfer.Kind) -> String {
        switch kind {
        case .sync(let volume): volume.text
        case .verification(let volume): "verify \(volume)"
        case .image: "image"
        }
    }

    /// `    root  ██████░░░░   57 %  5.7 GiB of 10 GiB  36.4 MiB/s  1 min 58 s left`, one below the other in columns;
    /// what does not fit is left out, the least important first.
    private func transferLines(_ transfers: [ProgressModel.Transfer]) -> [String] {
        let labels = column(transfers.map { label($0.kind) }, .left, most: max(8, columns / 4))
        let facts = transfers.map(Facts.init)
        // In the order they stand, each with its rank of importance.
        let ranked = [
            (0, column(facts.map(\.percent), .right)), (3, column(facts.map(\.amount), .right)),
            (2, column(facts.map(\.rate), .right)), (1, column(facts.map(\.timeLeft), .right)),
        ]
        func tail(_ index: Int, ranks: Int) -> String {
            ranked.filter { $0.0 < ranks && !$0.1[index].isEmpty }.map { "  " + $0.1[index] }.joined()
        }
        return transfers.indices.map { index in
            let head = "    \(labels[index])  "
            let room = columns - DisplayText.width(head)
            let ranks = (1...4).last { DisplayText.width(tail(index, ranks: $0)) + Self.leastBar <= room } ?? 1
            let text = tail(index, ranks: ranks)
            let barWidth = min(32, room - DisplayText.width(text))
            return barWidth > 2 ? head + bar(transfers[index].share, barWidth) + text : cut(head + text)
        }
    }

    private static let leastBar = 10

    private func column(_ cells: [String], _ alignment: DisplayText.Alignment, most: Int = .max) -> [String] {
        let width = min(most, cells.map(DisplayText.width).max() ?? 0)
        return cells.map {
            DisplayText.padded(
                DisplayText.truncated($0, to: width, ellipsis: style.ellipsis), to: width, alignment)
        }
    }

    /// What is said beside a bar.
    private struct Facts {
        var percent: String
        var amount: String
        var rate: String
        var timeLeft: String

        init(_ transfer: ProgressModel.Transfer) {
            percent = DisplayText.padded("\(Int(transfer.share * 100))", to: 3, .right) + " %"
            amount = "\(transfer.done) of \(transfer.total)"
            rate = transfer.rate.map { Format.rate(bytesPerSecond: $0.bytes) } ?? ""
            timeLeft = transfer.timeLeft.map { Format.estimate($0) + " left" } ?? ""
            if transfer.share >= 1 { timeLeft = "done" }
        }
    }

    private func bar(_ share: Double, _ width: Int) -> String {
        let eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
        let filled = share * Double(width)
        let whole = Int(filled)
        let part = style.unicode && whole < width ? eighths[Int((filled - Double(whole)) * 8)] : ""
        let empty = width - whole - (part.isEmpty ? 0 : 1)
        return style.paint(String(repeating: style.barFull, count: whole) + part, .cyan)
            + style.paint(String(repeating: style.barEmpty, count: empty), .dim)
    }
}

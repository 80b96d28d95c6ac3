import HostModel
import Migration

/// The tables of a report's page.
struct HTMLReportTables {
    let report: MigrationReport

    var html: String {
        let pair = [freezes, phases].compactMap { $0?.html }.joined()
        let tables = [copies, comparisons, runs, failures, notes].compactMap { $0?.html }.joined()
        return HTML.element("div", [("class", "columns")], "\n" + pair) + "\n" + tables
    }

    private typealias Cell = HTMLTable.Cell

    private func elapsed(_ moment: Int64) -> Cell {
        .number(Format.clock(milliseconds: moment - report.beginMilliseconds))
    }

    private func duration(_ milliseconds: Int64) -> Cell { .number(Format.duration(milliseconds: milliseconds)) }

    private var freezes: HTMLTable? {
        guard !report.freezes.isEmpty else { return nil }
        let rows = report.freezes.map { freeze -> [Cell] in
            let length = HTML.element(
                "span", [("class", "frozen-length")], Format.duration(milliseconds: freeze.milliseconds))
            let remark = ReportSentences.freezeRemark(freeze).map { ", \($0)" } ?? ""
            return [
                .text("freeze \(freeze.number)"), .text(freeze.phase.title + remark), elapsed(freeze.beginMilliseconds),
                Cell(content: length, isNumber: true),
            ]
        }
        let sum = report.freezes.reduce(0) { $0 + $1.milliseconds }
        return HTMLTable(
            caption: "Freezes", columns: [("freeze", false), ("phase", false), ("began at", true), ("length", true)],
            rows: rows, foot: rows.count > 1 ? [.text("in all"), .text(""), .text(""), duration(sum)] : nil)
    }

    private var phases: HTMLTable? {
        guard !report.phases.isEmpty else { return nil }
        return HTMLTable(
            caption: "Phases", columns: [("phase", false), ("state", false), ("began at", true), ("length", true)],
            rows: report.phases.map { span in
                [
                    .text(span.phase.title), Cell(content: state(span.state)), elapsed(span.beginMilliseconds),
                    duration(span.milliseconds),
                ]
            },
            foot: [.text("beginning to end"), .text(""), .text(""), duration(report.totalMilliseconds)])
    }

    private func state(_ state: MigrationReport.PhaseSpan.State) -> String {
        switch state {
        case .done: HTML.element("span", [("class", "soft")], "done")
        case .running: "under way"
        case .failed: HTML.element("span", [("class", "no")], "failed")
        case .interrupted: HTML.element("span", [("class", "no")], "interrupted")
        }
    }

    private var copies: HTMLTable? {
        guard !report.volumes.isEmpty else { return nil }
        var rows = report.volumes.map { volume -> [Cell] in
            let places =
                volume.sourcePlace == volume.targetPlace
                ? volume.sourcePlace : "\(volume.sourcePlace) → \(volume.targetPlace)"
            return [
                named(
                    volume.name.text,
                    (["\(volume.device), \(places)"] + [ReportSentences.unmeasured(volume)].compactMap(\.self))
                        .joined(separator: "; ")), .number("\(ByteCount(volume.sizeBytes))"),
                .number(volume.sync.map { "\(ByteCount($0.copiedBytes))" } ?? "–"),
                .number(volume.sync.map { Format.duration(milliseconds: $0.milliseconds) } ?? "–"),
                .number(volume.sync?.bytesPerSecond.map { Format.rate(bytesPerSecond: $0) } ?? "–"),
            ]
        }
        if let image = report.image {
            rows.append([
                named("memory image", "of \(report.domain), \(ReportSentences.image(image))"),
                .number("\(ByteCount(image.sizeBytes))"),
                .number("\(ByteCount(image.sentBytes))"), duration(image.milliseconds),
                .number(image.bytesPerSecond.map { Format.rate(bytesPerSecond: $0) } ?? "–"),
            ])
        }
        return HTMLTable(
            caption: "Copied",
            columns: [("what", false), ("size", true), ("sent", true), ("in", true), ("rate", true)], rows: rows)
    }

    private func named(_ name: String, _ beside: String) -> Cell {
        Cell(content: HTML.text(name) + HTML.element("span", [("class", "beside")], HTML.prose(beside)))
    }

    private var comparisons: HTMLTable? {
        let compared = report.volumes.filter { $0.verification != nil || $0.sha256 != nil }
        guard !compared.isEmpty else { return nil }
        return HTMLTable(
            caption: "Compared",
            columns: [("volume", false), ("block by block", false), ("SHA-256, while nothing wrote", false)],
            rows: compared.map { volume in
                [
                    .text(volume.name.text), .text(ReportSentences.verification(volume) ?? "–"),
                    Cell(content: checksums(volume.sha256)),
                ]
            })
    }

    private func checksums(_ sums: MigrationReport.Checksums?) -> String {
        guard let sums else { return HTML.element("span", [("class", "soft")], "not compared") }
        func sum(_ text: String) -> String { HTML.element("span", [("class", "sum")], HTML.text(text)) }
        return sums.equal
            ? HTML.element("span", [("class", "yes")], "✔ equal on both hosts") + sum(sums.source)
            : HTML.element("span", [("class", "no")], "✘ the copies differ")
                + sum("\(report.source) \(sums.source)") + sum("\(report.target) \(sums.target)")
    }

    private var runs: HTMLTable? {
        guard report.runs.count > 1 else { return nil }
        return HTMLTable(
            caption: "Runs", columns: [("run", false), ("began at", true), ("length", true), ("ended", false)],
            rows: report.runs.map { run in
                let end = run.endMilliseconds ?? report.untilMilliseconds
                return [
                    .text("\(run.epoch)" + (run.resumed ? ", resumed" : "")), elapsed(run.beginMilliseconds),
                    duration(end - run.beginMilliseconds), .text(ReportSentences.ending(run)),
                ]
            })
    }

    private var failures: HTMLTable? {
        guard !report.failures.isEmpty else { return nil }
        return HTMLTable(
            caption: "Failures", columns: [("step", false), ("at", true), ("failure", false)],
            rows: report.failures.map { entry in
                [.text(entry.step.title), elapsed(entry.atMilliseconds), .text(entry.failure.withoutRemedy)]
            })
    }

    private var notes: HTMLTable? {
        guard !report.notes.isEmpty else { return nil }
        return HTMLTable(
            caption: "Notes", columns: [("at", false), ("note", false)],
            rows: report.notes.map { note in
                let at = Format.clock(milliseconds: note.atMilliseconds - report.beginMilliseconds)
                return [.text(at), .text(note.text)]
            })
    }
}

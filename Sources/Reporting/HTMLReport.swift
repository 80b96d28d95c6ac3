import HostModel
import Migration

/// A report as one page that needs nothing beside itself: no script, no font, no picture from elsewhere.
public struct HTMLReport {
    private let report: MigrationReport
    private let sentences: ReportSentences

    /// The page, complete, in UTF-8.
    public static func render(_ report: MigrationReport) -> String { HTMLReport(report: report).page }

    /// The timeline alone as an SVG file, for a document.
    public static func timeline(_ report: MigrationReport) -> String { TimelineSVG.standalone(report) }

    private init(report: MigrationReport) {
        self.report = report
        sentences = ReportSentences(report: report)
    }

    private var page: String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <title>\(HTML.text("\(report.domain): \(report.source) to \(report.target) – xenlvs"))</title>
        <style>
        \(HTMLStyle.colors)
        \(HTMLStyle.timeline)
        \(HTMLStyle.page)
        </style>
        </head>
        <body>
        <main>
        \(header)\(figures)\(figure)\(HTMLReportTables(report: report).html)\(footer)</main>
        </body>
        </html>

        """
    }

    private var header: String {
        let verdict: (text: String, kind: String)
        switch report.outcome.state {
        case .migrated: verdict = ("migrated", "good")
        case .rolledBack: verdict = ("rolled back", "warn")
        case .suspended: verdict = ("stopped", "warn")
        case .lost: verdict = ("lost", "bad")
        case .needsRecovery: verdict = ("needs recovery", "bad")
        case .running: verdict = ("under way", "warn")
        }
        let way = HTML.element("span", [("class", "way")], HTML.text("\(report.source) → \(report.target)"))
        let pill = HTML.element("span", [("class", "pill \(verdict.kind)")], verdict.text)
        return """
            <header>
            <p class="kicker">Migration report</p>
            <h1>\(HTML.text(report.domain.text)) \(way) \(pill)</h1>
            <p class="lead"><strong>\(HTML.text(sentences.headline))</strong> \(HTML.prose(sentences.summary))</p>
            \(reason(verdict.kind))</header>

            """
    }

    private func reason(_ kind: String) -> String {
        guard let reason = report.outcome.reason else { return "" }
        var paragraphs = [HTML.text(reason.withoutRemedy)]
        if let remedy = reason.remedy { paragraphs.append("What to do: " + HTML.text(remedy)) }
        let next = sentences.next.map { HTML.element("code", [], HTML.text($0)) }
        if !next.isEmpty { paragraphs.append("Next: " + next.joined(separator: " or ")) }
        return HTML.element(
            "div", [("class", "notice \(kind)")], paragraphs.map { HTML.element("p", [], $0) }.joined()) + "\n"
    }

    private var figures: String {
        var figures = [
            figure(
                "Total time", Format.duration(milliseconds: report.totalMilliseconds),
                "plan: \(report.planWords)")
        ]
        if !report.freezes.isEmpty {
            let lengths = report.freezes.map { Format.duration(milliseconds: $0.milliseconds) }
            figures.append(
                figure(
                    "Frozen", Format.duration(milliseconds: report.freezes.reduce(0) { $0 + $1.milliseconds }),
                    lengths.count > 1 ? lengths.joined(separator: " + ") : "in one freeze"))
        }
        let syncs = report.volumes.compactMap(\.sync)
        if !syncs.isEmpty {
            let copied = ByteCount(syncs.reduce(0) { $0 + $1.copiedBytes })
            let fastest = syncs.compactMap(\.bytesPerSecond).max()
            figures.append(
                figure("Synchronised", "\(copied)", fastest.map { "at " + Format.rate(bytesPerSecond: $0) } ?? ""))
        }
        if let image = report.image {
            figures.append(figure("Memory image", "\(ByteCount(image.sizeBytes))", ReportSentences.image(image)))
        }
        return HTML.element("dl", [("class", "figures")], figures.joined()) + "\n"
    }

    private func figure(_ term: String, _ value: String, _ beside: String) -> String {
        HTML.element(
            "div", [],
            HTML.element("dt", [], HTML.text(term))
                + HTML.element(
                    "dd", [], HTML.text(value) + HTML.element("span", [("class", "beside")], HTML.text(beside))))
    }

    private var figure: String {
        guard !report.phases.isEmpty else { return "" }
        let timeline = Timeline(report)
        var keys = [key("is-phase", "phase, the domain runs"), key("is-frozen", "the domain is frozen")]
        if !timeline.syncBars.isEmpty { keys.append(key("is-sync", "a volume is copied")) }
        if report.phases.contains(where: { $0.state == .failed || $0.state == .interrupted }) {
            keys.append(key("is-broken", "failed or interrupted"))
        }
        if let remark = timeline.scaleRemark { keys.append(HTML.element("span", [], HTML.text(remark))) }
        return """
            <figure>
            \(TimelineSVG(report, .wide).html)
            \(TimelineSVG(report, .narrow).html)
            <figcaption>\(keys.joined())</figcaption>
            </figure>

            """
    }

    private func key(_ kind: String, _ text: String) -> String {
        HTML.element("span", [("class", "key \(kind)")], text)
    }

    private var footer: String {
        let own = report.ownTime.map { " xenlvs's own time was \(ReportSentences.ownTime($0))." } ?? ""
        let begun = "Begun \(Format.instant(milliseconds: report.beginMilliseconds))."
        return "<footer><p><code>\(HTML.text(report.id.text))</code> · "
            + HTML.text("\(begun)\(own)") + "</p></footer>\n"
    }
}

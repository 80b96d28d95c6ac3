import HostModel
import Migration
import Testing

@testable import Reporting

@Suite struct TextReportTests {
    @Test("The report of a late migration reads like this at 80 columns")
    func late() throws {
        #expect(
            TextReport.render(try Histories.late(), width: 80, color: false) == """
                ✔ web1 runs on nodeb.
                  It moved from nodea in 56.4 s; it was frozen three times, 14.6 s in all.

                Timeline       ██ frozen   ━━ the domain runs
                  prepare      ━━━                                                        3.24 s
                  substitute      █████                                                   5.10 s
                  synchronise          ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━                 35.9 s
                  hand over                                              ████             4.44 s
                  settle                                                     █████        5.30 s
                  tidy up                                                         ━━      2.40 s
                               ╵0:00    ╵0:10     ╵0:20    ╵0:30     ╵0:40    ╵0:50

                Freezes                 at         for
                  1  substitute       0:03      5.10 s  ███████████████████
                  2  hand over        0:44      4.20 s  ████████████████
                  3  settle           0:48      5.30 s  ████████████████████
                     in all                     14.6 s

                Copied       size           in         rate
                  web1    256 MiB       30.2 s    8.5 MiB/s  all compared, equal
                  image   101 MiB       2.38 s   42.4 MiB/s  16.5 MiB sent, 6.1 : 1

                Checksums  SHA-256, taken while nothing wrote
                  web1  ✔ equal on both hosts
                    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

                  xenlvs's own time: 1.26 s of 56.4 s (2.2 %)
                  web1-20261121-3f9a · three-freeze, settle late · begun 2026-11-21 09:14:05 UTC

                """)
    }

    @Test("No line is wider than asked, and plain text has no escape sequences", arguments: [60, 72, 80, 100])
    func widths(width: Int) throws {
        let reports = [
            try Histories.late(), try Histories.early(), try Histories.rolledBack(), try Histories.long(),
            try Histories.resumed(),
        ]
        for report in reports {
            let plain = TextReport.render(report, width: width, color: false)
            #expect(!plain.contains("\u{1B}"))
            for line in plain.split(separator: "\n") { #expect(DisplayText.width(String(line)) <= width, "\(line)") }
            let colored = TextReport.render(report, width: width, color: true)
            #expect(colored.contains("\u{1B}["))
            #expect(ANSI.stripped(colored) == plain)
        }
    }

    @Test("Where a locale has no Unicode, the report is ASCII")
    func ascii() throws {
        let text = TextReport.render(try Histories.long(), width: 80, color: false, unicode: false)
        #expect(text.utf8.allSatisfy { $0 < 0x80 }, "\(text)")
    }

    @Test("Hours of synchronising are shown shortened, and the report says so")
    func shortened() throws {
        let text = TextReport.render(try Histories.long(), width: 80, color: false)
        #expect(text.contains("╱╱ Not to scale: 3 h 12 min are drawn shortened."))
        let settle = try #require(text.split(separator: "\n").first { $0.contains("settle ") })
        #expect(settle.filter { $0 == "█" }.count >= 4)
    }

    @Test("A stopped migration says where the domain is and what to type next")
    func suspended() throws {
        let events = Histories.resumedEvents()
        let stop = try #require(events.firstIndex { if case .suspended = $0.kind { true } else { false } })
        let report = MigrationReport(spec: try Histories.spec(), events: Array(events[...stop]))
        let text = TextReport.render(report, width: 80, color: false)
        #expect(text.hasPrefix("■ The migration of web1 stopped and can be resumed; the domain runs on nodea.\n"))
        #expect(
            text.contains(
                "  next: xenlvs migration resume web1-20261121-3f9a\n    or: xenlvs migration abort web1-20261121-3f9a\n"
            ))
    }

    @Test("A failure cannot steer the terminal that its report is shown on")
    func hostile() throws {
        var writer = Histories.Writer()
        writer.prepare()
        let failure = Failure(.failed, "cannot \u{1B}]0;pwned\u{7} go on", why: "\u{9B}2J", remedy: "\u{1B}[2J")
        writer.add(.stepFailed(.saveForReplica, failure))
        writer.add(.note("\u{1B}[1A"))
        writer.add(.finished(.rolledBack(because: failure)))
        let text = TextReport.render(
            MigrationReport(spec: try Histories.spec(), events: writer.events), width: 80, color: false)
        #expect(!text.unicodeScalars.contains { $0 != "\n" && $0.properties.generalCategory == .control })
    }
}

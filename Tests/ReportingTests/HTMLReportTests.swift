import HostModel
import Migration
import Testing

@testable import Reporting

@Suite struct HTMLReportTests {
    static let attack = "</title></svg><script>alert('1')</script>\"onload=\"x&amp;\u{202E}\u{1B}"

    static func hostileReport() throws -> MigrationReport {
        var spec = try Histories.spec(volumes: [(name: "data", mebibytes: 1_024)], domain: attack)
        spec.source.name = HostName(unchecked: attack + "source")
        spec.target.name = HostName(unchecked: attack + "target")
        spec.volumes[0].name = VolumeName(unchecked: attack)
        spec.volumes[0].device = attack
        let failure = Failure(
            .failed, attack, host: attack, why: attack, remedy: attack, causes: [Failure(.busy, attack)])
        var writer = Histories.Writer()
        writer.prepare()
        writer.add(.stepBegan(.synchronise))
        let volume = VolumeName(unchecked: attack)
        writer.add(.synchronised(volume: volume, copied: .mebibytes(1_024), milliseconds: 4_000), after: 5_000)
        writer.add(.verified(volume: volume, compared: .mebibytes(4), differing: .kibibytes(4)))
        writer.add(.compared(volume: volume, source: attack, target: "other" + attack))
        writer.add(.note(attack))
        writer.add(.stepFailed(.synchronise, failure))
        writer.add(.suspended(failure, needsRecovery: true))
        writer.add(.runBegan(epoch: 2, resumed: true))
        writer.add(.stepFailed(.synchronise, failure))
        writer.add(.suspended(failure, needsRecovery: true))
        return MigrationReport(spec: spec, events: writer.events)
    }

    /// Checks a page as an XML parser would see its tags: every one closed, in order.
    static func imbalance(of page: String) -> String? {
        let void: Set<String> = ["meta", "!doctype"]
        var open: [String] = []
        var rest = page[...]
        while let begin = rest.firstIndex(of: "<") {
            guard let end = rest[begin...].firstIndex(of: ">") else { return "an unfinished tag" }
            let tag = rest[rest.index(after: begin)..<end]
            rest = rest[rest.index(after: end)...]
            let name = tag.drop { $0 == "/" }.prefix { !$0.isWhitespace && $0 != "/" }.lowercased()
            if tag.hasPrefix("/") {
                guard open.popLast() == name else { return "</\(name)> closes something else" }
            } else if !tag.hasSuffix("/"), !void.contains(name) {
                open.append(name)
            }
        }
        return open.isEmpty ? nil : "left open: \(open)"
    }

    @Test("Nothing that comes from outside can become markup")
    func hostile() throws {
        let page = HTMLReport.render(try Self.hostileReport())
        #expect(!page.contains("<script"))
        #expect(!page.contains("onload=\""))
        #expect(!page.contains("alert('"))
        #expect(!page.unicodeScalars.contains { $0 == "\u{202E}" || $0 == "\u{1B}" })
        #expect(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;onload=&quot;x&amp;amp;"))
        #expect(Self.imbalance(of: page) == nil)
        #expect(page.contains("the copies differ"))
        #expect(page.contains("needs recovery"))
    }

    @Test("Every page is well-formed and needs nothing beside itself")
    func selfContained() throws {
        let reports = [
            try Histories.late(), try Histories.early(), try Histories.rolledBack(), try Histories.long(),
            try Histories.resumed(),
        ]
        for report in reports {
            let page = HTMLReport.render(report)
            #expect(Self.imbalance(of: page) == nil)
            for word in ["<script", "<link", "<img", "@import", "url(", "src=", "href="] {
                #expect(!page.contains(word), "\(word)")
            }
            let addresses = page.split(separator: "\"").filter { $0.hasPrefix("http") }
            #expect(addresses.allSatisfy { $0 == "http://www.w3.org/2000/svg" })
        }
    }

    @Test("The timeline has a title and a description that tell what it shows")
    func accessible() throws {
        let page = HTMLReport.render(try Histories.late())
        #expect(page.contains("<title id=\"timeline-title-wide\">Timeline of the migration of web1</title>"))
        #expect(page.contains("Freezes: freeze 1 5.10 s, freeze 2 4.20 s, freeze 3 5.30 s.</desc>"))
        #expect(page.contains("aria-labelledby=\"timeline-title-narrow timeline-description-narrow\""))
        #expect(page.contains("<th scope=\"col\">freeze</th>"))
        #expect(page.contains("<th scope=\"row\">freeze 1</th>"))
        #expect(page.components("<table>") == page.components("<caption>"))
    }

    @Test("The freezes are drawn with their lengths, wide enough to see even beside hours of synchronising")
    func freezes() throws {
        let svg = HTMLReport.timeline(try Histories.long())
        for length in ["5.10 s", "4.20 s", "5.30 s"] {
            #expect(svg.contains(">\(length)</text>"), "\(length)")
        }
        #expect(svg.contains("3 h 12 min, shortened"))
        let widths = svg.split(separator: "<rect class=\"band\"").dropFirst().compactMap { part in
            part.split(separator: "width=\"").dropFirst().first?.prefix { $0 != "\"" }
        }.compactMap { Double($0) }
        #expect(widths.count == 3)
        #expect(widths.allSatisfy { $0 > 30 }, "\(widths)")
        #expect(Self.imbalance(of: svg) == nil)
    }
}

extension String {
    /// How often `part` occurs.
    fileprivate func components(_ part: String) -> Int {
        split(separator: part, omittingEmptySubsequences: false).count - 1
    }
}

import ArgumentParser
import Glibc
import HostModel
import Hosts
import Migration
import Operations
import Reporting

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check this host, and another one beside it, each finding with its remedy.",
        discussion: """
            With --to the target is asked too, and whether the two fit together; with a domain, whether 'migrate' would \
            take it. Of the target's own volumes, links and images nothing is said: run 'xenlvs doctor' there. Nothing is \
            changed.

            Exit codes: 0 all is well, or there are warnings; 1 something blocks, or the check itself failed; 4 what Xen \
            or DRBD say cannot be relied on; 6 no such domain; 64 usage.
            """)
    @Argument(help: "The domain that is to be migrated, as 'xl list' names it.") var domain: String?
    @Option(name: .customLong("to"), help: "The target host, as ssh reaches it.") var target: String?
    @Option(name: .customLong("target-vg"), help: "The volume group for the target's volumes, as for 'migrate'.")
    var targetGroup: String?
    @OptionGroup var output: FormatOption

    func validate() throws {
        if domain != nil, target == nil { throw ValidationError("A domain is judged for a target: give --to HOST.") }
        if targetGroup != nil, domain == nil { throw ValidationError("--target-vg goes with a domain.") }
    }

    func run() async throws {
        try await reporting {
            let findings = try await findings()
            switch output.format {
            case .table: Console.result(FindingsText.render(findings))
            case .json: Console.result(try PrettyJSON.encode(findings))
            }
            return findings.contains { $0.severity == .blocking } ? .failed : .done
        }
    }

    private func findings() async throws -> [Finding] {
        let target = try target.map { try HostName($0) }
        let domain = try domain.map { try DomainName($0) }
        let group = try targetGroup.map { try VolumeGroupName($0) }
        let host: HostContext
        do { host = try ThisHost.open() } catch let failure as Failure {
            return Doctor.findings(for: failure, on: "localhost")
        }
        let doctor = Doctor(worker: HostWorker(host: host, version: Version.text))
        guard let domain, let target else { return try await doctor.examine(target: target) }
        return try await doctor.judge(
            MigrationRequest(
                domain: domain, target: target, plan: MigrationPlan(settlement: .late, comparesCopies: false),
                verifies: false, bandwidth: nil, targetGroup: group, removesSource: false))
    }
}

/// Findings for people: a table whose texts are wrapped instead of cut.
enum FindingsText {
    private static let titles = ["SEVERITY", "HOST", "FINDING"]

    static func render(_ findings: [Finding]) -> String {
        let terminal = Terminal.output
        let style = TerminalStyle.detect(
            isTerminal: terminal.isTerminal, environment: ProcessEnvironment.variables)
        let width = terminal.isTerminal ? terminal.columns : 100
        let host = max(titles[1].count, findings.map(\.host.count).max() ?? 0)
        let room = max(30, width - titles[0].count - host - 4)
        let rows = findings.flatMap { finding -> [[String]] in
            lines(finding, room).enumerated().map { index, line in
                index == 0 ? [finding.severity.rawValue, finding.host, line] : ["", "", line]
            }
        }
        return Table(columns: titles.map { Table.Column($0) }, rows: rows).render(style: style)
    }

    private static func lines(_ finding: Finding, _ room: Int) -> [String] {
        wrapped(finding.what, room, indent: "")
            + (finding.why.map { wrapped("why: " + $0, room, indent: "  ") } ?? [])
            + (finding.remedy.map { wrapped("what to do: " + $0, room, indent: "  ") } ?? [])
    }

    /// `text` in lines of at most `room` characters, broken at spaces; a longer word stays whole, to be copied.
    static func wrapped(_ text: String, _ room: Int, indent: String) -> [String] {
        var lines: [String] = []
        for word in text.split(whereSeparator: \.isWhitespace) {
            if let last = lines.last, last.count + 1 + word.count <= room {
                lines[lines.count - 1] = last + " " + word
            } else {
                // What follows the first line stands a little deeper.
                lines.append((lines.isEmpty ? indent : indent + "  ") + word)
            }
        }
        return lines
    }
}

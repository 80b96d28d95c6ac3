import ArgumentParser
import Glibc
import HostModel
import Hosts
import Operations
import Reporting

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check this host, and another one beside it, each finding with its remedy.",
        discussion: """
            With --to the target is asked too, and whether the two fit together; with a domain, whether 'migrate' would \
            take it. Of the target's own volumes, links and images nothing is said: run 'xenlvs doctor' there. Nothing is \
            changed.

            With --set-lvm-filter LVM is kept off guests' disks (DRBD, AoE, iSCSI, switches, multipath maps) by a \
            global_filter in /etc/lvm/lvmlocal.conf, whose former text is kept beside it. LVM itself tries it before: a \
            filter that somebody else has set stays as it is, and the line that is missing is told; so is what LVM would not \
            find any more. --remove-lvm-filter takes it back.

            Exit codes: 0 all is well, or there are warnings; 1 something blocks, was refused, or the check itself failed; \
            4 what Xen or DRBD say cannot be relied on, or the file has been changed by hand; 5 a volume group on a guest's \
            disk is active; 6 no such domain; 64 usage.
            """)
    @Argument(help: "The domain that is to be migrated, as 'xl list' names it.") var domain: String?
    @Option(name: .customLong("to"), help: "The target host, as ssh reaches it.") var target: String?
    @Option(name: .customLong("target-vg"), help: "The volume group for the target's volumes, as for 'migrate'.")
    var targetGroup: String?
    @Flag(help: "Keep LVM off guests' disks on this host.") var setLvmFilter = false
    @Flag(help: "Take back what --set-lvm-filter has set.") var removeLvmFilter = false
    @OptionGroup var output: FormatOption

    func validate() throws {
        if setLvmFilter || removeLvmFilter {
            if setLvmFilter, removeLvmFilter {
                throw ValidationError("Give one of --set-lvm-filter and --remove-lvm-filter.")
            }
            if domain != nil || target != nil || targetGroup != nil {
                throw ValidationError("LVM's filter is set on this host alone: give neither a domain nor --to.")
            }
        }
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
        if setLvmFilter { return try await LVMFilterSetting(host: try ThisHost.open()).set() }
        if removeLvmFilter { return try await LVMFilterSetting(host: try ThisHost.open()).remove() }
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
                domain: domain, target: target, targetGroup: group))
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

    /// `text` in lines of at most `room` characters, broken at spaces; a longer word stays whole, to be copied, and so does
    /// what stands on a line of its own: commands.
    static func wrapped(_ text: String, _ room: Int, indent: String) -> [String] {
        let given = text.split(separator: "\n")
        var lines: [String] = []
        for word in (given.first ?? "").split(whereSeparator: \.isWhitespace) {
            if let last = lines.last, last.count + 1 + word.count <= room {
                lines[lines.count - 1] = last + " " + word
            } else {
                // What follows the first line stands a little deeper.
                lines.append((lines.isEmpty ? indent : indent + "  ") + word)
            }
        }
        return lines + given.dropFirst().map { indent + $0 }
    }
}

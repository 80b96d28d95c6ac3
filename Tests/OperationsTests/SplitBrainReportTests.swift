import HostModel
import Hosts
import Migration
import Replication
import Testing

@testable import Operations

@Suite("Reports of a split brain")
struct SplitBrainReportTests {
    private static let log = """
        [   95.17] drbd xenlvs-web1: conn( StandAlone -> Unconnected )
        [   95.75] block drbd3: self 16E8A450C93E722D:E80C8D1EFE7ABFDF:322EE5A9CB6BF460:0000000000000004 bits:1 flags:0
        [   95.75] block drbd3: peer CAD2A7272DFD0ED5:E80C8D1EFE7ABFDE:322EE5A9CB6BF460:0000000000000004 bits:1 flags:0
        [   95.76] block drbd3: Split-Brain detected but unresolved, dropping connection!
        """
    private static let changed =
        "16E8A450C93E722D:E80C8D1EFE7ABFDF:322EE5A9CB6BF460:0000000000000004:1:1:1:0:0:0:0\n"
    private static let neverCopied =
        "3EFD1ACEBD35C24D:0000000000000004:0000000000000000:0000000000000000:1:1:1:0:0:0:0\n"

    /// web1's migration from nodea, which has minor 3, to nodeb, which has minor 7.
    private func migration(_ role: Role, decided: Bool = false) throws -> RecordedMigration {
        var spec = try TargetHost.spec()
        spec.volumes = [try Sample.specification("web1")]
        spec.target.address = "192.0.2.2"
        return RecordedMigration(
            record: MigrationRecord(
                id: spec.id.text, domain: spec.domain.text, role: role == .source ? .source : .target, epoch: 1,
                spec: try JSONText.encode(spec), machine: "", decided: decided, isOpen: true, created: 1, updated: 1),
            spec: spec, role: role)
    }

    private func status(_ role: String = "Primary", _ connection: String = "StandAlone") throws -> ReplicaStatus {
        try #require(
            try ReplicaStatus.parse(
                events2: """
                    exists resource name:xenlvs-web1 role:\(role) suspended:no
                    exists connection name:xenlvs-web1 peer-node-id:0 connection:\(connection) role:Unknown
                    exists device name:xenlvs-web1 volume:0 minor:3 disk:UpToDate size:65536 read:0 written:0
                    exists peer-device name:xenlvs-web1 peer-node-id:0 volume:0 replication:Off peer-disk:DUnknown \
                    resync-suspended:no received:0 sent:0 out-of-sync:0
                    exists -
                    """
            ).first)
    }

    private func report(
        _ migration: RecordedMigration, _ cause: StandAloneExplanation.Cause = .splitBrain,
        status: ReplicaStatus? = nil, generation: String? = Self.changed, dialect: DRBDDialect = .v84
    ) throws -> SplitBrainReport? {
        var evidence = SplitBrainEvidence(
            try status ?? self.status(), minor: 3, cause, kernelLog: Self.log)
        evidence.generation = generation.flatMap { DataGeneration($0) }
        return try SplitBrainReport(of: migration.spec.volumes[0], in: migration, dialect, evidence)
    }

    /// As `replica status` would have it.
    private func summary(
        _ report: SplitBrainReport?, _ cause: StandAloneExplanation.Cause, migration: String? = "web1-20261121-0001"
    ) throws -> ReplicaSummary {
        var summary = ReplicaSummary(try VolumeName("web1"), try status())
        let explanation = StandAloneExplanation(cause: cause)
        (summary.why, summary.remedy) = (explanation.sentence, explanation.remedy)
        (summary.migration, summary.splitBrain) = (migration, report)
        return summary
    }

    @Test("It names both hosts' generations, and the lines to be typed with the hosts' own numbers and addresses")
    func whole() throws {
        let found = try #require(try report(try migration(.source)))
        #expect(found.isCertain)
        #expect(found.here.host.text == "nodea" && found.here.generation == "16E8A450C93E722D")
        #expect(found.peer.host.text == "nodeb" && found.peer.generation == "CAD2A7272DFD0ED5")
        let lines = try #require(found.choices.first?.lines)
        #expect(lines.map(\.host.text) == ["nodeb", "nodea"])
        #expect(
            lines[0].command.hasPrefix(
                "drbdsetup disconnect ipv4:192.0.2.2:7800 ipv4:192.0.2.1:7800 2>/dev/null; drbdsetup secondary 7 && "
                    + "drbdsetup connect xenlvs-web1 ipv4:192.0.2.2:7800 ipv4:192.0.2.1:7800 --protocol=C "))
        #expect(lines[0].command.hasSuffix(" --discard-my-data=yes"))
        #expect(
            lines[1].command.hasPrefix(
                "drbdsetup disconnect ipv4:192.0.2.1:7800 ipv4:192.0.2.2:7800 2>/dev/null; "
                    + "drbdsetup connect xenlvs-web1 ipv4:192.0.2.1:7800 ipv4:192.0.2.2:7800 --protocol=C "))
        #expect(!lines[1].command.contains("discard") && !lines[1].command.contains("secondary"))
        #expect(found.choices.count == 2 && found.choices[1].lines.map(\.host.text) == ["nodea", "nodeb"])
        #expect(found.choices[1].lines[0].command.contains("drbdsetup secondary 3 && "))
    }

    @Test("The way that comes first keeps the copy of the host to which the domain belongs, whoever is asked")
    func direction() throws {
        let cases: [(Role, Bool, String)] = [
            (.source, false, "nodea"), (.target, false, "nodea"), (.source, true, "nodeb"), (.target, true, "nodeb"),
        ]
        for (role, decided, keeps) in cases {
            let found = try #require(try report(try migration(role, decided: decided)))
            #expect(found.choices.map(\.keeps.text) == [keeps, keeps == "nodea" ? "nodeb" : "nodea"])
            #expect(found.here.host.text == (role == .source ? "nodea" : "nodeb"))
        }
        let lines = try #require(try report(try migration(.target))?.choices)
        #expect(try report(try migration(.source))?.choices == lines, "both hosts print the same lines")
    }

    @Test("On DRBD 9 a peer is named by its number")
    func version9() throws {
        let found = try #require(try report(try migration(.source), dialect: .v9))
        #expect(found.choices[0].lines[0].command.hasSuffix("drbdsetup connect xenlvs-web1 0 --discard-my-data=yes"))
        #expect(found.choices[0].lines[1].command.hasSuffix("drbdsetup connect xenlvs-web1 1"))
    }

    @Test("A Primary that stands alone may be one half of a split brain, but not before a peer had its data")
    func possible() throws {
        let source = try migration(.source)
        for cause in [StandAloneExplanation.Cause.disconnectedHere, .networkFailure, .unknown] {
            let found = try #require(try report(source, cause))
            #expect(!found.isCertain && found.here.generation == "16E8A450C93E722D")
            // What an earlier handshake told is not what the peer has now.
            #expect(found.peer.generation == nil && found.generations.contains("xenlvs replica status web1"))
            #expect(try report(source, cause, generation: Self.neverCopied) == nil)
            #expect(try report(source, cause, status: status("Secondary")) == nil)
            #expect(try report(source, cause, status: status("Primary", "Connecting")) == nil)
        }
        // Where DRBD has refused, that is beyond doubt, whatever role this copy has by now.
        #expect(try report(source, status: status("Secondary")) != nil)
        #expect(try report(source, generation: Self.neverCopied) != nil)
    }

    @Test("A generation that the kernel does not tell is taken from the handshake, or said to be unknown")
    func unknownGeneration() throws {
        let source = try migration(.source)
        #expect(try report(source, generation: nil)?.here.generation == "16E8A450C93E722D")
        let none = try #require(try report(source, .unknown, generation: nil))
        #expect(none.here.generation == nil && none.generations.hasPrefix("DRBD does not tell"))
    }

    @Test("The doctor: what DRBD has refused blocks, a Primary alone is a warning, both with the two commands")
    func findings() throws {
        let checks = ReplicaFindings(host: try HostName("nodea"), swapped: [try VolumeName("db")])
        let split = try #require(try report(try migration(.source)))
        let certain = try #require(checks.findings([try summary(split, .splitBrain)]).first)
        #expect(certain.severity == .blocking && certain.what.contains("split brain"))
        for generation in ["16E8A450C93E722D", "CAD2A7272DFD0ED5"] {
            #expect(certain.why?.contains(generation) == true)
        }
        let maybe = try #require(try report(try migration(.source), .disconnectedHere))
        let possible = try #require(checks.findings([try summary(maybe, .disconnectedHere)]).first)
        #expect(possible.severity == .warning && possible.what.contains("a split brain is possible"))
        for remedy in [certain.remedy, possible.remedy] {
            let lines = try #require(remedy).split(separator: "\n").map(String.init)
            let commands = split.choices[0].lines.map { "  on \($0.host): \($0.command)" }
            #expect(Array(lines.dropFirst()) == commands)
            #expect(lines.first?.contains("xenlvs migration resume web1-20261121-0001") == true)
        }
    }

    @Test("The doctor: other replicas are as they were")
    func otherFindings() throws {
        let name = try HostName("nodea")
        let checks = ReplicaFindings(host: name, swapped: [])
        let apart = checks.findings([try summary(nil, .wrongSecret)])
        #expect(apart.map(\.severity) == [.warning] && apart[0].what == "the replica xenlvs-web1 is StandAlone")
        let left = checks.findings([try summary(nil, .unknown, migration: nil)])
        #expect(left.map(\.severity) == [.warning] && left[0].what.contains("belongs to no migration"))
        let swapped = ReplicaFindings(host: name, swapped: [try VolumeName("web1")])
        #expect(swapped.findings([try summary(nil, .unknown, migration: nil)]).map(\.severity) == [.fine])
        #expect(checks.findings([]).map(\.severity) == [.fine])
    }

    @Test("A migration that cannot connect says it all in its failure; what is only possible, it does not")
    func refusal() throws {
        let split = try #require(try report(try migration(.source)))
        let text = try summary(split, .splitBrain).explanation
        for part in ["split brain", "16E8A450C93E722D", "CAD2A7272DFD0ED5"] + split.choices[0].lines.map(\.command) {
            #expect(text.contains(part), "\(part) is not in: \(text)")
        }
        let plain = StandAloneExplanation(cause: .wrongSecret)
        #expect(try summary(nil, .wrongSecret).explanation == plain.description)
        let maybe = try report(try migration(.source), .wrongSecret)
        #expect(try summary(maybe, .wrongSecret).explanation == plain.description)
    }

    @Test("replica status has every line whole, and no secret")
    func lines() throws {
        let split = try #require(try report(try migration(.source)))
        for line in split.choices.flatMap(\.lines) {
            #expect(split.lines.contains("  on \(line.host): \(line.command)"))
        }
        #expect(split.lines.last == "then: xenlvs migration resume web1-20261121-0001")
        #expect(!split.lines.joined().contains("secret"))
        let json = try JSONText.encode(try summary(split, .splitBrain))
        #expect(json.contains(#""splitBrain":{"choices":[{"keeps":"nodea","lines":[{"command":"drbdsetup disconnect"#))
        #expect(json.contains(#""here":{"generation":"16E8A450C93E722D","host":"nodea"},"isCertain":true,"peer":{"#))
        #expect(!json.contains("secret"))
    }
}

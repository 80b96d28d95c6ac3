import HostModel
import Testing

@testable import ISCSI

@Suite("What an operator writes down")
struct DocumentTests {
    private func parse(_ text: String) throws(Failure) -> ISCSIState {
        let host = HostName(unchecked: "NodeA")
        return try ExportDocument.parse(text, path: "exports.yaml") { volume throws(Failure) in
            try ISCSIExport.standardTarget(of: volume, on: host)
        }
    }

    @Test("Everything that can be said")
    func complete() throws {
        let state = try parse(
            """
            iscsi:
              discovery_chap: /etc/xenlvs/discovery.chap
              exports:
                - volume: web1
                  portals: [10.0.0.1, "[fd00::1]:3261"]
                  initiators:
                    - iqn.1993-08.org.debian:01:nodeb
                    - name: iqn.1993-08.org.debian:01:nodec
                      chap: /etc/xenlvs/nodec.chap
                      read_only: true
                  chap: /etc/xenlvs/web1.chap
                  header_digest: crc32c
                  data_digest: none
                  thin: true
                - volume: web2
                  target: iqn.2026-11.com.example:disk
                  lun: 3
                  portals: [10.0.0.1]
                  initiators: [iqn.1993-08.org.debian:01:nodeb]
                  read_only: true
            """)
        #expect(state.discoveryCHAPFile == "/etc/xenlvs/discovery.chap")
        let first = ISCSIExport(
            volume: Sample.volume("web1"), target: Sample.target("web1"),
            portals: [try Portal("10.0.0.1"), try Portal("[fd00::1]:3261")],
            initiators: [
                AllowedInitiator(Sample.initiator),
                AllowedInitiator(Sample.otherInitiator, chapFile: "/etc/xenlvs/nodec.chap", isReadOnly: true),
            ], chapFile: "/etc/xenlvs/web1.chap", headerDigest: .crc32c, dataDigest: .none, isThin: true)
        let second = ISCSIExport(
            volume: Sample.volume("web2"), target: try ISCSIName("iqn.2026-11.com.example:disk"), lun: 3,
            portals: [try Portal("10.0.0.1")], initiators: [AllowedInitiator(Sample.initiator)], isReadOnly: true)
        #expect(state.exports == [first, second])
        #expect(try parse("iscsi: {exports: []}") == ISCSIState())
    }

    private static let good = """
        iscsi:
          exports:
            - volume: web1
              portals: [10.0.0.1]
              initiators: [iqn.1993-08.org.debian:01:nodeb]
        """

    @Test(
        "What is wrong is told with its line",
        arguments: [
            ("", "it is empty"),
            ("- a", "line 1"),
            ("iscsi: [", "not YAML"),
            ("nfs: {}", "line 1: the key 'nfs' cannot be used: it is unknown"),
            ("iscsi:\n  exprots: []", "line 2: the key 'exprots'"),
            ("\(good)\n      portal: [10.0.0.1]", "line 6: the key 'portal'"),
            ("\(good)\n      thin: maybe", "line 6: 'thin' cannot be used: it must be true or false"),
            ("\(good)\n      lun: 0", "0 is no LUN"),
            ("\(good)\n      lun: 256", "256 is no LUN"),
            ("\(good)\n      lun: x", "line 6"),
            ("\(good)\n      header_digest: md5", "either, crc32c, none"),
            ("\(good)\n      chap: secret", "not a CHAP file"),
            ("\(good)\n      target: notaniqn", "line 6: 'target' cannot be used: 'notaniqn' is not a iSCSI name"),
            ("\(good)\n      volume: web2", "web1"),
            (good.replacing("10.0.0.1", with: "10.0.0.300"), "line 4: the entry of 'portals' cannot be used"),
            (good.replacing("10.0.0.1", with: "0.0.0.0"), "every address"),
            (good.replacing("10.0.0.1", with: "10.0.0.1, '10.0.0.1:3260'"), "is there twice"),
            (good.replacing("[10.0.0.1]", with: "[]"), "0 portals"),
            (good.replacing("[iqn.1993-08.org.debian:01:nodeb]", with: "[]"), "0 initiators"),
            (good.replacing("[iqn.1993-08.org.debian:01:nodeb]", with: "iqn.1993-08.org.debian:01:nodeb"), "a list"),
            (good.replacing("web1", with: "../etc"), "is not a volume name"),
            (
                "\(good)\n    - volume: web1\n      target: iqn.2026-11.com.example:b\n      portals: [10.0.0.1]\n"
                    + "      initiators: [iqn.1993-08.org.debian:01:nodeb]", "the volume 'web1' is exported twice"
            ),
            (
                "\(good)\n    - volume: web2\n      target: iqn.2026-11.invalid.xenlvs.nodea:web1\n"
                    + "      portals: [10.0.0.1]\n      initiators: [iqn.1993-08.org.debian:01:nodeb]",
                "two exports have the target name"
            ),
            (
                good.replacing(
                    "[iqn.1993-08.org.debian:01:nodeb]",
                    with: "[iqn.1993-08.org.debian:01:a, {name: iqn.1993-08.org.debian:01:b, chap: /f}]"),
                "iqn.1993-08.org.debian:01:a has no CHAP file"
            ),
        ])
    func mistakes(_ text: String, _ words: String) {
        let failure = #expect(throws: Failure.self) { try parse(text) }
        #expect(
            failure?.code == .usage && failure?.description.contains(words) == true, "\(failure?.description ?? "")")
    }

    @Test("A CHAP file")
    func chapFile() throws {
        let text =
            "# who\nuser = web1\nsecret =  s3cret+with=signs \n\nmutual_user=target\nmutual_secret=another-secret\n"
        let credentials = try CHAPCredentials(parsing: text, path: "f")
        #expect(credentials.initiator.user == "web1" && credentials.initiator.secret.text == "s3cret+with=signs")
        #expect(credentials.target?.user == "target" && credentials.target?.secret.text == "another-secret")
    }

    @Test(
        "A CHAP file that cannot be used, and its secret is not told",
        arguments: [
            "user = u\nsecret = SeCrEt", "user = u\nsecret = \(String(repeating: "SeCrEt", count: 43))",
            "secret = SeCrEtSeCrEt", "user = u", "user = u v\nsecret = SeCrEtSeCrEt",
            "user = u\nsecret = NULLSeCrEtSeCrEt",
            "user = u\nsecret = SeCrEtSeCrEt\nmutual_user = v\nmutual_secret = SeCrEtSeCrEt",
            "user = u\nsecret = SeCrEtSeCrEt\nmutual_user = v", "user = u\nsecret = SeCrEt SeCrEt",
            "user = u\nSeCrEtSeCrEt", "user = u\nuser = v\nsecret = SeCrEtSeCrEt",
            "user = u\nsecret = SeCrEtSeCrEt\u{e9}",
        ])
    func badCHAPFile(_ text: String) {
        let failure = #expect(throws: Failure.self) { try CHAPCredentials(parsing: text, path: "/etc/chap") }
        let said = failure?.detailedDescription ?? ""
        #expect(failure?.code == .usage && said.contains("/etc/chap") && !said.contains("SeCrEt"), "\(said)")
    }

    @Test("Nothing that can be printed shows a secret")
    func secretsAreNotShown() throws {
        let export = Sample.export("web1", credentials: Sample.credentials("web1", mutual: true))
        var kernel = SimulatedTarget()
        let state = ResolvedState(exports: [export], discovery: Sample.credentials("discovery"))
        kernel.provide(state)
        let plan = try kernel.difference(to: state, owned: state.ownership)
        #expect(plan.writes.count { if case .writeSecret = $0 { true } else { false } } == 3)
        for write in plan.writes { try kernel.perform(write) }
        let snapshot = try LIOSnapshot(reading: kernel)
        var shown = "\(state) \(plan) \(plan.writes.map(\.description)) \(snapshot) \(String(reflecting: snapshot))"
        dump(state, to: &shown)
        dump(plan, to: &shown)
        dump(snapshot, to: &shown)
        #expect(shown.contains("[secret]"))
        for word in ["the-secret-of", "the-mutual-of"] { #expect(!shown.contains(word)) }
    }
}

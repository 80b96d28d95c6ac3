import HostModel
import ISCSI
import Testing

@testable import Operations

@Suite("What the doctor says of attachments")
struct AttachmentFindingsTests {
    private let web1 = VolumeName(unchecked: "web1")

    private func path(_ portal: String, session: Int? = 1, isLeftOut: Bool = false, why: String? = nil) throws
        -> ISCSIPathSummary
    {
        ISCSIPathSummary(
            portal: try Portal(portal), session: session, isLeftOut: isLeftOut, isUp: why == nil, why: why)
    }

    private func row(
        _ state: ISCSIAttachmentState, _ paths: [ISCSIPathSummary], target: TargetVerdict = .asRecorded,
        why: String? = nil
    ) throws -> AttachmentRow {
        .iscsi(
            ISCSIAttachmentSummary(
                name: web1, address: try ISCSIName("iqn.2026-11.invalid.xenlvs.nodeb:web1"), lun: 1, state: state,
                recorded: DiskIdentity(wwid: "36001405", serial: "", size: .gibibytes(10)), target: target,
                paths: paths, link: LinkFacts(name: web1, path: "/dev/xenlvs/web1", verdict: .right), uses: [],
                why: why))
    }

    private func findings(_ rows: AttachmentRow...) throws -> [Finding] {
        AttachmentFindings(host: try HostName("nodea")).findings(rows)
    }

    @Test("A path without a session is a warning with its portal, the reason and what to do")
    func missing() throws {
        let why = "there is no session: 10.0.0.2:3260 cannot be reached"
        let found = try findings(
            try row(
                .degraded, [try path("10.0.0.1"), try path("10.0.0.2", session: nil, why: why)],
                why: "10.0.0.2:3260: \(why)"))
        #expect(found.count == 1 && found[0].severity == .warning && found[0].host == "nodea", "\(found)")
        #expect(found[0].what == "the path 10.0.0.2:3260 of the attachment web1 is missing")
        #expect(found[0].why == why)
        #expect(found[0].remedy?.contains("see the network to 10.0.0.2") == true)
        #expect(found[0].remedy?.contains("'xenlvs link repair web1'") == true)
    }

    @Test("Each path that is down beside one that is up is told, by what brings it back")
    func down() throws {
        let found = try findings(
            try row(
                .degraded,
                [
                    try path("10.0.0.1"), try path("10.0.0.2", why: "its session is FAILED"),
                    try path("10.0.0.3", isLeftOut: true, why: "its disk sdd is not in the map"),
                ], target: .silent, why: "10.0.0.2:3260: its session is FAILED"))
        #expect(found.map(\.severity) == [.warning, .warning])
        #expect(
            found.map(\.what) == [
                "the path 10.0.0.2:3260 of the attachment web1 is down",
                "the path 10.0.0.3:3260 of the attachment web1 is down",
            ])
        #expect(found[0].remedy?.contains("by itself") == true && found[1].remedy?.contains("link repair web1") == true)
    }

    @Test("What is down altogether, or is another disk, blocks; missing paths are told beside it")
    func blocking() throws {
        let paths = [
            try path("10.0.0.1", why: "its session is FAILED"), try path("10.0.0.2", session: nil, why: "no session"),
        ]
        let down = try findings(try row(.down, paths, why: "10.0.0.1:3260: its session is FAILED"))
        #expect(down.map(\.severity) == [.blocking, .warning], "\(down)")
        #expect(down[1].what.contains("10.0.0.2:3260") && down[1].what.contains("missing"))
        let other = try findings(try row(.degraded, paths, target: .another, why: "the target has another disk"))
        #expect(other.map(\.severity) == [.blocking, .warning, .warning], "\(other)")
        let grown = try findings(try row(.up, [try path("10.0.0.1")], target: .grown, why: "it has grown"))
        #expect(grown.map(\.severity) == [.warning] && grown[0].why == "it has grown")
    }

    @Test("Of what is not there at all no path is missing, and where all is well that is said")
    func others() throws {
        let absent = try findings(
            try row(.absent, [try path("10.0.0.1", session: nil, why: "no session")], why: "no session"))
        #expect(absent.map(\.severity) == [.blocking])
        let fine = try findings(try row(.up, [try path("10.0.0.1"), try path("10.0.0.2")]))
        #expect(fine.map(\.severity) == [.fine] && fine[0].what == "every attachment is up (1)")
    }
}

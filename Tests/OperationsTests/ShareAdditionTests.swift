import HostModel
import ISCSI
import Testing

@testable import Operations

@Suite("What a share changes in exports, and takes back")
struct ShareAdditionTests {
    private let web1 = VolumeName(unchecked: "web1")
    private let domain = DomainName(unchecked: "web1")
    private let target = ISCSIName(unchecked: "iqn.2026-11.invalid.xenlvs.nodea:web1")

    private func initiator(_ host: String) -> ISCSIName { ISCSIName(unchecked: "iqn.1993-08.org.debian:01:\(host)") }

    /// As an operator has made it.
    private func theirs(domain: String? = nil) throws -> ISCSIExport {
        ISCSIExport(
            volume: web1, target: target, lun: 7, portals: [try Portal("10.0.0.1")],
            initiators: [AllowedInitiator(initiator("x"), isReadOnly: true)], chapFile: "/etc/xenlvs/x.chap",
            domain: domain.map { DomainName(unchecked: $0) })
    }

    private func access(_ hosts: [String] = ["b"], chapFile: String? = nil) throws -> ShareAccess {
        ShareAccess(
            initiators: hosts.map(initiator), portals: [try Portal("10.0.0.1"), try Portal("10.1.0.1")],
            chapFile: chapFile)
    }

    private func fresh(_ volumes: [VolumeName]? = nil) -> ShareRecord {
        ShareRecord(domain: domain, way: .iscsi, hosts: [], volumes: volumes ?? [web1])
    }

    /// One run of `share`, without a host.
    private func share(
        _ state: inout ISCSIState, _ record: inout ShareRecord, _ access: ShareAccess, again: Bool = false
    ) {
        let earlier = again ? record.volumes : []
        state.exports = record.exports(from: state.exports, access, earlier: earlier) { volume in
            ISCSIName(unchecked: "iqn.2026-11.invalid.xenlvs.nodea:\(volume)")
        }
    }

    @Test("An operator's export is afterwards what it was before", arguments: [nil, "web1", "other"] as [String?])
    func theirExport(_ owner: String?) throws {
        let before = try theirs(domain: owner)
        var (state, record) = (ISCSIState(exports: [before]), fresh())
        share(&state, &record, try access(chapFile: "/etc/xenlvs/share.chap"))
        #expect(record.exportedBefore == [web1] && state.exports[0].domain == domain)
        #expect(state.exports[0].initiators.map(\.name) == [initiator("x"), initiator("b")])
        #expect(state.exports[0].portals.map(\.address) == ["10.0.0.1", "10.1.0.1"] && state.exports[0].lun == 7)
        #expect(state.exports[0].chapFile == "/etc/xenlvs/share.chap")
        // A further host, and another file.
        share(&state, &record, try access(["b", "c"], chapFile: "/etc/xenlvs/later.chap"), again: true)
        #expect(record.exportedBefore == [web1] && state.exports[0].initiators.count == 3)
        let removed = try record.takeBack(from: &state)
        #expect(state.exports == [before])
        #expect(
            removed
                == [
                    "the initiator \(initiator("b"))", "the initiator \(initiator("c"))", "the portal 10.1.0.1:3260",
                    "the CHAP file /etc/xenlvs/later.chap",
                ].map { "\($0) from the export of web1" })
    }

    @Test("Each host is given the portals that are meant for it, and the export has those of all")
    func places() throws {
        let (near, far) = (try Portal("10.0.0.1"), try Portal("10.1.0.1"))
        let (b, c, d) = (HostName(unchecked: "b"), HostName(unchecked: "c"), HostName(unchecked: "d"))
        var access = ShareAccess(initiators: [], portals: [], chapFile: nil)
        try access.admit(b, as: initiator("b"), by: [near])
        try access.admit(c, as: initiator("c"), by: [far])
        try access.admit(d, as: initiator("d"), by: [far, near])
        #expect(access.places == [b: [near], c: [far], d: [far, near]] && access.portals == [near, far])
        var (state, record) = (ISCSIState(), fresh())
        share(&state, &record, access)
        #expect(state.exports.map(\.portals) == [[near, far]])
        #expect(state.exports[0].initiators.map(\.name) == ["b", "c", "d"].map(initiator))
        let copied = #expect(throws: Failure.self) {
            try access.admit(HostName(unchecked: "e"), as: initiator("b"), by: [near])
        }
        #expect(copied?.code == .refused && copied?.host == "e" && access.places.count == 3)
    }

    @Test("What others change meanwhile stays")
    func changedMeanwhile() throws {
        var (state, record) = (ISCSIState(exports: [try theirs()]), fresh())
        share(&state, &record, try access(chapFile: "/etc/xenlvs/share.chap"))
        state.exports[0].initiators.append(AllowedInitiator(initiator("y")))
        state.exports[0].chapFile = "/etc/xenlvs/y.chap"
        state.exports[0].domain = DomainName(unchecked: "other")
        _ = try record.takeBack(from: &state)
        #expect(state.exports[0].initiators.map(\.name) == [initiator("x"), initiator("y")])
        #expect(state.exports[0].chapFile == "/etc/xenlvs/y.chap" && state.exports[0].domain?.text == "other")
    }

    @Test("The share's own exports end; one that somebody has made anew, or that was there first, stays")
    func ownExports() throws {
        let data = VolumeName(unchecked: "data")
        var (state, record) = (ISCSIState(exports: [try theirs(domain: "web1")]), fresh([web1, data]))
        share(&state, &record, try access())
        #expect(record.exportedBefore == [web1] && state.exports.map(\.volume) == [web1, data])
        share(&state, &record, try access(), again: true)
        #expect(record.exportedBefore == [web1])
        var ended = state
        let removed = try record.takeBack(from: &ended)
        #expect(removed.contains("the export of data") && ended.exports.map(\.volume) == [web1])

        state.exports[1].domain = nil
        var kept = state
        _ = try record.takeBack(from: &kept)
        #expect(kept.exports.map(\.volume) == [web1, data])
        share(&state, &record, try access(), again: true)
        #expect(record.exportedBefore == [web1, data])
        // Of what they have ended themselves the share makes one of its own.
        state.exports.removeAll { $0.volume == web1 }
        share(&state, &record, try access(), again: true)
        #expect(record.exportedBefore == [data] && record.additions?.map(\.volume) == [data])
    }

    @Test("A record of an earlier version keeps its meaning")
    func earlierVersion() throws {
        let text = """
            [{"domain":"web1","way":"iscsi","hosts":["nodeb"],"volumes":["web1","data"],"exportedBefore":["web1"]}]
            """
        var record = try #require(try JSONText.decode([ShareRecord].self, from: text, what: "shares.json").first)
        #expect(record.additions == nil)
        var data = try theirs(domain: "web1")
        (data.volume, data.target) = (VolumeName(unchecked: "data"), ISCSIName(unchecked: "\(target)-data"))
        var state = ISCSIState(exports: [try theirs(domain: "web1"), data])
        var ended = state
        let removed = try record.takeBack(from: &ended)
        #expect(try removed == ["the export of data"] && ended.exports == [theirs()])
        // After another run of this version what that one adds is taken back as well.
        share(&state, &record, try access(), again: true)
        #expect(record.exportedBefore == [web1])
        _ = try record.takeBack(from: &state)
        #expect(try state.exports == [theirs()])
    }

    @Test("An export that would have nobody left is not guessed at")
    func nobodyLeft() throws {
        var (state, record) = (ISCSIState(exports: [try theirs()]), fresh())
        share(&state, &record, try access())
        state.exports[0].initiators.removeFirst()
        let before = state
        let failure = #expect(throws: Failure.self) { try record.takeBack(from: &state) }
        #expect(
            failure?.code == .refused && failure?.remedy?.contains("unexport iscsi web1") == true && state == before)
    }
}

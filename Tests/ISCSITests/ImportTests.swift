import HostModel
import Testing

@testable import ISCSI

@Suite("What of other targets' files is taken over")
struct ImportTests {
    private static let spoilt = "iqn.2008-05.com.example:spoilt"

    @Test(
        "A target with a line that cannot be used is left out, without secrets, and the others are taken",
        arguments: [
            ("Target notaniqn\n Lun 0 Path=/x", "notaniqn: line 1 of"), ("Target\n Lun 0 Path=/x", "Target: line 1 of"),
            ("IncomingUser u SeCrEt", "discovery: line 1 of"), ("\nOutgoingUser u SeCrEt", "discovery: line 2 of"),
            ("Target \(spoilt)\nLun x Path=/y\nLun 1 Path=/y", "\(spoilt): line 2 of"),
            ("Target \(spoilt)\nLun 1 Path", "\(spoilt): line 2 of"),
            ("Target \(spoilt)\nLun 1 A=1,A=2", "\(spoilt): line 2 of"),
            ("Target \(spoilt)\nAlias a\nIncomingUser u SeCrEt\nLun 1 Path=/y", "\(spoilt): line 3 of"),
        ])
    func spoiltIETD(_ text: String, _ words: String) throws {
        let good = "Target iqn.2008-05.com.example:good\n Alias a disk of many words\n Lun 1 Path=/z"
        let files = IETConfiguration.Files(
            configuration: "\(text)\n\(good)", initiatorsAllow: "", targetsAllow: "")
        let found = try IETConfiguration(parsing: files)
        #expect(found.targets.map(\.name.text) == ["iqn.2008-05.com.example:good"])
        #expect(found.targets.first?.parameters == ["Alias": "a disk of many words"])
        #expect(found.targets.first?.units.count == 1 && found.discoveryIncoming.isEmpty)
        #expect(found.leftOut.count == 1 && found.leftOut[0].hasPrefix(words), "\(found.leftOut)")
        #expect(
            !found.imported.leftOut.joined().contains("SeCrEt") && found.imported.leftOut.contains(found.leftOut[0]))
    }

    @Test("Without a list of addresses a target of ietd's is on every address")
    func everyAddress() throws {
        let text = "iSNSServer 10.0.0.9\nTarget \(Self.spoilt)\n  Lun 1 Path=/dev/xenlvs/web1\n"
        let every = try Portal("::")
        for list in ["", "ALL ALL\n"] {
            let read = try IETConfiguration(
                parsing: .init(configuration: text, initiatorsAllow: "ALL \(Sample.initiator)\n", targetsAllow: list)
            ).imported
            #expect(read.exports.map(\.portals) == [[every]] && read.leftOut.isEmpty)
        }
    }

    private func volume(_ path: String) -> VolumeName? {
        VolumeName(unchecked: String(path.dropFirst("/dev/xenlvs/".count)))
    }

    @Test("What cannot be an export is left out, and the others are taken")
    func partly() throws {
        let state = ResolvedState(
            exports: [
                Sample.export("web1"), Sample.export("nobody", initiators: []), Sample.export("far", lun: 256),
                Sample.export(
                    "wide", portals: ["0.0.0.0:3261", "10.0.0.1:3261"], credentials: Sample.credentials("wide")),
                Sample.export("six", portals: ["[::]"]), Sample.export("web1", target: "again"),
            ])
        let read = try LIOSaveFile.read(LIOSaveFile.text(of: state))
        let (wanted, files, leftOut) = read.document(chapFilesIn: "/etc/xenlvs", volume: volume)
        try wanted.validate()
        #expect(wanted.exports.map(\.target) == [Sample.target("web1")] && files.isEmpty && leftOut.count == 5)
        for (name, why) in [
            ("nobody", "0 initiators"), ("far", "256 is no LUN"), ("wide", "0.0.0.0:3261 stands for every address"),
            ("six", "[::]:3260 stands for every address"), ("again", "another target has the volume 'web1'"),
        ] {
            #expect(leftOut.contains { $0.hasPrefix("\(Sample.target(name)): ") && $0.contains(why) }, "\(leftOut)")
        }

        let addresses = [try Portal("10.0.0.1"), try Portal("fd00::1")]
        let (more, moreFiles, rest) = read.document(chapFilesIn: "/etc/xenlvs", for: addresses, volume: volume)
        try more.validate()
        #expect(rest.count == 3 && Array(moreFiles.keys) == ["/etc/xenlvs/wide.chap"])
        let portals = Dictionary(
            uniqueKeysWithValues: more.exports.map { ($0.volume.text, $0.portals.map(\.description)) })
        #expect(portals["wide"] == ["10.0.0.1:3261"] && portals["web1"] == ["10.0.0.1:3260"])
        #expect(portals["six"] == ["10.0.0.1:3260", "[fd00::1]:3260"])
    }

    @Test("Each CHAP file has one user and secret, whatever volumes are called")
    func chapFiles() throws {
        var several = Sample.export(
            "web1", initiators: [AllowedInitiator(Sample.initiator), AllowedInitiator(Sample.otherInitiator)],
            credentials: Sample.credentials("c"))
        several.credentials[Sample.otherInitiator] = try CHAPCredentials(
            initiator: CHAPAccount(user: "user-c", secret: CHAPSecret("another-secret-of-c")), target: nil)
        let state = ResolvedState(
            exports: [
                Sample.export("discovery", credentials: Sample.credentials("a")),
                Sample.export("web1-2", credentials: Sample.credentials("b")), several,
            ], discovery: Sample.credentials("discovery"))
        let read = try LIOSaveFile.read(LIOSaveFile.text(of: state))
        let (wanted, files, leftOut) = read.document(chapFilesIn: "/etc/xenlvs", volume: volume)
        #expect(leftOut.isEmpty && files.count == 5 && wanted.exports.count == 3, "\(files.keys)")
        #expect(wanted.discoveryCHAPFile.flatMap { files[$0] } == state.discovery)
        for (found, export) in zip(wanted.exports, state.exports) {
            for initiator in found.initiators {
                #expect(found.chapFile(of: initiator).flatMap { files[$0] } == export.credentials[initiator.name])
            }
        }
    }

    @Test("A secret that cannot be used is told for what it is, and counts only where it is asked for")
    func secrets() throws {
        let export = Sample.export("web1", credentials: Sample.credentials("web1"))
        let text = try LIOSaveFile.text(of: ResolvedState(exports: [export])).replacing(
            "the-secret-of-web1", with: "SeCrEt")
        let read = try LIOSaveFile.read(text)
        #expect(
            read.exports.isEmpty
                && read.leftOut == [
                    "\(Sample.target("web1")): a CHAP secret cannot be used: it has 6 bytes, and may have 12 to 255"
                ])
        let free = try LIOSaveFile.read(text.replacing(#/"authentication" ?: ?1/#, with: "\"authentication\": 0"))
        #expect(free.leftOut.isEmpty && free.exports.map(\.credentials) == [[:]])
    }

    @Test("Targets of other fabrics are told")
    func otherFabrics() throws {
        let read = try LIOSaveFile.read(
            """
            {"fabric_modules": [], "storage_objects": [], "targets": [{"fabric": "loopback", "wwn": "naa.5001405000000001",
                "tpgs": [{"tag": 1, "enable": true, "luns": [], "portals": [], "node_acls": []}]}]}
            """)
        #expect(read.exports.isEmpty && read.leftOut == ["naa.5001405000000001: it is served over loopback"])
    }
}

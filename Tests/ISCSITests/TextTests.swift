import Foundation
import HostModel
import SeedKit
import Testing

@testable import ISCSI

@Suite("The files of other targets")
struct TextTests {
    private static let full = ResolvedState(
        exports: [
            Sample.export(
                "web1", portals: ["10.0.0.1", "[fd00::1]"],
                initiators: [AllowedInitiator(Sample.initiator), AllowedInitiator(Sample.otherInitiator)],
                readOnly: true, digest: .crc32c, credentials: Sample.credentials("web1", mutual: true)),
            Sample.export("web2", lun: 7),
        ], discovery: Sample.credentials("discovery"))

    @Test("ietd.conf, initiators.allow and targets.allow")
    func ietdFiles() throws {
        let files = try IETConfiguration(Self.full).files
        let (first, second) = (Sample.identity("web1-0").serial, Sample.identity("web2-0").serial)
        #expect(
            files.configuration == """
                IncomingUser user-discovery the-secret-of-discovery
                Target iqn.2026-11.invalid.xenlvs.nodea:web1
                    IncomingUser user-web1 the-secret-of-web1
                    OutgoingUser target the-mutual-of-web1
                    Lun 1 Path=/dev/xenlvs/web1,IOMode=ro,ScsiId=\(first.prefix(24)),ScsiSN=\(first.prefix(16)),Type=blockio
                    DataDigest CRC32C,None
                    HeaderDigest CRC32C
                Target iqn.2026-11.invalid.xenlvs.nodea:web2
                    Lun 7 Path=/dev/xenlvs/web2,IOMode=wt,ScsiId=\(second.prefix(24)),ScsiSN=\(second.prefix(16)),Type=blockio
                    DataDigest CRC32C,None
                    HeaderDigest CRC32C,None

                """)
        #expect(
            files.initiatorsAllow == """
                iqn.2026-11.invalid.xenlvs.nodea:web1 iqn.1993-08.org.debian:01:nodeb, iqn.1993-08.org.debian:01:nodec
                iqn.2026-11.invalid.xenlvs.nodea:web2 iqn.1993-08.org.debian:01:nodeb

                """)
        #expect(
            files.targetsAllow == """
                iqn.2026-11.invalid.xenlvs.nodea:web1 10.0.0.1, [fd00::1]
                iqn.2026-11.invalid.xenlvs.nodea:web2 10.0.0.1

                """)
    }

    @Test("What is written for ietd reads back the same")
    func ietdRoundTrip() throws {
        var numbers = SeededNumbers(seed: 3)
        var count = 0
        for _ in 0..<800 {
            guard let configuration = try? IETConfiguration(Sample.state(&numbers)) else { continue }
            #expect(try IETConfiguration(parsing: configuration.files) == configuration)
            count += configuration.targets.count
        }
        #expect(count > 20)
    }

    @Test("A file as people wrote them")
    func ietdByHand() throws {
        let text = """
            # Discovery
            IncomingUser joe secret-of-joe

            target iqn.2008-05.com.example:vault1
            \tLun 0 Path=/dev/mapper/vg00-vault1,Type=fileio
            \tAlias vault1
              # a comment of its own
              MaxConnections \\
                1
            """
        let configuration = try IETConfiguration(
            parsing: .init(configuration: text, initiatorsAllow: "# none\nALL ALL\n", targetsAllow: ""))
        #expect(configuration.discoveryIncoming.map(\.user) == ["joe"])
        #expect(configuration.targets.map(\.name.text) == ["iqn.2008-05.com.example:vault1"])
        let target = configuration.targets[0]
        #expect(target.units == [.init(number: 0, values: ["Path": "/dev/mapper/vg00-vault1", "Type": "fileio"])])
        #expect(target.parameters == ["Alias": "vault1", "MaxConnections": "1"])
        #expect(configuration.allowedInitiators == ["ALL": ["ALL"]])
    }

    @Test(
        "What is no ietd.conf is told with its line, without secrets",
        arguments: [
            ("Lun 0 Path=/x", "line 1"), ("\nIncomingUser u", "line 2"), ("IncomingUser u SeCrEt of-three", "line 1"),
            ("Alias before", "line 1"),
        ])
    func badIETD(_ text: String, _ place: String) {
        let failure = #expect(throws: Failure.self) {
            try IETConfiguration(parsing: .init(configuration: text, initiatorsAllow: "", targetsAllow: ""))
        }
        let said = failure?.detailedDescription ?? ""
        #expect(said.contains(place) && !said.contains("SeCrEt"), "\(said)")
    }

    @Test("What the other targets cannot do is refused")
    func cannotDo() {
        let readOnlyForOne = [AllowedInitiator(Sample.initiator, isReadOnly: true)]
        for export in [
            Sample.export("web1", thin: true), Sample.export("web1", initiators: readOnlyForOne),
            Sample.export("web1", portals: ["10.0.0.1:3261"]),
        ] {
            #expect(throws: Failure.self) { try IETConfiguration(ResolvedState(exports: [export])) }
        }
        for exports in [
            [Sample.export("web1", initiators: readOnlyForOne)], [Sample.export("web1", digest: .crc32c)],
            [Sample.export("web1"), Sample.export("web2", portals: ["10.1.0.1"])],
        ] {
            #expect(throws: Failure.self) { try TGTConfiguration(ResolvedState(exports: exports)) }
        }
    }

    @Test("targets.conf")
    func targetsConf() throws {
        let state = ResolvedState(
            exports: [
                Sample.export("web1", readOnly: true, credentials: Sample.credentials("web1", mutual: true)),
                Sample.export("web2", lun: 7, thin: true),
            ], discovery: Sample.credentials("discovery"))
        let configuration = try TGTConfiguration(state)
        #expect(configuration.portals.map(\.description) == ["10.0.0.1:3260"])
        let (first, second) = (Sample.identity("web1-0"), Sample.identity("web2-0"))
        #expect(
            configuration.text == """
                incomingdiscoveryuser user-discovery the-secret-of-discovery
                <target iqn.2026-11.invalid.xenlvs.nodea:web1>
                    <backing-store /dev/xenlvs/web1>
                        bs-type rdwr
                        lun 1
                        scsi_id \(first.wwid.dropFirst())
                        scsi_sn \(first.serial)
                        readonly 1
                    </backing-store>
                    incominguser user-web1 the-secret-of-web1
                    outgoinguser target the-mutual-of-web1
                    initiator-name iqn.1993-08.org.debian:01:nodeb
                    initiator-address 255.255.255.255
                </target>
                <target iqn.2026-11.invalid.xenlvs.nodea:web2>
                    <backing-store /dev/xenlvs/web2>
                        bs-type rdwr
                        lun 7
                        scsi_id \(second.wwid.dropFirst())
                        scsi_sn \(second.serial)
                        params thin_provisioning=1
                    </backing-store>
                    initiator-name iqn.1993-08.org.debian:01:nodeb
                    initiator-address 255.255.255.255
                </target>

                """)
    }

    @Test("What is written as saveconfig.json is imported the same")
    func saveFileRoundTrip() throws {
        var numbers = SeededNumbers(seed: 5)
        for _ in 0..<100 {
            let state = Sample.state(&numbers)
            let read = try LIOSaveFile.read(LIOSaveFile.text(of: state))
            #expect(read.leftOut.isEmpty && read.discovery == state.discovery)
            #expect(read.exports == state.exports.map(ImportedExport.init))
        }
    }

    /// Saved by targetctl of python3-rtslib-fb 2.1.75 from what xenlvs had exported on Linux 6.1.
    @Test("What targetctl has saved is imported")
    func savedByTargetctl() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/saveconfig.json")
        let read = try LIOSaveFile.read(String(contentsOf: path, encoding: .utf8))
        #expect(read.leftOut.isEmpty && read.discovery == nil)
        let exports = read.exports.sorted { $0.target < $1.target }
        #expect(exports.map(\.target) == [Sample.target("web1"), Sample.target("web2")])
        #expect(exports.map(\.devicePath) == ["/dev/xenlvs/web1", "/dev/xenlvs/web2"])
        #expect(exports.map(\.serial.count) == [32, 32] && exports.map(\.lun) == [1, 1])
        #expect(exports[0].portals.map(\.description).sorted() == ["10.77.0.1:3260", "10.78.0.1:3260"])
        #expect(Set(exports[0].initiators.map(\.name)) == [Sample.initiator, Sample.otherInitiator])
        #expect(exports[0].credentials[Sample.initiator]?.target?.user == "tgt")
        #expect(exports[1].credentials.isEmpty && !exports[1].isReadOnly && !exports[1].isThin)
    }

    @Test("What was read of another program is a document that reads the same, with its secrets in files of their own")
    func importedDocument() throws {
        var numbers = SeededNumbers(seed: 9)
        for _ in 0..<100 {
            let state = Sample.state(&numbers)
            let read = try LIOSaveFile.read(LIOSaveFile.text(of: state))
            let (wanted, files, leftOut) = read.document(chapFilesIn: "/etc/xenlvs") { path in
                path == "/dev/xenlvs/v0" ? nil : VolumeName(unchecked: String(path.dropFirst("/dev/xenlvs/".count)))
            }
            #expect(leftOut.count == state.exports.count { $0.export.volume.text == "v0" })
            let text = ExportDocument.text(of: wanted)
            #expect(!text.contains("the-secret"))
            let parsed = try ExportDocument.parse(text, path: "x") { _ in Sample.target("none") }
            #expect(parsed == wanted)
            for export in state.exports where export.export.volume.text != "v0" {
                let found = try #require(wanted.exports.first { $0.volume == export.export.volume })
                #expect(found.target == export.export.target && found.lun == export.lun)
                for initiator in found.initiators {
                    let file = found.chapFile(of: initiator).flatMap { files[$0] }
                    #expect(file == export.credentials[initiator.name])
                    #expect(try file.map { try CHAPCredentials(parsing: $0.fileText, path: "x") } == file)
                }
            }
        }
    }

    @Test("Exports of ietd are taken over, without LUN 0, and what cannot be is told")
    func ietdImport() throws {
        let text = """
            IncomingUser joe secret-of-joe-the-first
            Target iqn.2008-05.com.example:vault1
              IncomingUser u secret-of-vault1
              Lun 0 Path=/dev/mapper/vg00-vault1,Type=blockio,IOMode=ro
            Target iqn.2008-05.com.example:open
              Lun 1 Path=/dev/vg00/open,Type=blockio
            Target iqn.2008-05.com.example:two
              Lun 1 Path=/dev/vg00/a
              Lun 2 Path=/dev/vg00/b
            """
        let configuration = try IETConfiguration(
            parsing: .init(
                configuration: text, initiatorsAllow: "iqn.2008-05.com.example:vault1 \(Sample.initiator)\n",
                targetsAllow: "ALL 10.0.0.1, [fd00::1]\n"))
        let read = configuration.imported
        #expect(read.discovery?.initiator.user == "joe" && read.exports.count == 1 && read.leftOut.count == 2)
        let export = try #require(read.exports.first)
        #expect(export.lun == nil && export.isReadOnly && export.devicePath == "/dev/mapper/vg00-vault1")
        #expect(export.portals.map(\.description) == ["10.0.0.1:3260", "[fd00::1]:3260"])
        #expect(export.credentials[Sample.initiator]?.initiator.user == "u")
        #expect(read.leftOut.joined().contains("initiators.allow") && read.leftOut.joined().contains("just one LUN"))
    }

    @Test(
        "A saveconfig.json that is none is told without secrets",
        arguments: ["", "[]", #"{"targets":[{"wwn":"SeCrEt"}]}"#, #"{"fabric_modules":"SeCrEt"}"#])
    func badSaveFile(_ text: String) {
        let failure = #expect(throws: Failure.self) { try LIOSaveFile.read(text) }
        #expect(failure?.code == .usage && failure?.detailedDescription.contains("SeCrEt") == false)
    }
}

extension ImportedExport {
    fileprivate init(_ export: ResolvedExport) {
        self.init(
            target: export.export.target, lun: export.lun, devicePath: export.devicePath,
            serial: export.identity.serial, portals: export.export.portals, initiators: export.export.initiators,
            credentials: export.credentials, headerDigest: export.export.headerDigest,
            dataDigest: export.export.dataDigest, isReadOnly: export.export.isReadOnly,
            isThin: export.export.isThin)
    }
}

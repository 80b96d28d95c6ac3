import Foundation
import HostModel
import ISCSI
import Testing

@testable import ISCSIHost

@Suite("Files of the host that iSCSI exports need")
final class HostFileTests {
    private let root =
        FileManager.default.temporaryDirectory.path + "/xenlvs-iscsi-\(UInt64.random(in: 0...UInt64.max))"

    init() throws { try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    private func put(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
        let path = "\(root)/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    @Test("Each write is one system call, and what it made reads back")
    func kernelTarget() throws {
        let kernel = KernelTarget(root: root)
        try kernel.perform(.makeDirectory("core"))
        try kernel.perform(.makeDirectory("core/a"))
        let file = try put("core/a/enable", "0\n")
        #expect(try kernel.text("core/a/enable") == "0")
        try kernel.perform(.write("1", to: "core/a/enable"))
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "1\n")
        try kernel.perform(.writeSecret(CHAPSecret("a-secret-of-many"), to: "core/a/enable"))
        #expect(try kernel.text("core/a/enable") == "a-secret-of-many")
        try kernel.perform(.makeDirectory("core/b"))
        // configfs gives links like this one.
        try FileManager.default.createSymbolicLink(
            atPath: root + "/core/b/link", withDestinationPath: "../../../target/core/a")
        #expect(try kernel.links(in: "core/b") == ["link": "core/a"])
        #expect(try kernel.directories(in: "core") == ["a", "b"])
        #expect(try kernel.directories(in: "nowhere").isEmpty && kernel.links(in: "nowhere").isEmpty)
        #expect(try kernel.text("nowhere") == nil)
        try kernel.perform(.unlink("core/b/link"))
        try kernel.perform(.removeDirectory("core/b"))
        #expect(try kernel.directories(in: "core") == ["a"])
    }

    @Test("Reservations that are to last get a directory where the kernel says that it keeps them")
    func database() throws {
        let place = "\(root)/etc-target"
        _ = try put("dbroot", place + "\n")
        KernelTarget(root: root).makeDatabase()
        for name in ["pr", "alua"] {
            var isDirectory: ObjCBool = false
            #expect(FileManager.default.fileExists(atPath: "\(place)/\(name)", isDirectory: &isDirectory))
            #expect(isDirectory.boolValue)
        }
    }

    @Test("What the kernel refuses is told with the write, without secrets")
    func refusedWrite() throws {
        let kernel = KernelTarget(root: root)
        let failure = #expect(throws: Failure.self) {
            try kernel.perform(.writeSecret(CHAPSecret("a-secret-of-many"), to: "gone/password"))
        }
        let said = failure?.detailedDescription ?? ""
        #expect(said.contains("[secret]") && said.contains("gone/password") && !said.contains("a-secret-of-many"))
        _ = try kernel.perform(.makeDirectory("full"))
        try kernel.perform(.makeDirectory("full/part"))
        #expect(throws: Failure.self) { try kernel.perform(.removeDirectory("full")) }
        #expect(throws: Failure.self) { try kernel.perform(.makeDirectory("full")) }
    }

    @Test("A CHAP file that others could read is refused")
    func chapFile() throws {
        let text = "user = web1\nsecret = twelve-bytes-long\n"
        #expect(try CHAPFile.read(put("good", text)).initiator.user == "web1")
        for mode in [0o640, 0o604, 0o620, 0o666] {
            let failure = #expect(throws: Failure.self) { try CHAPFile.read(put("open", text, mode: mode)) }
            #expect(failure?.code == .refused && failure?.description.contains("twelve") == false)
        }
        #expect(#expect(throws: Failure.self) { try CHAPFile.read(root + "/none") }?.code == .notFound)
        #expect(throws: Failure.self) { try CHAPFile.read(root) }
        #expect(throws: Failure.self) { try CHAPFile.read(put("long", text + String(repeating: "#", count: 5000))) }
    }

    @Test("A portal has to be an address of this host")
    func addresses() throws {
        let own = try LocalAddresses()
        try own.check([Portal("127.0.0.1")], doing: "x")
        let failure = #expect(throws: Failure.self) {
            try own.check([Portal("127.0.0.1"), Portal("192.0.2.77")], doing: "x")
        }
        #expect(failure?.why?.contains("192.0.2.77") == true)
    }

    @Test("The record is read back as it was, and a damaged one is refused")
    func record() throws {
        let store = ISCSIStore(path: root + "/iscsi.json")
        #expect(try store.load() == ISCSIRecord())
        var record = ISCSIRecord()
        let target = try ISCSIName("iqn.2026-11.com.example:a")
        record.state.exports = [
            ISCSIExport(
                volume: try VolumeName("web1"), target: target, portals: [try Portal("[fd00::1]:3261")],
                initiators: [AllowedInitiator(try ISCSIName("iqn.2026-11.com.example:b"), isReadOnly: true)],
                chapFile: "/etc/chap", headerDigest: .crc32c, isThin: true)
        ]
        record.owned = LIOOwnership().joined(with: record.state)
        _ = try record.ledger.lun(of: DeviceIdentity(groupUUID: "a", volumeUUID: "b"), on: target)
        try store.save(record)
        #expect(try store.load() == record)
        let attributes = try FileManager.default.attributesOfItem(atPath: store.path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(!FileManager.default.fileExists(atPath: store.path + ".new"))

        let text = try String(contentsOfFile: store.path, encoding: .utf8)
        for damaged in [
            "", "{}", String(text.dropLast(20)), text.replacing("\"version\" : 1", with: "\"version\" : 2"),
            text.replacing("iqn.2026-11.com.example:a", with: "../../etc"),
            text.replacing("[fd00::1]", with: "0.0.0.0"),
        ] {
            try damaged.write(toFile: store.path, atomically: true, encoding: .utf8)
            #expect(#expect(throws: Failure.self) { try store.load() }?.code == .inconsistent, "\(damaged.prefix(60))")
        }
    }
}

import Foundation
import Glibc
import HostModel
import Hosts
import Storage
import Testing

@testable import AoE
@testable import Operations

@Suite("What an attachment is judged by")
struct AttachmentTests {
    static func target(
        _ address: String = "e1.0", on interface: String = "eth1", mac: String = "02:00:00:00:00:01", buffers: Int = 16,
        identity: DiscoveredTarget.Identity? = .init(size: .mebibytes(64), model: "xenlvs", serial: "S1")
    ) throws -> DiscoveredTarget {
        DiscoveredTarget(
            address: try AoEAddress(address), interface: interface, mac: try MACAddress(mac), bufferCount: buffers,
            maximumSectors: 2, firmware: 1, configuration: [], identity: identity)
    }

    private func failure(_ answers: [DiscoveredTarget], _ address: String = "e1.0") throws -> Failure? {
        do { _ = try TargetPaths(try AoEAddress(address), among: answers).identity(doing: "cannot attach it") } catch {
            return error
        }
        return nil
    }

    @Test("Paths to one device are one target, and others on the wire do not matter")
    func samePaths() throws {
        let paths = TargetPaths(
            try AoEAddress("e1.0"),
            among: [
                try Self.target(), try Self.target(on: "eth2", mac: "02:00:00:00:00:02"),
                try Self.target("e1.1", identity: .init(size: .mebibytes(1), model: "other", serial: "S2")),
            ])
        #expect(paths.isComplete && paths.paths.map(\.interface) == ["eth1", "eth2"])
        let identity = try paths.identity(doing: "test")
        #expect(identity == TargetIdentity(size: .mebibytes(64), model: "xenlvs", serial: "S1"))
    }

    @Test(
        "Two that differ behind one address are never attached: the kernel would write to both in turn",
        arguments: [
            DiscoveredTarget.Identity(size: .mebibytes(64), model: "xenlvs", serial: "S2"),
            DiscoveredTarget.Identity(size: .mebibytes(65), model: "xenlvs", serial: "S1"),
            DiscoveredTarget.Identity(size: .mebibytes(64), model: "vblade", serial: "S1"),
        ])
    func differentPaths(_ other: DiscoveredTarget.Identity) throws {
        let found = try failure([
            try Self.target(), try Self.target(on: "eth2", mac: "02:00:00:00:00:02", identity: other),
        ])
        #expect(found?.code == .refused && found?.why?.contains("02:00:00:00:00:02 on eth2") == true)
    }

    @Test("Who does not say what it is, has one buffer, no sectors, or is ignored by Linux is refused; nobody is 6")
    func unusable() throws {
        #expect(try failure([])?.code.exitStatus == .notFound)
        #expect(try failure([try Self.target(identity: nil)])?.why?.contains("does not say") == true)
        #expect(try failure([try Self.target(buffers: 1)])?.why?.contains("one request") == true)
        let empty = DiscoveredTarget.Identity(size: ByteCount(0), model: "m", serial: "s")
        #expect(try failure([try Self.target(identity: empty)])?.why?.contains("no sectors") == true)
        #expect(try failure([try Self.target("e4095.0")], "e4095.0")?.why?.contains("4095") == true)
        #expect(
            !TargetPaths(try AoEAddress("e1.0"), among: [try Self.target(), try Self.target(identity: nil)]).isComplete)
    }

    @Test("A target is held against what is recorded of it")
    func verdicts() {
        let recorded = TargetIdentity(size: .mebibytes(64), model: "m", serial: "s")
        func verdict(_ megabytes: Int64, _ model: String = "m", _ serial: String = "s") -> TargetVerdict {
            TargetVerdict(
                TargetIdentity(size: .mebibytes(megabytes), model: model, serial: serial), recorded: recorded)
        }
        #expect(verdict(64) == .asRecorded && verdict(65) == .grown && verdict(63) == .shrunk)
        #expect(verdict(64, "n") == .another && verdict(65, "m", "t") == .another)
    }

    @Test("The kernel's words for a device's state")
    func states() {
        #expect(AttachmentState(parsing: "up\n") == .up)
        #expect(AttachmentState(parsing: "up,kickme\n") == .up)
        #expect(AttachmentState(parsing: "down\n") == .down)
        #expect(AttachmentState(parsing: "down,closewait\n") == .closewait)
        for text in ["", "\n", "upside", "closewait"] { #expect(AttachmentState(parsing: text) == .down) }
    }

    @Test("The kernel's list of interfaces: blank is all, and what is needed is the union of all needs")
    func interfaces() throws {
        let names = try ["eth1", "eth2", "eth3"].map { try InterfaceName($0) }
        #expect(InterfaceList(parameter: "\n") == .all)
        #expect(InterfaceList(parameter: " eth1\teth2\n") == .only([names[0], names[1]]))
        let needed = InterfaceList.needed(by: [[names[1]], [names[0], names[1]]], others: [[names[2]], []])
        #expect(needed.names == names)
        #expect(InterfaceList.needed(by: [[names[1]]], others: []) == .only([names[1]]))
        #expect(InterfaceList.leadsToGuest("vif3.0") && !InterfaceList.leadsToGuest("eth0"))
    }

    @Test("What is written to the kernel ends with a zero: without it e1.1 would be e1.10 as well")
    func controlBytes() throws {
        #expect(try InitiatorControl.flush.bytes("e1.1") == Array("e1.1".utf8) + [0])
        #expect(try InitiatorControl.revalidate.bytes("e65534.254").count < 16)
        #expect(try InitiatorControl.interfaces.bytes("") == [0])
        #expect(try InitiatorControl.interfaces.bytes("eth1 eth2") == Array("eth1 eth2".utf8) + [0])
        #expect(try InitiatorControl.discover.bytes("") == [0])
    }

    @Test(
        "Nothing else than addresses and interfaces is ever written",
        arguments: [
            (InitiatorControl.flush, "all"), (.flush, ""), (.flush, "e1"), (.flush, "e1.0 e1.1"), (.flush, "e1.255"),
            (.revalidate, "e1.0\n"), (.interfaces, "eth1\neth2"), (.interfaces, "a/b"), (.interfaces, "-x"),
            (.interfaces, "a_name_too_long_"), (.discover, "x"),
            (.interfaces, String(repeating: "eth1 ", count: 300)),
        ])
    func badControl(_ control: InitiatorControl, _ text: String) {
        #expect(throws: Failure.self) { try control.bytes(text) }
        #expect(InitiatorControl.run(arguments: [control.rawValue, text], below: "/nosuch") == 64)
    }

    @Test("A control file that is none of the initiator's is not written")
    func controlFile() throws {
        let root = FileManager.default.temporaryDirectory.path + "/control-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root + "/etherd", withIntermediateDirectories: true)
        #expect(InitiatorControl.run(arguments: ["flush", "e1.0"], below: root) == 6)
        try Data("kept".utf8).write(to: URL(fileURLWithPath: root + "/etherd/flush"))
        #expect(InitiatorControl.run(arguments: ["flush", "e1.0"], below: root) == 1)
        #expect(try String(contentsOfFile: root + "/etherd/flush", encoding: .utf8) == "kept")
        #expect(InitiatorControl.run(arguments: ["err", ""], below: root) == 64)
        #expect(InitiatorControl.run(arguments: ["flush"], below: root) == 64)
    }

    @Test("The commands as they are run")
    func commands() throws {
        let names = try ["eth1", "eth2"].map { try InterfaceName($0) }
        #expect(InitiatorCommands.load(names).arguments == ["aoe", "aoe_iflist=\"eth1 eth2\""])
        #expect(InitiatorCommands.setInterfaces(names).description == "aoe-control interfaces 'eth1 eth2'")
        #expect(InitiatorCommands.forget(try AoEAddress("e1.0")).description == "aoe-control flush e1.0")
        #expect(InitiatorCommands.writeBack("/dev/etherd/e1.0").description == "blockdev --flushbufs /dev/etherd/e1.0")
        #expect(InitiatorCommands.forget(try AoEAddress("e1.0")).effect == .mutation)
    }

    @Test("An attachment is read back from the journal as it was written, and a damaged one is not")
    func coding() throws {
        let attachment = Attachment(
            name: try VolumeName("web1"), address: try AoEAddress("e7.3"), interfaces: [try InterfaceName("eth1.100")],
            identity: TargetIdentity(size: .mebibytes(64), model: "a model", serial: "s/1"))
        let text = try attachment.record().body
        #expect(try JSONText.decode(Attachment.self, from: text, what: "it") == attachment)
        for damaged in [
            text.replacing("e7.3", with: "e7"), text.replacing("eth1.100", with: "a/b"),
            text.replacing("67108864", with: "-1"),
        ] {
            #expect(throws: Failure.self) { try JSONText.decode(Attachment.self, from: damaged, what: "it") }
        }
    }

    @Test("Of several rounds of questions the complete answers count")
    func completed() throws {
        let (whole, cut) = (try Self.target(), try Self.target(identity: nil))
        #expect(AttachmentCatalog.completed([cut, whole]) == [whole])
        #expect(AttachmentCatalog.completed([whole, cut]) == [whole])
        #expect(AttachmentCatalog.completed([cut, try Self.target(on: "eth2", identity: nil)]).count == 2)
    }
}

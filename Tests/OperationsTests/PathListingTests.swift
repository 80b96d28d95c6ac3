import DeviceMapper
import Foundation
import HostModel
import Hosts
import ISCSI
import Storage
import Testing

@testable import Operations

@Suite("What is listed of paths")
struct PathListingTests {
    private let web1 = VolumeName(unchecked: "web1")
    private let one = BlockDeviceNumber(major: 8, minor: 16)
    private let two = BlockDeviceNumber(major: 8, minor: 32)
    private let table =
        "0 20971520 multipath 2 queue_if_no_path retain_attached_hw_handler 1 alua 2 1 "
        + "service-time 0 1 2 8:16 1 1 service-time 0 1 2 8:32 1 1 "

    private func device(_ table: String) -> MappedDevice {
        MappedDevice(
            name: "web1", uuid: "mpath-36001405", number: BlockDeviceNumber(major: 253, minor: 3), isSuspended: false,
            table: MappingTable(parsing: table), hasInactiveTable: false, openCount: 1)
    }

    private func row(_ portal: String, _ disk: String?, up: Bool = true, why: String? = nil) -> AttachmentPath {
        AttachmentPath(
            name: web1, networkProtocol: "iscsi", device: "/dev/mapper/web1", size: .gibibytes(10), wwid: "36001405",
            path: portal, disk: disk, isUp: up, why: why)
    }

    private func disk(_ name: String, _ number: String, _ address: Substring) -> KernelDisk {
        KernelDisk(name: name, number: number, address: SCSIAddress(parsing: address), state: "running")
    }

    private func status(_ text: String) throws -> MultipathStatus { try #require(MultipathStatus(parameters: text)) }

    @Test("A SCSI address is four decimal numbers", arguments: ["2:0:0:1", "0:0:0:0", "12:3:4:18446744073709551615"])
    func address(text: String) throws {
        #expect(SCSIAddress(parsing: text[...])?.description == text)
        #expect(try JSONText.encode([try #require(SCSIAddress(parsing: text[...]))]) == "[\"\(text)\"]")
    }

    @Test(
        "What is no SCSI address",
        arguments: ["", "2:0:0", "2:0:0:1:0", "2:0:0:", "2:0:0:x", "2:0:+0:1", "-2:0:0:1", "4294967296:0:0:1", "block"])
    func noAddress(text: String) { #expect(SCSIAddress(parsing: text[...]) == nil) }

    @Test("A map of multipathd's: groups, their states, and how often each path was failed")
    func map() throws {
        let found = try #require(
            KernelMap(device(table), try status("2 0 0 0 2 1 A 0 1 2 8:16 A 0 0 1 E 0 1 2 8:32 F 3 0 1 ")))
        #expect(found.dm == "dm-3" && found.hardwareHandler == "alua")
        #expect(found.features == ["queue_if_no_path", "retain_attached_hw_handler"])
        #expect(
            found.groups == [
                .init(state: .active, selector: "service-time"), .init(state: .enabled, selector: "service-time"),
            ])
        #expect(
            found.paths == [
                .init(device: one, group: 1, state: .active, failures: 0),
                .init(device: two, group: 2, state: .failed, failures: 3),
            ])
        #expect(
            try JSONText.encode(found)
                == #"{"dm":"dm-3","features":["queue_if_no_path","retain_attached_hw_handler"],"groups":["#
                + #"{"selector":"service-time","state":"active"},{"selector":"service-time","state":"enabled"}],"#
                + #""hardwareHandler":"alua"}"#)
    }

    @Test(
        "What the status says of other paths than the table has is left out",
        arguments: [nil, "2 0 0 0 1 1 A 0 2 2 8:16 A 0 0 1 8:32 A 0 0 1", "2 0 0 0 0 0"])
    func otherStatus(text: String?) throws {
        let found = try #require(KernelMap(device(table), try text.map { try status($0) }))
        #expect(found.groups.map(\.state) == [nil, nil])
        #expect(found.paths.map(\.group) == [1, 2] && found.paths.allSatisfy { $0.state == nil && $0.failures == nil })
    }

    @Test("A device that is no map, and one that the kernel does not have")
    func noMap() async throws {
        #expect(KernelMap(device("0 8 linear 8:16 0"), nil) == nil)
        let mapper = SimulatedMapper([device(table)])
        #expect(await KernelMap.read(uuid: "mpath-other", mapper) == nil)
        #expect(await KernelMap.read(uuid: "mpath-36001405", mapper)?.groups.count == 2)
    }

    @Test("Each path gets its own disk, group and state, and what several have in common is said once")
    func completed() throws {
        let map = try #require(
            KernelMap(device(table), try status("2 0 0 0 2 1 A 0 1 2 8:16 A 0 0 1 E 0 1 2 8:32 F 3 0 1 ")))
        let paths = AttachmentPath.completed(
            [row("10.0.0.1:3260", "sdb", why: "active ready"), row("10.0.0.2:3260", "sdc", up: false, why: "faulty")],
            by: map, [disk("sdc", "8:32", "3:0:0:1"), disk("sdb", "8:16", "2:0:0:1"), disk("sda", "8:0", "0:0:0:0")])
        #expect(paths.map(\.hctl?.description) == ["2:0:0:1", "3:0:0:1"])
        #expect(paths.map(\.number) == ["8:16", "8:32"] && paths.map(\.group) == [1, 2])
        #expect(paths.map(\.dmState) == [.active, .failed] && paths.map(\.failures) == [0, 3])
        #expect(paths.map(\.groupWords) == ["1 active", "2 enabled"])
        #expect(paths.map(\.kernelWords) == ["active running", "failed running"])
        #expect(paths.map(\.why) == ["active ready", "faulty"])
        #expect(
            paths[0].deviceWords
                == "web1: 10 GiB, WWID 36001405, iscsi, /dev/mapper/web1 (dm-3), "
                + "features queue_if_no_path retain_attached_hw_handler, handler alua, selector service-time")
        let json = try JSONText.encode(paths[1])
        for part in [
            #""name":"web1""#, #""protocol":"iscsi""#, #""device":"/dev/mapper/web1""#, #""path":"10.0.0.2:3260""#,
            #""disk":"sdc""#, #""isUp":false"#, #""why":"faulty""#, #""wwid":"36001405""#, #""size":10737418240"#,
            #""hctl":"3:0:0:1""#, #""number":"8:32""#, #""group":2"#, #""dmState":"failed""#, #""failures":3"#,
            #""diskState":"running""#, #""map":{"dm":"dm-3","#,
        ] {
            #expect(json.contains(part), "\(part) in \(json)")
        }
    }

    @Test("A path without a session has no disk, and what the map still has of it is listed beside it")
    func gone() throws {
        let map = try #require(
            KernelMap(device(table), try status("2 0 0 0 2 1 A 0 1 2 8:16 A 0 0 1 E 0 1 2 8:32 F 3 0 1 ")))
        let rows = [row("10.0.0.1:3260", "sdb"), row("10.0.0.2:3260", nil, up: false, why: "there is no session")]
        let paths = AttachmentPath.completed(rows, by: map, [disk("sdb", "8:16", "2:0:0:1")])
        #expect(paths.map(\.path) == ["10.0.0.1:3260", "10.0.0.2:3260", "-"])
        let lost = paths[1]
        #expect(lost.hctl == nil && lost.number == nil && lost.groupWords == nil && lost.kernelWords == nil)
        let left = paths[2]
        #expect(left.disk == nil && left.number == "8:32" && !left.isUp && left.dmState == .failed && left.hctl == nil)
        #expect(left.why == "the kernel has no such disk any more" && left.wwid == "36001405")
        // A disk that is nobody's here is a path all the same.
        let other = AttachmentPath.completed(
            rows, by: map, [disk("sdb", "8:16", "2:0:0:1"), disk("sdx", "8:32", "9:0:0:1")])
        #expect(other[2].disk == "sdx" && other[2].hctl?.description == "9:0:0:1")
    }

    @Test("What has no map has no group; where nothing is there that is said")
    func plain() {
        let paths = AttachmentPath.completed([row("10.0.0.1:3260", "sdb")], by: nil, [disk("sdb", "8:16", "2:0:0:1")])
        #expect(paths.count == 1 && paths[0].groupWords == nil && paths[0].kernelWords == "running")
        #expect(paths[0].deviceWords == "web1: 10 GiB, WWID 36001405, iscsi, /dev/mapper/web1")
        var absent = paths[0]
        (absent.size, absent.device) = (nil, nil)
        #expect(absent.deviceWords == "web1: size unknown, WWID 36001405, iscsi, no device")
        #expect(AttachmentPath.completed([], by: nil, []).isEmpty)
    }

    @Test("Who has made the disk, and whether it may be written to, is said where it is known")
    func traits() throws {
        var path = row("10.0.0.1:3260", "sdb")
        (path.vendor, path.product, path.isReadOnly) = ("LIO-ORG", "web1", false)
        #expect(path.deviceWords == "web1: 10 GiB, WWID 36001405, LIO-ORG web1, iscsi, /dev/mapper/web1, wp rw")
        let json = try JSONText.encode(path)
        for part in [#""vendor":"LIO-ORG""#, #""product":"web1""#, #""isReadOnly":false"#] {
            #expect(json.contains(part), "\(part) in \(json)")
        }
        (path.vendor, path.product, path.isReadOnly) = (nil, "web1", true)
        #expect(path.deviceWords == "web1: 10 GiB, WWID 36001405, web1, iscsi, /dev/mapper/web1, wp ro")
    }

    @Test(
        "sysfs is asked for vendor, product and write protection, and what cannot be printed is not",
        .enabled(if: canMakeDeviceNodes, "needs device nodes"))
    func traitsOfSysfs() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(.init(serial: 1, megabytes: 64))
        let wwid = try await host.attach().attachment.identity.wwid
        let before = try #require(try await Attachments(host: host.host).paths().first)
        #expect(before.vendor == nil && before.product == nil && before.isReadOnly == nil)
        let number = try #require(before.number)
        for (file, text) in [
            ("block/sd2/device/vendor", "LIO-ORG \n"), ("block/sd2/device/model", " web\u{1b}1   x      \n"),
            ("dev/block/\(number)/ro", "1\n"),
        ] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(host.root)/sys/\(file)"))
        }
        let words = try await Attachments(host: host.host).paths().first?.deviceWords ?? ""
        #expect(words.hasPrefix("web1: 64 MiB, WWID \(wwid), LIO-ORG web?1 x, iscsi, "), "\(words)")
        #expect(words.hasSuffix(", wp ro"), "\(words)")
    }

    @Test("Groups with different selectors name each once, and a map without any says so")
    func selectors() throws {
        func words(_ groups: String) throws -> String {
            var path = row("10.0.0.1:3260", "sdb")
            path.map = try #require(KernelMap(device("0 8 multipath 0 0 \(groups)"), nil))
            return path.deviceWords
        }
        let mixed = "3 1 round-robin 0 1 1 8:0 1 queue-length 0 1 1 8:16 1 round-robin 0 1 1 8:32 1"
        #expect(try words(mixed).hasSuffix("features none, handler none, selector round-robin queue-length"))
        #expect(try words("0 0").hasSuffix("(dm-3), features none, handler none, selector none"))
    }

    @Test("A map that an operator has made keeps its words, also for a disk that is left out")
    func madeByHand() {
        let summary = MapSummary(
            name: web1, device: "/dev/mapper/xenlvs-mpath-web1", wwid: "36001405", policy: MapPolicy(),
            isOfAttachment: false, size: .gibibytes(10), queuesWithoutPath: true, table: nil,
            paths: [
                .init(disk: "sdb", number: "8:16", group: 1, isUp: true, failures: 0, why: nil),
                .init(disk: "8:32", number: "8:32", group: 2, isUp: false, failures: 3, why: "gone"),
                .init(disk: "sdd", number: "-", group: 0, isUp: false, failures: 0, why: "too small"),
            ])
        let paths = AttachmentPath.completed(
            AttachmentPath.all(of: summary), by: KernelMap(device(table), nil), [disk("sdb", "8:16", "2:0:0:1")])
        #expect(
            paths.map(\.path) == ["group 1", "group 2", "-"] && paths.map(\.why) == ["active", "gone", "too small"])
        #expect(paths.map(\.group) == [1, 2, nil] && paths.map(\.number) == ["8:16", "8:32", nil])
        #expect(paths.allSatisfy { $0.wwid == "36001405" && $0.size == .gibibytes(10) && $0.networkProtocol == "scsi" })
    }

    @Test(
        "An iSCSI attachment is listed with what sysfs and device-mapper say of it",
        .enabled(if: canMakeDeviceNodes, "needs device nodes"))
    func attached() async throws {
        let host = try ISCSIAttachmentHost()
        let portals = ["10.0.0.1", "10.0.0.2"]
        for portal in portals { host.network.serve(.init(serial: 1, megabytes: 64), at: portal) }
        let watch = try host.watchPaths()
        defer { withExtendedLifetime(watch) {} }
        let wwid = try await host.attach(at: portals).attachment.identity.wwid
        let paths = try await Attachments(host: host.host).paths()
        let minor = host.mapper.devices[0].number.minor
        #expect(paths.map(\.path) == ["10.0.0.1:3260", "10.0.0.2:3260"] && paths.allSatisfy(\.isUp), "\(paths)")
        #expect(paths.map(\.disk) == ["sd2", "sd3"])
        #expect(paths.map(\.hctl?.description) == ["2:0:0:1", "3:0:0:1"] && paths.map(\.number) == ["8:32", "8:48"])
        #expect(paths.map(\.kernelWords) == ["active running", "active running"] && paths.map(\.group) == [1, 1])
        #expect(
            paths[0].deviceWords
                == "web1: 64 MiB, WWID \(wwid), iscsi, \(host.root)/dev/mapper/xenlvs-mpath-web1 (dm-\(minor)), "
                + "features none, handler none, selector service-time")
    }

    @Test(
        "An AoE device is listed by its interfaces, with its size and serial number and nothing of SCSI",
        .enabled(if: canMakeDeviceNodes, "needs device nodes"))
    func overAoE() async throws {
        let host = try AttachmentHost()
        try host.serve(serial: "S1", on: ["eth1", "eth2"])
        try await host.attach()
        let paths = try await Attachments(host: host.host).paths()
        #expect(paths.map(\.path) == ["eth1", "eth2"] && paths.allSatisfy(\.isUp), "\(paths)")
        #expect(paths[0].deviceWords == "web1: 64 MiB, serial S1, aoe, \(host.root)/dev/etherd/e1.0")
        for path in paths {
            #expect(path.disk == nil && path.hctl == nil && path.number == nil && path.map == nil && path.wwid == nil)
            #expect(path.groupWords == nil && path.kernelWords == nil && path.failures == nil)
            #expect(path.serial == "S1" && path.size == .mebibytes(64))
        }
    }
}

import Foundation
import HostModel
import Hosts
import Testing

@testable import Operations

@Suite("Devices that guests have", .enabled(if: geteuid() == 0, "it makes block devices: run it as root"))
struct GuestDiskTests {
    /// What sysfs shows of a device that really is there, of devices around it, and of a guest's disk.
    private struct Stage {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("guest-\(UUID().uuidString)")
        let node: String
        var sysfs: String { directory.path }

        /// - Parameter number: of the device, `7:9` in decimal numbers.
        init(_ number: String) throws {
            node = directory.appendingPathComponent("node").path
            try make("devices/loop9/loop9p1")
            try make("devices/dm-1")
            try make("dev/block")
            try link("dev/block/\(number)", "../../devices/loop9")
            try link("dev/block/259:1", "../../devices/loop9/loop9p1")
            try link("dev/block/253:1", "../../devices/dm-1")
            let words = number.split(separator: ":").compactMap { UInt32($0) }
            let made = mknod(node, S_IFBLK | 0o600, dev_t(words[0] << 8 | words[1]))
            try #require(made == 0, "\(String(cString: strerror(errno)))")
        }

        func make(_ path: String) throws {
            try FileManager.default.createDirectory(
                at: directory.appendingPathComponent(path), withIntermediateDirectories: true)
        }

        func link(_ path: String, _ target: String) throws {
            try FileManager.default.createSymbolicLink(
                atPath: directory.appendingPathComponent(path).path, withDestinationPath: target)
        }

        /// Domain 7 has the device as its first disk; its number is in hexadecimal.
        func give(_ device: String) throws {
            let entry = "bus/xen-backend/devices/vbd-7-51712"
            try make(entry)
            try device.write(
                to: directory.appendingPathComponent(entry + "/physical_device"), atomically: false, encoding: .utf8)
        }

        func objection(_ volume: String? = nil, _ paths: Paths? = nil) throws -> Failure? {
            do {
                guard let paths else {
                    try GuestDisk.requireUnused(node, sysfs: sysfs)
                    return nil
                }
                try GuestDisk.requireUnused(
                    node, unlessShared: try volume.map { try VolumeName($0) }, by: paths, sysfs: sysfs)
            } catch { return error as? Failure }
            return nil
        }
    }

    @Test("A guest's disk is busy: the device, its partition, what is below it and what is on top of it")
    func related() throws {
        let other = try Stage("7:9")
        try other.give("fd:5")
        #expect(try other.objection() == nil)
        for device in ["7:9", "103:1"] {
            let stage = try Stage("7:9")
            try stage.give(device)
            let busy = try #require(try stage.objection(), "\(device)")
            #expect(busy.code == .busy && busy.why?.contains("domain with the number 7") == true)
        }
        for relation in ["slaves", "holders"] {
            let stage = try Stage("7:9")
            try stage.give("fd:1")
            #expect(try stage.objection() == nil)
            try stage.make("devices/loop9/\(relation)")
            try stage.link("devices/loop9/\(relation)/dm-1", "../../dm-1")
            #expect(try stage.objection()?.code == .busy, "\(relation)")
        }
    }

    @Test("What is shared may be served while its guest runs, and nothing else")
    func shared() throws {
        let target = try TargetHost()
        let stage = try Stage("7:9")
        try stage.give("7:9")
        let share = ShareRecord(
            domain: try DomainName("web1"), way: .aoe, hosts: [try HostName("nodeb")], volumes: [try VolumeName("web1")]
        )
        try ShareStore(target.host.paths).save(share)
        #expect(try stage.objection("web1", target.host.paths) == nil)
        #expect(try stage.objection("db", target.host.paths)?.code == .busy)
        #expect(try stage.objection(nil, target.host.paths)?.code == .busy)
    }
}

import DiskKit
import Foundation
import Glibc
import HostModel
import Testing

@testable import AoE

@Suite("Discovery")
struct DiscoveryTests {
    /// As a target answers: `argument` from offset 24 on.
    private func answer(_ command: UInt8, tag: UInt32, flags: UInt8 = 0x18, _ argument: [UInt8]) -> [UInt8] {
        [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x88, 0xa2, flags, 0, 0, 5, 7, command] + big(tag) + argument
    }

    @Test("A question has the one address that is asked for, or that of all, and is as long as the shortest frame")
    func questions() throws {
        let mac = MACAddress(value: 0x0200_0000_0007)
        let wire: [UInt8] = [2, 0, 0, 0, 0, 7, 0x88, 0xa2, 0x10, 0]
        func padded(_ bytes: [UInt8]) -> [UInt8] { bytes + [UInt8](repeating: 0, count: 60 - bytes.count) }
        let everybody = [UInt8](repeating: 0xff, count: 6)
        let read: [UInt8] = [0, 0, 0, 0, 0, 0x10]
        #expect(
            DiscoveryFrame.query(from: mac, 0x8000_0001)
                == padded(everybody + wire + [0xff, 0xff, 0xff, 1, 0x80, 0, 0, 1] + read))
        let address = try AoEAddress(shelf: 0x102, slot: 3)
        #expect(
            DiscoveryFrame.query(address, from: mac, 9) == padded(everybody + wire + [1, 2, 3, 1, 0, 0, 0, 9] + read))
        #expect(
            DiscoveryFrame.identify(address, MACAddress(value: 0x0200_0000_0009), from: mac, 9)
                == padded(
                    [2, 0, 0, 0, 0, 9] + wire + [1, 2, 3, 0, 0, 0, 0, 9] + [0, 0, 1, 0xec, 0, 0, 0, 0xa0]))
    }

    @Test("An answer to the query is a target, with what it says")
    func target() throws {
        let bytes = answer(1, tag: 77, [0, 16, 0x12, 0x34, 8, 0x10, 0, 3] + Array("abc".utf8) + [0, 0])
        let target = try #require(DiscoveryFrame.target(bytes, 77, on: "eth1"))
        #expect(target.address.description == "e5.7" && target.mac.description == "02:00:00:00:00:09")
        #expect(target.bufferCount == 16 && target.firmware == 0x1234 && target.maximumSectors == 8)
        #expect(target.configuration == Array("abc".utf8) && target.interface == "eth1")
    }

    @Test("What is cut off, an error, a question, for another tag or from no real address is no answer")
    func noTargets() {
        let good: [UInt8] = [0, 16, 0, 0, 0, 0x10, 0, 3] + Array("abc".utf8)
        #expect(DiscoveryFrame.target(answer(1, tag: 1, good), 1, on: "x")?.maximumSectors == 2)
        for bytes in [
            answer(1, tag: 1, good.dropLast()), answer(1, tag: 1, flags: 0x1c, good),
            answer(1, tag: 1, flags: 0x10, good),
            answer(0, tag: 1, good), answer(1, tag: 2, good), answer(1, tag: 1, [0, 16, 0, 0, 0, 0x10, 0xff, 0xff]), [],
        ] { #expect(DiscoveryFrame.target(bytes, 1, on: "x") == nil, "\(bytes)") }
        for length in 0..<answer(1, tag: 1, good).count {
            #expect(DiscoveryFrame.target(Array(answer(1, tag: 1, good).prefix(length)), 1, on: "x") == nil)
        }
        var wild = answer(1, tag: 1, good)
        wild[18] = 0xff
        #expect(DiscoveryFrame.target(wild, 1, on: "x") == nil)
    }

    @Test("IDENTIFY gives size, model and serial number, and nothing where it failed or is too short")
    func identity() throws {
        let facts = DeviceFacts(
            sectors: 12345, serial: "S1", firmware: "F", model: "a model", isReadOnly: false, physicalBlockSize: 512,
            trims: false, hasWriteCache: false)
        let registers: [UInt8] = [0, 0, 1, 0x40, 0, 0, 0, 0, 0, 0, 0, 0]
        let bytes = answer(0, tag: 3, registers + IdentifyData.bytes(facts))
        let identity = try #require(DiscoveryFrame.identity(bytes, 3)).2
        #expect(identity.size == ByteCount(12345 * 512) && identity.model == "a model" && identity.serial == "S1")
        #expect(DiscoveryFrame.identity(bytes.dropLast(), 3) == nil)
        var failed = bytes
        failed[27] = 0x41
        #expect(DiscoveryFrame.identity(failed, 3) == nil)
        // More sectors than 48 bits can address.
        var huge = bytes
        huge.replaceSubrange(36 + 200..<36 + 208, with: [0, 0, 0, 0, 0, 0, 1, 0])
        #expect(DiscoveryFrame.identity(huge, 3) == nil)
    }

    @Test("Two hosts' targets are found on the wire, by table and by JSON", .enabled(if: geteuid() == 0, "needs root"))
    func wire() throws {
        let host = try DaemonHost()
        try host.export(try host.file(), slot: 1)
        try host.export(try host.file(sectors: 4096), slot: 2)
        #expect(try host.initiators[0].ask(.configuration(3, Array("mine".utf8))).aoeError == nil)
        let run = try host.runAtInitiators([Wire.product, "aoe", "discover", "--format", "json"])
        #expect(run.status == 0, "\(run.errors)")
        let rows = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [[String: Any]])
        #expect(rows.map { $0["address"] as? String } == ["e1.1", "e1.2"])
        #expect(rows.map { $0["size"] as? Int } == [2048 * 512, 4096 * 512])
        #expect(rows.map { $0["configuration"] as? String } == ["", "mine"])
        #expect(rows.allSatisfy { $0["interface"] as? String == "client0" && $0["sectors"] as? Int == 2 })
        let table = try host.runAtInitiators([Wire.product, "aoe", "discover", "--interface", "client0"])
        #expect(table.output.split(separator: "\n").count == 3 && table.output.contains("2 MiB"))
        #expect(try host.runAtInitiators([Wire.product, "aoe", "discover", "--interface", "nosuch"]).status == 6)
    }
}

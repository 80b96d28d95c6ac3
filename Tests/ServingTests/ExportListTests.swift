import AoE
import BlockServer
import Foundation
import Glibc
import HostModel
import Testing

@testable import Serving

/// A directory that goes with the value.
final class Place {
    let path = FileManager.default.temporaryDirectory.path + "/xenlvs-serving-\(UInt64.random(in: 0...UInt64.max))"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

enum Sample {
    static func record(_ slot: Int, path: String = "/srv/disk", volume: String? = nil) throws -> ExportRecord {
        try ExportRecord(
            address: try AoEAddress(shelf: 1, slot: slot), path: path, volume: try volume.map { try VolumeName($0) },
            interfaces: ["eth1", "eth2"], isReadOnly: slot % 2 == 1, allowed: [try MACAddress("02:00:00:00:00:0a")],
            durability: .durable, cache: .automatic, queueDepth: 64)
    }
}

@Suite("The list of exports")
struct ExportListTests {
    @Test("What is stored is what is read, and only its owner may read it")
    func roundTrip() throws {
        let place = try Place()
        let store = ExportStore(path: place.path + "/exports.json")
        #expect(try store.load().isEmpty)
        let records = [try Sample.record(0), try Sample.record(1, path: "/a \"b\"/ü", volume: "web1")]
        try store.save(records.reversed())
        #expect(try store.load() == records)
        #expect(try FileManager.default.attributesOfItem(atPath: store.path)[.posixPermissions] as? Int == 0o600)
        try store.save([])
        #expect(try store.load().isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == ["exports.json"])
    }

    @Test("A list that cannot be stored leaves the former one")
    func failedSave() throws {
        let place = try Place()
        let store = ExportStore(path: place.path + "/exports.json")
        try store.save([try Sample.record(0)])
        try FileManager.default.createDirectory(atPath: store.path + ".new", withIntermediateDirectories: true)
        #expect(throws: Failure.self) { try store.save([]) }
        #expect(try store.load() == [try Sample.record(0)])
    }

    @Test(
        "A list that is damaged, of another version, or with an address twice is not begun anew",
        arguments: ["", "{", #"{"version":2,"exports":[]}"#, #"{"version":1}"#, "twice"])
    func damaged(_ text: String) throws {
        let place = try Place()
        let store = ExportStore(path: place.path + "/exports.json")
        if text == "twice" {
            try store.save([try Sample.record(0), try Sample.record(0, path: "/other")])
        } else {
            try text.write(toFile: store.path, atomically: false, encoding: .utf8)
        }
        let failure = #expect(throws: Failure.self) { try store.load() }
        #expect(failure?.code == .inconsistent && failure?.description.contains(store.path) == true)
    }

    @Test("A serial number goes by the path as it is given, with and without the daemon, and not by its links")
    func serials() throws {
        let place = try Place()
        let link = place.path + "/web1"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/dev/null")
        let serial = try Sample.record(0, path: link).serial
        #expect(DeviceSerial.text(of: link) == serial)
        #expect(DeviceSerial.text(of: "\(place.path)/./other/..//web1") == serial)
        try FileManager.default.removeItem(atPath: link)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/dev/zero")
        #expect(DeviceSerial.text(of: link) == serial)
        #expect(DeviceSerial.text(of: link + "2") != serial)
    }

    @Test("Addresses are read as they are written", arguments: ["e0.0", "e1.2", "e65534.254"])
    func addresses(_ text: String) throws { #expect(try AoEAddress(text).description == text) }

    @Test(
        "What is no address is none",
        arguments: [
            "", "e", "1.2", "e1", "e1.", "e.1", "e1.2.3", "e-1.2", "e+1.2", "e65535.0", "e1.255", "e1.2 ", "E1.2",
            "e１.2",
        ])
    func noAddresses(_ text: String) { #expect(throws: Failure.self) { try AoEAddress(text) } }
}

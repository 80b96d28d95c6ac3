import DiskKit
import Foundation
import Glibc
import Testing

@Suite("Many exports", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct ManyExportsTests {
    @Test("A thousand exports, all of them written and read, take less than 200 MB, and each answers for itself")
    func thousand() throws {
        let host = try DaemonHost(starts: false)
        let directory = "/dev/shm/xenlvs-many-\(UInt32.random(in: 0...UInt32.max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let count = 1000
        var exports: [[String: Any]] = []
        for number in 0..<count {
            let path = "\(directory)/\(number)"
            try Data().write(to: URL(fileURLWithPath: path))
            truncate(path, 1 << 20)
            exports.append([
                "address": "e\(number / 250).\(number % 250)", "path": path, "interfaces": ["target0"],
                "readOnly": false, "allow": [], "durability": number % 2 == 0 ? "durable" : "writeback",
                "cache": "automatic", "queueDepth": 128,
            ])
        }
        let state = host.root + "/var/lib/xenlvs/aoe"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        try JSONSerialization.data(withJSONObject: ["version": 1, "exports": exports])
            .write(to: URL(fileURLWithPath: state + "/exports.json"))
        try host.start()
        #expect(try host.exports().values.count { $0.state == "serving" } == count, "\(host.log)")
        let idle = try Memory(of: host.daemonID)
        let initiator = host.initiators[0]
        for number in 0..<count {
            let bytes = sectors(UInt8(number % 251), UInt8(number / 251))
            var request = Request.write(4, bytes)
            (request.shelf, request.slot) = (UInt16(number / 250), UInt8(number % 250))
            #expect(try initiator.ask(request).isGood, "\(number)")
        }
        // Many at the same time, so that as much as possible is under way.
        for number in 0..<count {
            for sector in 0..<4 {
                var request = Request.read(sector * 2, 2, tag: UInt32(number * 4 + sector + 1) | 0x4000_0000)
                (request.shelf, request.slot) = (UInt16(number / 250), UInt8(number % 250))
                initiator.send(request)
            }
        }
        while initiator.receive(milliseconds: 300) != nil {}
        for number in stride(from: 0, to: count, by: 37) {
            var request = Request.read(4, 2)
            (request.shelf, request.slot) = (UInt16(number / 250), UInt8(number % 250))
            #expect(try initiator.ask(request).data == sectors(UInt8(number % 251), UInt8(number / 251)), "\(number)")
        }
        _ = try host.exports("--stats")
        let used = try Memory(of: host.daemonID)
        print("memory of \(count) exports: idle \(idle), after use \(used)")
        #expect(used.total < 200_000_000, "idle \(idle), after use \(used)")
        #expect(idle.total > 1_000_000)
    }
}

/// What a process takes, in bytes.
private struct Memory: CustomStringConvertible {
    /// All that it has in memory, its program and the pages of files that it has touched included.
    var total: Int
    var own: Int

    init(of process: Int32) throws {
        let text = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        func value(_ key: String) throws -> Int {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(key + ":") })
            return try #require(Int(line.filter(\.isNumber))) * 1024
        }
        (total, own) = (try value("VmRSS"), try value("RssAnon"))
    }

    var description: String { "\(total >> 20) MiB, \(own >> 20) MiB of it its own" }
}

import DiskKit
import Foundation
import Glibc
import Testing

@Suite("xenlvs aoe serve", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct ServeTests {
    @Test("What is wrong is said, with a way out, and ends with the code that fits")
    func refusals() throws {
        let wire = try Wire(starts: false)
        let odd = try TestFile(sectors: 1)
        truncate(odd.path, 700)
        let cases: [(path: String, options: [String], status: Int32, words: [String])] = [
            ("/nosuch", [], 6, ["/nosuch"]),
            (wire.file.path, ["--interface", "nosuch0"], 6, ["nosuch0", "ip link"]),
            (wire.file.path, ["--interface", "lo"], 1, ["lo", "not an Ethernet interface"]),
            (wire.file.path, ["--interface", String(repeating: "x", count: 40)], 64, ["interface"]),
            (odd.path, [], 1, ["700 bytes", "truncate"]),
            ("/dev/null", [], 1, ["neither a file nor a block device"]),
            (wire.file.path, ["--shelf", "65535", "--slot", "0"], 64, ["65535 is not a shelf", "0 to 65534"]),
            (wire.file.path, ["--shelf", "1", "--slot", "255"], 64, ["255 is not a slot", "0 to 254"]),
            (wire.file.path, ["--allow", "02:00:00:00:00"], 64, ["'02:00:00:00:00' is not a MAC address"]),
            (wire.file.path, ["--allow", "ff:ff:ff:ff:ff:ff"], 64, ["not the address of one interface"]),
            (wire.file.path, ["--queue-depth", "1"], 64, ["2 to 1024"]),
            (wire.file.path, ["--direct"], 1, ["--buffered"]),
            (wire.file.path, ["--direct", "--buffered"], 64, ["--buffered"]),
        ]
        for (path, options, status, words) in cases {
            #expect(try wire.refusal(path, options) == status, "\(options) \(path)")
            for word in words { #expect(wire.refusalText.contains(word), "\(word) in: \(wire.refusalText)") }
        }
    }

    @Test("An address that another target of this host has on the interface is busy")
    func sameHost() throws {
        let wire = try Wire()
        let other = try TestFile(sectors: 8)
        #expect(try wire.refusal(other.path) == 5)
        #expect(wire.refusalText.contains("e1.2"))
        #expect(try wire.read(0, 1).isGood)
    }

    @Test("An address that another host's target answers for is busy, and it says whose it is")
    func otherHost() throws {
        let wire = try Wire(starts: false)
        // The test plays the other target: it answers the question whether anybody is there.
        let status = try wire.refusal(wire.file.path) {
            guard let question = wire.receive(milliseconds: 10000) else { return }
            var answer = Request.configuration(0)
            answer.versionAndFlags = 0x18
            answer.tag = question.tag
            wire.send(answer)
        }
        #expect(status == 5)
        #expect(wire.refusalText.contains("02:00:00:00:00:0a"))
    }

    @Test("A file that is served already is busy")
    func sameFile() throws {
        let wire = try Wire()
        #expect(try wire.refusal(wire.file.path, ["--shelf", "7", "--slot", "1"]) == 5)
        #expect(wire.refusalText.contains(wire.file.path))
    }

    @Test("An interface that is removed and made anew is served again")
    func interfaceReturns() throws {
        let wire = try Wire()
        try wire.ip("link", "set", wire.targetInterface, "name", "other0")
        let deadline = ContinuousClock.now + .seconds(5)
        while !wire.errors.contains("has gone"), ContinuousClock.now < deadline { usleep(5000) }
        #expect(wire.errors.contains("the interface target0 has gone"))
        try wire.ip("link", "set", "other0", "name", "target0")
        #expect(wire.isAnsweredSoon())
    }

    @Test("On an interface that is down it says so, and serves once that is up")
    func interfaceDown() throws {
        let wire = try Wire(starts: false)
        try wire.ip("link", "set", wire.targetInterface, "down")
        try wire.start(wire.file.path)
        let warning = "warning: not served on target0: it is down, and nobody reaches"
        #expect(wire.errors.contains(warning), "\(wire.errors)")
        try wire.ip("link", "set", wire.targetInterface, "up")
        #expect(wire.isAnsweredSoon())
    }

    @Test("More requests than the queue holds are answered all the same, or asked for again")
    func burst() throws {
        let wire = try Wire(options: ["--queue-depth", "8", "--writeback"])
        var missing = Set<UInt32>(1000..<1400)
        for _ in 0..<20 where !missing.isEmpty {
            for tag in missing { wire.send(.read(Int(tag), 2, tag: tag)) }
            while let reply = wire.receive(milliseconds: 100) {
                if reply.isGood { missing.remove(reply.tag) }
                if missing.isEmpty { break }
            }
        }
        #expect(missing.isEmpty)
    }

    @Test("While the disk answers nothing, requests that wait for room cost nothing, and all are answered in the end")
    func fullQueue() throws {
        let disk = try FreezableDisk()
        let wire = try Wire(options: ["--queue-depth", "8", "--writeback", "--direct"], serves: disk.path)
        defer {
            // What hangs cannot end.
            try? disk.thaw()
            wire.kill()
        }
        #expect(try wire.write(0, sectors(1)).isGood)
        try disk.freeze()
        // No more than the ring of the interface holds.
        var missing = Set<UInt32>(1000..<1020)
        for tag in missing { wire.send(.write(Int(tag) * 2, sectors(1, 2), tag: tag)) }
        usleep(500_000)
        let before = try Self.processorTicks(wire.processID)
        usleep(1_000_000)
        // Of a hundred.
        #expect(try Self.processorTicks(wire.processID) - before < 20)
        #expect(wire.receive(milliseconds: 0) == nil)
        try disk.thaw()
        let start = ContinuousClock.now
        while !missing.isEmpty {
            let reply = try #require(wire.receive(), "\(missing.count) are missing")
            if reply.isGood { missing.remove(reply.tag) }
        }
        // Not by the clock, which looks once a second.
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    /// What a process has used of the processors, in hundredths of a second (proc(5)).
    private static func processorTicks(_ process: Int32) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        let fields = try #require(text.split(separator: ")").last).split(separator: " ")
        return try #require(Int(fields[11])) + #require(Int(fields[12]))
    }
}

extension Initiators {
    /// Whether a read is answered within ten seconds: where its interface has come back, a target asks others first.
    fileprivate func isAnsweredSoon() -> Bool {
        for _ in 0..<100 {
            let tag = tag()
            send(.read(0, 1, tag: tag))
            while let reply = receive(milliseconds: 100) {
                if reply.isResponse, reply.tag == tag { return reply.isGood }
            }
        }
        return false
    }
}

/// A block device that can be made to take no more writes: a loop device over a file on a file system of its own.
final class FreezableDisk {
    private let image: TestFile
    /// Where the file system is mounted.
    let place: String
    private let below: LoopDevice
    private var device: LoopDevice?
    private var isFrozen = false
    var path: String { device?.path ?? "" }

    init() throws {
        image = try TestFile(sectors: 65536, in: "/dev/shm")
        place = image.path + ".mount"
        _ = try Shell.run("mkfs.ext4", "-q", image.path)
        below = try LoopDevice(image.path)
        mkdir(place, 0o700)
        _ = try Shell.run("mount", below.path, place)
        _ = try Shell.run("fallocate", "--length", "4M", place + "/disk")
        device = try LoopDevice(place + "/disk")
    }

    deinit {
        try? thaw()
        device = nil
        _ = try? Shell.run("umount", place)
        rmdir(place)
    }

    func freeze() throws {
        _ = try Shell.run("fsfreeze", "--freeze", place)
        isFrozen = true
    }

    func thaw() throws {
        guard isFrozen else { return }
        _ = try Shell.run("fsfreeze", "--unfreeze", place)
        isFrozen = false
    }
}

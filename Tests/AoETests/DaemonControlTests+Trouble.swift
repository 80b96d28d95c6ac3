import DiskKit
import Foundation
import Glibc
import Testing

@Suite("xenlvsd in trouble", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct DaemonTroubleTests {
    @Test("Files that do not open keep no other export waiting at the start, and are served once they open")
    func hungAtStart() throws {
        let host = try DaemonHost()
        let files = try (0..<9).map { _ in try host.file() }
        for (slot, file) in files.enumerated() { try host.export(file, slot: slot) }
        #expect(try host.terminate() == 0)
        let leases = try files.dropFirst().map { try Lease($0.path) }
        let start = ContinuousClock.now
        try host.start()
        // Five seconds for each would be forty.
        #expect(ContinuousClock.now - start < .seconds(10))
        let exports = try host.exports()
        #expect(exports["e1.0"]?.state == "serving")
        #expect(exports["e1.1"]?.state == "failed" && exports["e1.1"]?.why == "it takes long")
        var read = Request.read(0, 1)
        read.slot = 0
        #expect(try host.initiators[0].ask(read).isGood)
        for lease in leases { lease.end() }
        try host.wait("they are not served: \(host.log)") {
            try host.exports().values.allSatisfy { $0.state == "serving" }
        }
    }

    @Test("A thread that a file keeps in a system call is told, and systemd is not made to kill the daemon for it")
    func hungThread() throws {
        let disk = try FreezableDisk()
        let path = disk.place + "/buffered"
        try Data(count: 1 << 20).write(to: URL(fileURLWithPath: path))
        let host = try DaemonHost(starts: false)
        let listener = try NotifySocket(host.root + "/notify")
        try host.start(["NOTIFY_SOCKET": host.root + "/notify", "WATCHDOG_USEC": "60000000"])
        defer {
            // What hangs cannot end.
            try? disk.thaw()
            host.kill()
        }
        let words = ["--shelf", "1", "--slot", "2", "--interface", "target0", "--writeback", "--buffered"]
        let run = try host.run([Wire.product, "export", "aoe", path] + words)
        try #require(run.status == 0, "\(run.errors)")
        #expect(listener.next() == "READY=1")
        try disk.freeze()
        host.initiators[0].send(.write(1, sectors(1), tag: 100))
        let start = ContinuousClock.now
        while !host.log.contains("has waited for a file or device for") {
            try #require(listener.next() == "WATCHDOG=1")
            try #require(ContinuousClock.now - start < .seconds(30), "\(host.log)")
        }
        try disk.thaw()
        while try #require(host.initiators[0].receive()).tag != 100 {}
        #expect(try host.terminate() == 0)
    }

    @Test("An export that a thread which hangs has not taken in time leaves nothing, and can be made when it goes on")
    func exportToHungThread() throws {
        let disk = try FreezableDisk()
        let path = disk.place + "/buffered"
        try Data(count: 1 << 20).write(to: URL(fileURLWithPath: path))
        let host = try DaemonHost()
        defer {
            // What hangs cannot end.
            try? disk.thaw()
            host.kill()
        }
        let file = try host.file()
        // They belong to the same thread, however many there are.
        func export(_ path: String, slot: Int) throws -> DaemonHost.Run {
            let words = ["--shelf", "1", "--slot", "\(slot)", "--interface", "target0", "--writeback", "--buffered"]
            return try host.run([Wire.product, "export", "aoe", path] + words)
        }
        #expect(try export(path, slot: 2).status == 0, "\(host.log)")
        try disk.freeze()
        host.initiators[0].send(.write(1, sectors(1), tag: 100))
        usleep(100_000)
        let late = try export(file.path, slot: 6)
        #expect(late.status == 1 && late.errors.contains("was not done"), "\(late.errors)")
        try disk.thaw()
        while try #require(host.initiators[0].receive()).tag != 100 {}
        #expect(try host.exports().keys.sorted() == ["e1.2"])
        let again = try export(file.path, slot: 6)
        #expect(again.status == 0, "\(again.errors)")
        var read = Request.read(0, 1)
        read.slot = 6
        #expect(try host.initiators[0].ask(read).isGood)
    }

    @Test("Where an interface comes back, others are asked whether they have the address, before anything is answered")
    func conflictOnReturn() throws {
        let host = try DaemonHost(interfaces: 2)
        try host.export(try host.file(), on: [0, 1])
        try host.ip("link", "set", "target0", "down")
        try host.wait("it is not down") { try host.exports()["e1.2"]?.interfaces.map(\.state) == ["down", "up"] }
        while host.initiators[0].receive(milliseconds: 100) != nil {}
        let answering = Answering(host.initiators[0])
        try host.ip("link", "set", "target0", "up")
        // What is set by another interface is announced there, and not where nobody was asked yet.
        #expect(try host.initiators[1].ask(.configuration(4, Array("news".utf8))).aoeError == nil)
        #expect(answering.end()?.isResponse == false, "it has announced itself before it asked")
        try host.wait("the other target is not seen: \(host.log)") {
            host.log.contains("e1.2 is not served on target0: the target at 02:00:00:00:00:0a")
        }
        #expect(try host.initiators[1].read(0, 1).isGood)
        // The other one answers only once.
        try host.wait("it is not back") { try host.exports()["e1.2"]?.interfaces.map(\.state) == ["up", "up"] }
        #expect(try host.initiators[0].read(0, 1).isGood)
    }

    @Test("An interface that is down at the export is warned of, and others are asked there once it is up")
    func downAtExport() throws {
        let host = try DaemonHost(interfaces: 2)
        try host.ip("link", "set", "target1", "down")
        let run = try host.xenlvs(
            "export", "aoe", try host.file().path, "--shelf", "1", "--slot", "2", "--writeback", "--interface",
            "target0",
            "--interface", "target1")
        #expect(run.status == 0 && run.output.hasPrefix("exported e1.2 "), "\(run.output)\(run.errors)")
        #expect(run.errors.contains("warning: not served on target1: it is down, and nobody reaches"), "\(run.errors)")
        #expect(!run.errors.contains("target0"), "\(run.errors)")
        #expect(try host.exports()["e1.2"]?.state == "serving")
        let answering = Answering(host.initiators[1])
        try host.ip("link", "set", "target1", "up")
        #expect(answering.end()?.isResponse == false, "it has announced itself before it asked")
        try host.wait("the other target is not seen: \(host.log)") {
            host.log.contains("e1.2 is not served on target1: the target at ")
        }
        // The other one answers only once.
        try host.wait("it is not served") { try host.exports()["e1.2"]?.interfaces.map(\.state) == ["up", "up"] }
        #expect(try host.initiators[1].read(0, 1).isGood)
    }

    @Test("An export on two interfaces that lead to the same network does not take itself for another target")
    func sameNetwork() throws {
        let host = try DaemonHost(interfaces: 2)
        for words in [
            "add bridge0 type bridge", "set client0 master bridge0", "set client1 master bridge0", "set bridge0 up",
        ] {
            let run = try host.runAtInitiators(["ip", "link"] + words.split(separator: " ").map(String.init))
            try #require(run.status == 0, "\(run.errors)")
        }
        try host.export(try host.file(), on: [0, 1])
        #expect(try host.terminate() == 0)
        try host.start()
        #expect(try host.exports()["e1.2"]?.interfaces.map(\.state) == ["up", "up"], "\(host.log)")
        try host.ip("link", "set", "target1", "down")
        try host.wait("it is not down") { try host.exports()["e1.2"]?.interfaces.map(\.state) == ["up", "down"] }
        try host.ip("link", "set", "target1", "up")
        try host.wait("it is not back") { try host.exports()["e1.2"]?.interfaces.map(\.state) == ["up", "up"] }
        #expect(!host.log.contains("is not served"), "\(host.log)")
    }
}

/// Keeps everybody else from opening a file, for as long as the kernel allows (fcntl(2), 45 seconds).
private final class Lease {
    private let descriptor: Int32
    // linux/fcntl.h: F_SETSIG, F_SETLEASE
    private static let setSignal: Int32 = 10
    private static let setLease: Int32 = 1024

    init(_ path: String) throws {
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        // SIGIO, by which its holder is told otherwise, would end the tests.
        try #require(fcntl(descriptor, Self.setSignal, SIGURG) == 0)
        try #require(fcntl(descriptor, Self.setLease, Int32(F_WRLCK)) == 0)
    }

    func end() { _ = fcntl(descriptor, Self.setLease, Int32(F_UNLCK)) }

    deinit { close(descriptor) }
}

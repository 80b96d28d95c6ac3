import Foundation
import Glibc
import HostModel
import Testing

@testable import BlockServer

/// Where files lie on a disk; `/tmp` may be memory, around which there is no way.
let diskDirectory = "/var/tmp"

/// A file that goes with the value, on a disk or in memory.
final class TestFile {
    let path: String

    init(sectors: Int, in directory: String = diskDirectory) throws {
        path = "\(directory)/xenlvs-block-\(UInt64.random(in: 0...UInt64.max))"
        try Data(count: sectors * 512).write(to: URL(fileURLWithPath: path))
    }

    deinit { unlink(path) }

    /// The sectors as they are in the file.
    func sectors(_ range: Range<Int>) throws -> [UInt8] {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        try handle.seek(toOffset: UInt64(range.lowerBound * 512))
        return Array(try handle.read(upToCount: range.count * 512) ?? Data())
    }

    func truncate(sectors: Int) { Glibc.truncate(path, sectors * 512) }
}

/// A loop device over a file; detached with the value.
final class LoopDevice {
    let path: String

    init(_ file: String, sectorSize: Int = 512) throws {
        path = try Shell.run("losetup", "--find", "--show", "--sector-size", "\(sectorSize)", file)
    }

    deinit { _ = try? Shell.run("losetup", "--detach", path) }
}

/// A small file system in memory; unmounted with the value.
final class SmallFileSystem {
    let path: String

    init(bytes: Int) throws {
        path = FileManager.default.temporaryDirectory.path + "/xenlvs-mount-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        _ = try Shell.run("mount", "-t", "tmpfs", "-o", "size=\(bytes)", "xenlvs-test", path)
    }

    deinit {
        _ = try? Shell.run("umount", "--lazy", path)
        rmdir(path)
    }
}

enum Shell {
    struct Failed: Error { var words: [String], status: Int32 }

    /// Runs a command and returns its output without the newline at its end.
    static func run(_ words: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed(words: words, status: process.terminationStatus) }
        return String(decoding: output, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
}

/// An engine in a class, which `#expect` can look at.
final class TestEngine {
    private var engine: BlockEngine

    init(
        _ path: String, _ policy: CachePolicy, _ durability: Durability = .writeback, depth: Int = 16
    ) throws(Failure) {
        engine = try BlockEngine(
            backing: try Backing(opening: path, readOnly: false, policy: policy), depth: depth, maximumTransfer: 8192,
            durability: durability)
    }

    var isIdle: Bool { engine.isIdle }
    var syncCount: Int { engine.syncCount }
    var blockSizes: [Int] { [engine.backing.blockSize, engine.backing.physicalBlockSize] }

    func take() throws -> Int {
        guard let slot = engine.take() else { throw NoSlot() }
        return slot
    }

    func submit() { engine.submit() }
    func release(_ slot: Int) { engine.release(slot) }
    func result(_ slot: Int) -> Int32 { engine.result(of: slot) }
    func readAgain(_ slot: Int) -> Int32 { engine.readAgain(slot) }

    /// Queues a write of sectors that are all `byte`.
    @discardableResult
    func write(sector: Int, count: Int, _ byte: UInt8, _ bytes: Bytes) throws -> Int {
        let slot = try take()
        engine.write(slot, offset: Int64(sector) * 512, length: count * 512, from: bytes.fill(byte, count))
        return slot
    }

    func read(sector: Int, count: Int, keepsBytes: Bool = true) throws -> Int {
        let slot = try take()
        engine.read(slot, offset: Int64(sector) * 512, length: count * 512, keepsBytes: keepsBytes)
        return slot
    }

    func flush() throws -> Int {
        let slot = try take()
        engine.flush(slot)
        return slot
    }

    /// Queues a trim of ranges of sectors.
    func trim(_ ranges: [Range<Int>]) throws -> Int {
        let slot = try take()
        engine.trim(slot)
        for range in ranges {
            engine.addTrim(slot, offset: Int64(range.lowerBound) * 512, length: Int64(range.count) * 512)
        }
        return slot
    }

    /// Runs until `count` requests have ended, and returns their slots in the order in which they did.
    func finish(_ count: Int) throws -> [Int] {
        var ended: [Int] = []
        let deadline = ContinuousClock.now + .seconds(10)
        engine.submit()
        while ended.count < count {
            if let slot = engine.nextCompletion() {
                ended.append(slot)
                continue
            }
            try #require(ContinuousClock.now < deadline, "the engine hangs")
            var request = pollfd(fd: engine.completionDescriptor, events: Int16(POLLIN), revents: 0)
            poll(&request, 1, 5)
            engine.reap()
        }
        return ended
    }

    /// Runs until `count` requests have ended well, and gives their slots back.
    func succeed(_ count: Int) throws {
        for slot in try finish(count) {
            #expect(engine.result(of: slot) == 0)
            engine.release(slot)
        }
    }

    /// What a read that has ended brought.
    func bytes(_ slot: Int, count: Int) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: engine.bytes(of: slot), count: count * 512))
    }

    func sectors(_ range: Range<Int>) throws -> [UInt8] {
        let slot = try read(sector: range.lowerBound, count: range.count)
        _ = try finish(1)
        defer { engine.release(slot) }
        try #require(engine.result(of: slot) == 0)
        return bytes(slot, count: range.count)
    }

    struct NoSlot: Error {}
}

/// Memory for the bytes of writes, which a test may change when the engine must not need them any more.
final class Bytes {
    private var parts: [UnsafeMutableRawBufferPointer] = []

    func fill(_ byte: UInt8, _ sectors: Int) -> UnsafeRawPointer {
        // Not aligned, like the payload of a frame.
        let part = UnsafeMutableRawBufferPointer.allocate(byteCount: sectors * 512 + 2, alignment: 64)
        part.initializeMemory(as: UInt8.self, repeating: byte)
        parts.append(part)
        return UnsafeRawPointer(part.baseAddress! + 2)
    }

    func spoil() { for part in parts { part.initializeMemory(as: UInt8.self, repeating: 0xee) } }

    deinit { for part in parts { part.deallocate() } }
}

/// Sectors of which each is filled with its own byte.
func sectors(_ bytes: [UInt8]) -> [UInt8] { bytes.flatMap { [UInt8](repeating: $0, count: 512) } }

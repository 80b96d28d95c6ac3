import Foundation
import Glibc
import HostModel
import Testing

@testable import BlockServer

/// An engine in a class, which `#expect` can look at.
final class TestEngine {
    private var engine: BlockEngine

    init(
        _ path: String, _ policy: CachePolicy, _ durability: Durability = .writeback, depth: Int = 16,
        readOnly: Bool = false, usesRing: Bool = true
    ) throws(Failure) {
        engine = try BlockEngine(
            backing: try Backing(opening: path, readOnly: readOnly, policy: policy), depth: depth,
            maximumTransfer: 8192, durability: durability, usesRing: usesRing)
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

import BlockServer
import DiskKit
import Foundation
import Glibc
import HostModel
import Testing

@Suite("Durability", .enabled(if: geteuid() == 0, "loop devices need root"))
struct DurabilityTests {
    @Test("A durable write whose sync fails is an error")
    func durableError() throws {
        let disk = try OvercommittedDisk()
        let engine = try TestEngine(disk.device.path, .buffered, .durable, depth: 64)
        let bytes = Bytes()
        for number in 0..<64 {
            try engine.write(sector: number * 64, count: 16, 1, bytes)
        }
        let ended = try engine.finish(64)
        #expect(ended.contains { engine.result($0) == EIO || engine.result($0) == ENOSPC })
        for slot in ended { engine.release(slot) }
    }

    @Test("A sync that fails fails, too, what was written while it ran, and not what comes after")
    func nextGroup() throws {
        let disk = try OvercommittedDisk()
        let engine = try TestEngine(disk.device.path, .buffered, .durable, depth: 64)
        let bytes = Bytes()
        try engine.write(sector: 0, count: 8, 1, bytes)
        try engine.succeed(1)
        for number in 1..<64 {
            try engine.write(sector: number * 64, count: 16, 1, bytes)
        }
        engine.submit()
        // There is room for it, so that a sync of its own would succeed.
        let second = try engine.write(sector: 0, count: 8, 2, bytes)
        engine.submit()
        #expect(engine.syncCount == 2)
        let ended = try engine.finish(64)
        #expect(ended.last == second)
        #expect(engine.result(second) == EIO || engine.result(second) == ENOSPC)
        #expect(engine.syncCount == 2)
        for slot in ended { engine.release(slot) }
        try engine.write(sector: 0, count: 8, 3, bytes)
        try engine.succeed(1)
        #expect(engine.syncCount == 3)
    }

    @Test("A writeback write is done before it is synced, and the flush after it tells of the failure")
    func flushError() throws {
        let disk = try OvercommittedDisk()
        let engine = try TestEngine(disk.device.path, .buffered, .writeback, depth: 64)
        let bytes = Bytes()
        for number in 0..<64 {
            try engine.write(sector: number * 64, count: 16, 1, bytes)
        }
        try engine.succeed(64)
        let flush = try engine.flush()
        #expect(try engine.finish(1) == [flush])
        #expect(engine.result(flush) != 0)
    }

    @Test(
        "A flush ends after the writes that arrived before it", arguments: [CachePolicy.direct, .buffered],
        [true, false])
    func flushOrder(_ policy: CachePolicy, usesRing: Bool) throws {
        let file = try TestFile(sectors: 256)
        let engine = try TestEngine(file.path, policy, .writeback, usesRing: usesRing)
        let bytes = Bytes()
        for number in 0..<8 { try engine.write(sector: number * 24, count: 16, 3, bytes) }
        let flush = try engine.flush()
        #expect(try engine.finish(9).last == flush)
    }

    @Test("A write that ends while a sync is under way waits for the next one")
    func nextSync() throws {
        let file = try TestFile(sectors: 64)
        let engine = try TestEngine(file.path, .buffered, .durable)
        let bytes = Bytes()
        let first = try engine.write(sector: 0, count: 8, 1, bytes)
        engine.submit()
        let second = try engine.write(sector: 8, count: 8, 2, bytes)
        engine.submit()
        #expect(engine.syncCount == 1)
        #expect(try engine.finish(2) == [first, second])
        #expect(engine.syncCount == 2)
    }

    @Test("Writes that wait at the same time share a sync", arguments: [CachePolicy.direct, .buffered], [true, false])
    func groupCommit(_ policy: CachePolicy, usesRing: Bool) throws {
        let file = try TestFile(sectors: 2048)
        let engine = try TestEngine(file.path, policy, .durable, depth: 64, usesRing: usesRing)
        let bytes = Bytes()
        for _ in 0..<5 {
            for number in 0..<64 { try engine.write(sector: number * 24, count: 8, 3, bytes) }
            try engine.succeed(64)
        }
        #expect(engine.syncCount >= 5)
        // The first may begin when the first write is done, and another gathers meanwhile.
        #expect(engine.syncCount <= 5 * 16)
    }
}

@Suite("Unaligned requests", .enabled(if: geteuid() == 0, "loop devices need root"))
struct UnalignedTests {
    @Test(
        "On a device with sectors of 4096 bytes, single sectors are written without touching their neighbours",
        arguments: [true, false])
    func readModifyWrite(usesRing: Bool) throws {
        let file = try TestFile(sectors: 128)
        let device = try LoopDevice(file.path, sectorSize: 4096)
        let engine = try TestEngine(device.path, .direct, usesRing: usesRing)
        #expect(engine.blockSizes == [4096, 4096])
        let bytes = Bytes()
        var expected = [UInt8](repeating: 0, count: 128)
        var generator = SystemRandomNumberGenerator()
        for round in 0..<60 {
            for number in 0..<12 {
                let count = Int.random(in: 1...16, using: &generator)
                let start = Int.random(in: 0...(128 - count), using: &generator)
                let byte = UInt8(1 + (round * 12 + number) % 255)
                try engine.write(sector: start, count: count, byte, bytes)
                for sector in start..<start + count { expected[sector] = byte }
            }
            engine.submit()
            try engine.succeed(12)
        }
        bytes.spoil()
        for start in stride(from: 0, to: 128, by: 16) {
            #expect(try engine.sectors(start..<start + 16) == sectors(Array(expected[start..<start + 16])))
        }
        #expect(try engine.sectors(5..<6) == sectors([expected[5]]))
    }
}

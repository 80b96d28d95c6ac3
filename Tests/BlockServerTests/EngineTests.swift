import DiskKit
import Foundation
import Glibc
import HostModel
import Testing

@testable import BlockServer

@Suite("Block engine")
struct EngineTests {
    static let policies: [CachePolicy] = [.direct, .buffered]

    @Test("What was written is read back, whatever becomes of the writer's memory", arguments: policies, [true, false])
    func roundTrip(_ policy: CachePolicy, usesRing: Bool) throws {
        let file = try TestFile(sectors: 64)
        let engine = try TestEngine(file.path, policy, usesRing: usesRing)
        let bytes = Bytes()
        try engine.write(sector: 3, count: 4, 7, bytes)
        engine.submit()
        bytes.spoil()
        try engine.succeed(1)
        #expect(try engine.sectors(2..<8) == sectors([0, 7, 7, 7, 7, 0]))
        #expect(try file.sectors(2..<8) == sectors([0, 7, 7, 7, 7, 0]))
        #expect(engine.isIdle)
    }

    @Test("Overlapping writes of one batch take effect in the order of arrival", arguments: policies, [true, false])
    func order(_ policy: CachePolicy, usesRing: Bool) throws {
        let file = try TestFile(sectors: 64)
        let engine = try TestEngine(file.path, policy, usesRing: usesRing)
        let bytes = Bytes()
        for round in 0..<20 {
            var expected = [UInt8](repeating: 0, count: 16)
            for number in 0..<12 {
                let start = (number * 5 + round) % 12
                let byte = UInt8(round * 12 + number + 1)
                try engine.write(sector: start, count: 4, byte, bytes)
                for sector in start..<start + 4 { expected[sector] = byte }
            }
            engine.submit()
            bytes.spoil()
            try engine.succeed(12)
            let untouched = try file.sectors(0..<16).enumerated().filter { expected[$0.offset / 512] == 0 }
            #expect(untouched.count == expected.count { $0 == 0 } * 512)
            for (sector, byte) in expected.enumerated() where byte != 0 {
                #expect(try file.sectors(sector..<sector + 1) == sectors([byte]), "sector \(sector)")
            }
        }
    }

    @Test(
        "A read between two writes of its sectors sees the first and not the second", arguments: policies,
        [true, false])
    func readBetween(_ policy: CachePolicy, usesRing: Bool) throws {
        let file = try TestFile(sectors: 64)
        let engine = try TestEngine(file.path, policy, usesRing: usesRing)
        let bytes = Bytes()
        let first = try engine.write(sector: 0, count: 8, 1, bytes)
        let read = try engine.read(sector: 2, count: 2)
        let second = try engine.write(sector: 0, count: 8, 2, bytes)
        let ended = try engine.finish(2)
        bytes.spoil()
        #expect(Set(ended) == [first, read])
        #expect(engine.bytes(read, count: 2) == sectors([1, 1]))
        for slot in ended { engine.release(slot) }
        #expect(try engine.finish(1) == [second])
        #expect(try file.sectors(0..<8) == sectors([UInt8](repeating: 2, count: 8)))
    }

    @Test("Adjacent requests that become one transfer keep their own bytes", arguments: policies, [true, false])
    func merging(_ policy: CachePolicy, usesRing: Bool) throws {
        let file = try TestFile(sectors: 512)
        let engine = try TestEngine(file.path, policy, depth: 40, usesRing: usesRing)
        let bytes = Bytes()
        for number in 0..<40 {
            try engine.write(sector: 8 * number, count: 8, UInt8(number + 1), bytes)
        }
        engine.submit()
        bytes.spoil()
        try engine.succeed(40)
        let slots = try (0..<40).map { try engine.read(sector: 8 * $0, count: 8) }
        _ = try engine.finish(40)
        for (number, slot) in slots.enumerated() {
            #expect(engine.bytes(slot, count: 8).allSatisfy { $0 == UInt8(number + 1) }, "request \(number)")
        }
    }

    @Test("There are as many slots as asked for, and one that was given back is given out again")
    func bound() throws {
        let file = try TestFile(sectors: 64)
        let engine = try TestEngine(file.path, .buffered, depth: 3)
        let slots = try (0..<3).map { _ in try engine.take() }
        #expect(Set(slots).count == 3)
        #expect(throws: TestEngine.NoSlot.self) { try engine.take() }
        engine.release(slots[1])
        #expect(try engine.take() == slots[1])
    }

    @Test(
        "A backing that has become shorter gives errors, and never bytes of something else", arguments: policies,
        [true, false])
    func shortRead(_ policy: CachePolicy, usesRing: Bool) throws {
        let file = try TestFile(sectors: 64)
        let engine = try TestEngine(file.path, policy, usesRing: usesRing)
        let bytes = Bytes()
        try engine.write(sector: 0, count: 16, 9, bytes)
        try engine.succeed(1)
        file.truncate(sectors: 12)
        // Two that become one transfer: the first is whole, the second is not.
        let whole = try engine.read(sector: 0, count: 8, keepsBytes: false)
        let cut = try engine.read(sector: 8, count: 8, keepsBytes: false)
        // Of this one the last page is there to its end in memory, but not in the file.
        let kept = try engine.read(sector: 8, count: 8)
        _ = try engine.finish(3)
        #expect(engine.result(whole) == 0)
        #expect(engine.result(cut) == BlockEngine.shortTransfer)
        #expect(engine.result(kept) == BlockEngine.shortTransfer)
        if policy == .buffered { #expect(engine.readAgain(cut) == BlockEngine.shortTransfer) }
    }

    @Test("A transfer that the kernel does not take fails, and the one beside it does not", arguments: [true, false])
    func refusal(usesRing: Bool) throws {
        let file = try TestFile(sectors: 64)
        let engine = try TestEngine(file.path, .direct, readOnly: true, usesRing: usesRing)
        let write = try engine.write(sector: 0, count: 8, 1, Bytes())
        let read = try engine.read(sector: 16, count: 8)
        _ = try engine.finish(2)
        #expect(engine.result(write) == EBADF)
        #expect(engine.result(read) == 0)
    }

    @Test("A trim empties its ranges and nothing else")
    func trim() throws {
        let file = try TestFile(sectors: 64)
        let engine = try TestEngine(file.path, .automatic)
        let bytes = Bytes()
        for start in [0, 16, 32, 48] { try engine.write(sector: start, count: 16, 5, bytes) }
        try engine.succeed(4)
        _ = try engine.trim([8..<16, 40..<42])
        try engine.succeed(1)
        let expected = (0..<64).map { UInt8((8..<16).contains($0) || (40..<42).contains($0) ? 0 : 5) }
        #expect(try file.sectors(0..<64) == sectors(expected))
    }

    @Test(
        "On a device with sectors of 4096 bytes a trim empties the whole ones of its ranges, and leaves the rest",
        .enabled(if: geteuid() == 0, "loop devices need root"), arguments: policies)
    func trimOfLargeSectors(_ policy: CachePolicy) throws {
        let file = try TestFile(sectors: 64)
        try file.put([UInt8](repeating: 5, count: 64 * 512), at: 0)
        let device = try LoopDevice(file.path, sectorSize: 4096)
        let engine = try TestEngine(device.path, policy)
        _ = try engine.trim([4..<20, 26..<30, 33..<64])
        try engine.succeed(1)
        let expected = (0..<64).map { UInt8((8..<16).contains($0) || (40..<64).contains($0) ? 0 : 5) }
        #expect(try file.sectors(0..<64) == sectors(expected))
        withExtendedLifetime(device) {}
    }

    @Test("The whole blocks of a range are those that lie in it from end to end")
    func wholeBlocks() {
        func whole(_ offset: Int64, _ length: Int64) -> [Int64] {
            let blocks = TrimRange(offset: offset, length: length).wholeBlocks(of: 4096)
            return [blocks.offset, blocks.length]
        }
        #expect(whole(0, 8192) == [0, 8192])
        #expect(whole(4096, 4096) == [4096, 4096])
        #expect(whole(512, 8192) == [4096, 4096])
        #expect(whole(3584, 4608) == [4096, 4096])
        for (offset, length) in [(4096, 0), (4096, 3584), (512, 4096), (512, 7168), (3584, 1024)] as [(Int64, Int64)] {
            #expect(whole(offset, length)[1] == 0, "\(length) bytes from \(offset)")
        }
    }
}

import Foundation
import HostModel
import SeedKit
import Testing

@testable import ImageStream

@Suite("A disk without what is empty")
struct SparseStreamTests {
    private func withFiles(_ size: Int, _ body: (String, String) throws -> Void) throws {
        let root = FileManager.default.temporaryDirectory.path + "/xenlvs-sparse-\(UUID())"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let (from, to) = (root + "/from", root + "/to")
        try Data(count: size).write(to: URL(fileURLWithPath: from))
        // What was there before must not be seen afterwards.
        try Data(repeating: 0xAA, count: size).write(to: URL(fileURLWithPath: to))
        try body(from, to)
    }

    private func write(_ bytes: [UInt8], at offset: Int, to path: String) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: Data(bytes))
        try file.close()
    }

    @Test(
        "Whatever is on it, the other disk has the same, and zeros are not sent",
        arguments: [0, 1, 2, 3, 4, 5, 6, 7])
    func same(_ seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let size = 3 * SparseStream.piece + Int.random(in: 0...3, using: &numbers) * 4096
        try withFiles(size, ) { from, to in
            var held = 0
            for _ in 0..<Int.random(in: 0...6, using: &numbers) {
                let length = Int.random(in: 1...200_000, using: &numbers)
                let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &numbers) }
                try write(bytes, at: Int.random(in: 0...size - length, using: &numbers), to: from)
                held += length + 2 * SparseStream.block + 64
            }
            let writer = try SparseWriter(to, size: Int64(size))
            var sent = 0
            try SparseStream.read(from, size: Int64(size)) { bytes in
                sent += bytes.count
                // Cut anywhere.
                var rest = bytes
                while !rest.isEmpty {
                    let count = min(rest.count, Int.random(in: 1...100_000, using: &numbers))
                    try writer.take(UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
                    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
                }
            } reached: { _ in
            }
            try writer.finish()
            #expect(FileManager.default.contents(atPath: from) == FileManager.default.contents(atPath: to))
            #expect(sent <= held)
        }
    }

    @Test("What does not lie within the disk, goes back, is too long, or is cut off is refused")
    func refused() throws {
        let size = 1 << 20
        try withFiles(size) { _, to in
            let wrong: [[(Int64, Int)]] = [
                [(Int64(size), 1)], [(-1, 1)], [(Int64(size) - 1, 2)], [(4096, 4096), (0, 1)], [(0, 0)],
                [(0, SparseStream.piece + 1)], [(Int64.max, 1)], [(4096, SparseStream.block)], [(0, 4096)],
            ]
            for pieces in wrong {
                let writer = try SparseWriter(to, size: Int64(size))
                #expect(throws: Failure.self) {
                    for (offset, length) in pieces {
                        try SparseStream.header(offset, length).withUnsafeBytes(writer.take)
                        try [UInt8](repeating: 1, count: min(length, 8192)).withUnsafeBytes(writer.take)
                    }
                }
            }
            let writer = try SparseWriter(to, size: Int64(size))
            try SparseStream.header(0, SparseStream.block).withUnsafeBytes(writer.take)
            #expect(throws: Failure.self) { try writer.finish() }
            #expect(throws: Failure.self) { try SparseWriter(to, size: 42) }
        }
    }

    @Test("Nobody waits for the zeros of a gap before everything has come")
    func zerosLast() throws {
        let size = 4 << 20
        try withFiles(size) { _, to in
            let writer = try SparseWriter(to, size: Int64(size))
            let piece = [UInt8](repeating: 0x55, count: SparseStream.block)
            try SparseStream.header(3 << 20, piece.count).withUnsafeBytes(writer.take)
            try piece.withUnsafeBytes(writer.take)
            let before = try #require(FileManager.default.contents(atPath: to))
            #expect(before.prefix(3 << 20).allSatisfy { $0 == 0xAA })
            try writer.finish()
            var expected = Data(count: size)
            expected.replaceSubrange(3 << 20..<(3 << 20) + piece.count, with: piece)
            #expect(FileManager.default.contents(atPath: to) == expected)
        }
    }

    @Test("Whoever waits no longer ends the zeroing with the slice that is under way")
    func ended() throws {
        let slice = Int(SparseWriter.slice) * SparseStream.block
        try withFiles(3 * slice) { _, to in
            let writer = try SparseWriter(to, size: Int64(3 * slice))
            var looks = 0
            #expect(throws: Failure.self) {
                try writer.finish {
                    looks += 1
                    if looks == 2 { throw Failure(.unreachable, "the source is gone") }
                }
            }
            let bytes = try #require(FileManager.default.contents(atPath: to))
            #expect(bytes.prefix(slice) == Data(count: slice))
            #expect(bytes[slice] == 0xAA && bytes.last == 0xAA)
        }
    }
}

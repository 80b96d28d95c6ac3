import Glibc
import HostModel
import Testing

@testable import ImageStream

/// Bytes that compress a little, the same for the same seed.
private func sample(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 60)
    }
}

private func compressed(_ bytes: [UInt8]) throws -> [UInt8] {
    let compressor = try ZstandardCompressor()
    var output: [UInt8] = []
    try bytes.withUnsafeBytes { try compressor.compress($0) { output.append(contentsOf: $0) } }
    try compressor.finish { output.append(contentsOf: $0) }
    return output
}

@Suite("The image channel")
struct ImageStreamTests {
    @Test("An image survives compression in one piece and byte by byte", arguments: [0, 1, 4096, 1_000_003])
    func roundTrip(_ size: Int) throws {
        let image = sample(size)
        let packed = try compressed(image)
        for piece in [packed.count, 7] {
            let decompressor = try ZstandardDecompressor()
            var result: [UInt8] = []
            var index = 0
            while index < packed.count {
                let end = min(packed.count, index + piece)
                try packed[index..<end].withUnsafeBytes {
                    try decompressor.decompress($0) { result.append(contentsOf: $0) }
                }
                index = end
            }
            #expect(result == image)
            #expect(decompressor.isFinished)
        }
    }

    @Test("A damaged image is noticed")
    func damage() throws {
        var packed = try compressed(sample(100_000))
        packed[packed.count / 2] ^= 0x10
        #expect(throws: Failure.self) {
            try packed.withUnsafeBytes { try ZstandardDecompressor().decompress($0) { _ in } }
        }
    }

    @Test("A truncated image is not finished")
    func truncation() throws {
        let packed = try compressed(sample(100_000)).dropLast(1)
        let decompressor = try ZstandardDecompressor()
        try Array(packed).withUnsafeBytes { try decompressor.decompress($0) { _ in } }
        #expect(!decompressor.isFinished)
    }

    @Test("The tail is held back to the byte, whatever the pieces", arguments: [1, 3, 10, 11, 64])
    func tail(_ piece: Int) throws {
        let stream = sample(64)
        var holder = TailHolder(size: 10)
        var passed: [UInt8] = []
        var index = 0
        while index < stream.count {
            let end = min(stream.count, index + piece)
            try stream[index..<end].withUnsafeBytes { try holder.pass($0) { passed.append(contentsOf: $0) } }
            index = end
        }
        #expect(passed == Array(stream.dropLast(10)))
        try holder.release { passed.append(contentsOf: $0) }
        #expect(passed == stream)
    }

    @Test("Frames arrive as they were sent, and garbage or a cut is refused")
    func frames() throws {
        let frames: [Frame] = [
            .begin([0x7B, 0x7D]), .data(sample(70_000)), .keepAlive, .end(size: 70_000), .release, .cancel,
        ]
        #expect(try readAll(bytes(of: frames)) == frames)
        #expect(throws: Failure.self) { try readAll([0x58, 0, 0, 0, 0]) }
        #expect(throws: Failure.self) { try readAll([0x44, 0xFF, 0xFF, 0xFF, 0xFF]) }
        #expect(throws: Failure.self) { try readAll([0x52, 0, 0, 0, 1, 0]) }
        #expect(throws: Failure.self) { try readAll(bytes(of: frames).dropLast(7)) }
    }

    @Test("A silent peer is given up")
    func silence() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let channel = BoundedIO(descriptor: ends[0], purpose: "the test's channel")
        let failure = #expect(throws: Failure.self) { try Frame.read(from: channel, limit: .milliseconds(20)) }
        #expect(failure?.code == .outcomeUnknown)
    }

    /// What the frames look like on the wire, by way of a file.
    private func bytes(of frames: [Frame]) throws -> [UInt8] {
        let file = try temporaryFile()
        defer { close(file) }
        for frame in frames { try frame.write(to: BoundedIO(descriptor: file, purpose: "test"), limit: .seconds(1)) }
        var content = [UInt8](repeating: 0, count: Int(lseek(file, 0, SEEK_END)))
        _ = pread(file, &content, content.count, 0)
        return content
    }

    private func readAll(_ bytes: some Sequence<UInt8>) throws -> [Frame] {
        let file = try temporaryFile()
        defer { close(file) }
        let content = Array(bytes)
        _ = pwrite(file, content, content.count, 0)
        let channel = BoundedIO(descriptor: file, purpose: "test")
        var frames: [Frame] = []
        while let frame = try Frame.read(from: channel, limit: .seconds(1)) { frames.append(frame) }
        return frames
    }

    private func temporaryFile() throws -> Int32 {
        var path = Array("/tmp/xenlvs-frames-XXXXXX".utf8CString)
        let file = mkstemp(&path)
        unlink(path)
        try #require(file >= 0)
        return file
    }
}

import Domains
import HostModel
import ImageStream
import Synchronization

/// Where an image's frames go: the file that is kept, and through the decompressor, the decoder and the tail holder into the
/// restore.
final class ImageIntake: Sendable {
    private struct State: ~Copyable {
        let decompressor: ZstandardDecompressor
        let decoder: DeltaDecoder
        var holder = TailHolder(size: SavedImage.heldBackTail)
        var scrutiny: ImageScrutiny
        var size: Int64 = 0
        var packed: Int64 = 0
        var isComplete = false
    }

    private let state: Mutex<State>
    private let file: BoundedIO
    private let restore: BoundedIO
    private let longest: Int64
    private static let limit = Duration.seconds(120)

    init(path: String, base: PageBase?, restore: BoundedIO, _ scrutiny: ImageScrutiny) throws {
        file = try BoundedIO(appendingTo: path, purpose: "the received image \(path)")
        self.restore = restore
        longest = scrutiny.longest
        state = Mutex(
            State(decompressor: try ZstandardDecompressor(), decoder: DeltaDecoder(base: base), scrutiny: scrutiny))
    }

    deinit { file.close() }

    /// Bytes of the image so far.
    var size: Int64 { state.withLock { $0.size } }

    /// Takes one frame; true for the release.
    func take(_ frame: Frame) throws -> Bool {
        try state.withLock { state in
            switch frame {
            case .begin: throw Failure(.refused, "the image channel carries a second header")
            case .data(let bytes):
                state.packed += Int64(bytes.count)
                try checkLength(state.packed)
                try file.write(bytes, limit: Self.limit)
                let decoder = state.decoder
                try bytes.withUnsafeBytes { packed in
                    try state.decompressor.decompress(packed) { list in
                        try decoder.decode(list) { plain in
                            state.size += Int64(plain.count)
                            try checkLength(state.size)
                            try state.scrutiny.pass(plain) { seen in
                                try state.holder.pass(seen) { try restore.write($0, limit: Self.limit) }
                            }
                        }
                    }
                }
            case .end(let size):
                guard state.decompressor.isFinished, state.decoder.isWhole, state.size == size else {
                    throw Failure(
                        .failed, "the image is not whole", why: "\(state.size) of \(size) bytes arrived")
                }
                state.isComplete = true
            case .release:
                guard state.isComplete else { throw Failure(.refused, "an image was released before its end") }
                return true
            case .cancel: throw Failure(.interrupted, "the source gave the image up")
            case .keepAlive: break
            }
            return false
        }
    }

    private func checkLength(_ length: Int64) throws(Failure) {
        guard length <= longest else {
            throw Failure(
                .refused, "the image is longer than its guest's memory can make it",
                why: "\(longest) bytes are expected")
        }
    }

    func release() throws {
        try state.withLock { state in try state.holder.release { try restore.write($0, limit: Self.limit) } }
    }
}

/// Where the frames of an earlier image go: into a file, as it is.
final class BaseIntake: Sendable {
    private struct State: ~Copyable {
        let decompressor: ZstandardDecompressor
        var size: Int64 = 0
        var isComplete = false
    }

    private let state: Mutex<State>
    private let file: BoundedIO
    private let expected: ByteCount

    init(path: String, size: ByteCount) throws {
        file = try BoundedIO(appendingTo: path, purpose: "the earlier image \(path)")
        expected = size
        state = Mutex(State(decompressor: try ZstandardDecompressor()))
    }

    deinit { file.close() }

    /// All of it is in the file.
    var isComplete: Bool { state.withLock { $0.isComplete } }

    func take(_ frame: Frame) throws {
        try state.withLock { state in
            switch frame {
            case .begin, .release: throw Failure(.refused, "the image channel carries what does not belong there")
            case .data(let bytes):
                try bytes.withUnsafeBytes { packed in
                    try state.decompressor.decompress(packed) { plain in
                        state.size += Int64(plain.count)
                        guard state.size <= expected.bytes else {
                            throw Failure(.refused, "the earlier image is longer than it was said to be")
                        }
                        try file.write(plain, limit: .seconds(120))
                    }
                }
            case .end(let size):
                guard state.decompressor.isFinished, state.size == size, size == expected.bytes else {
                    throw Failure(
                        .failed, "the earlier image is not whole", why: "\(state.size) of \(size) bytes arrived")
                }
                state.isComplete = true
            case .cancel: throw Failure(.interrupted, "the source gave the earlier image up")
            case .keepAlive: break
            }
        }
    }
}

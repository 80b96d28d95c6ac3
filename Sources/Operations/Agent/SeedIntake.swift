import HostModel
import ImageStream

/// Where a seed's frames go: through the decompressor to the device.
final class SeedIntake {
    private let input: BoundedIO
    private let decompressor: ZstandardDecompressor
    private let writer: SparseWriter
    private let longest: Int64
    private var size: Int64 = 0
    private(set) var isComplete = false

    /// - Parameter input: where the frames come from.
    init(_ path: String, size: ByteCount, from input: BoundedIO) throws {
        self.input = input
        decompressor = try ZstandardDecompressor()
        writer = try SparseWriter(path, size: size.bytes)
        // Each piece of at least a block has a header.
        longest = size.bytes + size.bytes / 1024 + 4096
    }

    /// The last frame takes as long as the device needs for its zeros; a source that is gone meanwhile ends that.
    func take(_ frame: Frame) throws {
        switch frame {
        case .begin, .release: throw Failure(.refused, "the channel carries what does not belong there")
        case .data(let bytes):
            try bytes.withUnsafeBytes { packed in
                try decompressor.decompress(packed) { plain in
                    size += Int64(plain.count)
                    guard size <= longest else { throw Failure(.refused, "more is sent than the volume can hold") }
                    try writer.take(plain)
                }
            }
        case .end(let expected):
            guard decompressor.isFinished, size == expected else {
                throw Failure(.failed, "the volume is not whole", why: "\(size) of \(expected) bytes arrived")
            }
            var source = SeedSource(input)
            try writer.finish { try source.check() }
            isComplete = true
        case .cancel: throw Failure(.interrupted, "the source gave it up")
        case .keepAlive: break
        }
    }
}

import Glibc
import HostModel

/// Where an image's bytes come from.
public struct SavedImageSource: Sendable {
    /// How much there is now; a file that is still being written may grow later.
    public var length: UInt64
    /// Reads up to `count` bytes at `offset`; fewer only at the end.
    public var read: @Sendable (_ offset: UInt64, _ count: Int) throws(Failure) -> [UInt8]

    public init(length: UInt64, read: @escaping @Sendable (UInt64, Int) throws(Failure) -> [UInt8]) {
        self.length = length
        self.read = read
    }

    public init(bytes: [UInt8]) {
        self.init(length: UInt64(bytes.count)) { offset, count in
            let start = min(Int(clamping: offset), bytes.count)
            return Array(bytes[start..<min(bytes.count, start + count)])
        }
    }

    /// An open file, which must stay open for as long as the source is used. Its offset is not moved.
    /// Throws a `.failed` failure where it has no size.
    public init(descriptor: Int32, path: String) throws(Failure) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size >= 0 else {
            throw Self.failure(path, errno)
        }
        self.init(length: UInt64(status.st_size)) { (offset, count) throws(Failure) in
            var bytes = [UInt8](repeating: 0, count: count)
            var filled = 0
            while filled < count {
                let got = bytes.withUnsafeMutableBytes { buffer in
                    pread(
                        descriptor, buffer.baseAddress.map { $0 + filled }, count - filled,
                        off_t(clamping: offset) + off_t(filled))
                }
                if got < 0 {
                    if errno == EINTR { continue }
                    throw Self.failure(path, errno)
                }
                if got == 0 { break }
                filled += got
            }
            return Array(bytes.prefix(filled))
        }
    }

    private static func failure(_ path: String, _ code: Int32) -> Failure {
        Failure(.failed, "cannot read the saved image \(path)", why: String(cString: strerror(code)))
    }
}

/// Why a walk through an image ended early.
enum SavedImageDefect: Error {
    /// The source ends within this part.
    case truncated(String)
    case malformed(String)
    case unreadable(Failure)
}

/// A position in an image. It never moves past the source's end, so no sum of two lengths can overflow.
struct SavedImageCursor {
    private let source: SavedImageSource
    private(set) var offset: UInt64 = 0

    init(_ source: SavedImageSource) { self.source = source }

    var length: UInt64 { source.length }

    mutating func skip(_ count: UInt64, in part: String) throws(SavedImageDefect) {
        guard count <= source.length - offset else { throw .truncated(part) }
        offset += count
    }

    mutating func take(_ count: Int, in part: String) throws(SavedImageDefect) -> SavedImageBytes {
        let start = offset
        try skip(UInt64(count), in: part)
        let bytes: [UInt8]
        do { bytes = try source.read(start, count) } catch { throw .unreadable(error) }
        guard bytes.count == count else { throw .truncated(part) }
        return SavedImageBytes(bytes: bytes)
    }
}

/// A few bytes of an image.
struct SavedImageBytes {
    var bytes: [UInt8]

    /// x86 images are little-endian but for libxl's header and libxc's image header.
    func little<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type = Value.self) -> Value {
        bytes[offset..<offset + Value.bitWidth / 8].reversed().reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
    }

    func big<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type = Value.self) -> Value {
        Value(byteSwapping: little(at: offset))
    }
}

extension FixedWidthInteger {
    fileprivate init(byteSwapping value: Self) { self = value.byteSwapped }
}

import HostModel

/// The frames of the image channel, from the source to the target.
///
/// A frame is one byte of kind, four bytes of length (big endian, at most 1 MiB) and that many bytes of payload. Data frames
/// together are one zstd stream. Nothing but a release lets the target's restore come to its end.
public enum Frame: Sendable, Equatable {
    public static let longest = 1 << 20

    /// The first frame: what the image is, as JSON.
    case begin([UInt8])
    /// A piece of the compressed image.
    case data([UInt8])
    /// The image is complete; its uncompressed size in bytes.
    case end(size: Int64)
    /// The target may use its disks: let the tail go.
    case release
    /// Give the restore up.
    case cancel
    /// Nothing to say; the source is alive.
    case keepAlive

    private enum Kind: UInt8 {
        case begin = 0x42
        case data = 0x44
        case end = 0x45
        case release = 0x52
        case cancel = 0x43
        case keepAlive = 0x4B

        func mayHave(_ length: Int) -> Bool {
            switch self {
            case .begin: length <= 65_536
            case .data: true
            case .end: length == 8
            case .release, .cancel, .keepAlive: length == 0
            }
        }
    }

    /// Writes the header of a data frame and `bytes` behind it, without gathering them.
    public static func writeData(_ bytes: UnsafeRawBufferPointer, to channel: BoundedIO, limit: Duration) throws {
        var rest = bytes
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(longest))
            try channel.write(header(.data, piece.count), limit: limit)
            try channel.write(piece, limit: limit)
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(piece.count))
        }
    }

    /// Writes any other frame.
    public func write(to channel: BoundedIO, limit: Duration) throws {
        switch self {
        case .begin(let bytes): try channel.write(Self.header(.begin, bytes.count) + bytes, limit: limit)
        case .data(let bytes): try bytes.withUnsafeBytes { try Self.writeData($0, to: channel, limit: limit) }
        case .end(let size):
            let payload = withUnsafeBytes(of: size.bigEndian) { Array($0) }
            try channel.write(Self.header(.end, payload.count) + payload, limit: limit)
        case .release: try channel.write(Self.header(.release, 0), limit: limit)
        case .cancel: try channel.write(Self.header(.cancel, 0), limit: limit)
        case .keepAlive: try channel.write(Self.header(.keepAlive, 0), limit: limit)
        }
    }

    /// Reads the next frame; nil at the end of the stream. Throws where the bytes are none of ours.
    public static func read(from channel: BoundedIO, limit: Duration) throws -> Frame? {
        var header = [UInt8](repeating: 0, count: 5)
        guard try header.withUnsafeMutableBytes({ try channel.fill($0, limit: limit) }) else { return nil }
        let length = header[1...].reduce(0) { $0 << 8 | Int($1) }
        guard let kind = Kind(rawValue: header[0]), length <= longest, kind.mayHave(length)
        else { throw Failure(.failed, "\(channel.purpose) carries something that is not an image") }
        var payload = [UInt8](repeating: 0, count: length)
        if length > 0, try !payload.withUnsafeMutableBytes({ try channel.fill($0, limit: limit) }) {
            throw Failure(.unreachable, "\(channel.purpose) broke off", why: "it ended in the middle of a message")
        }
        switch kind {
        case .begin: return .begin(payload)
        case .data: return .data(payload)
        case .end: return .end(size: payload.reduce(0) { $0 << 8 | Int64($1) })
        case .release: return .release
        case .cancel: return .cancel
        case .keepAlive: return .keepAlive
        }
    }

    private static func header(_ kind: Kind, _ length: Int) -> [UInt8] {
        [
            kind.rawValue, UInt8(truncatingIfNeeded: length >> 24), UInt8(truncatingIfNeeded: length >> 16),
            UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length),
        ]
    }
}

import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// A file that another process still appends to, read from its beginning to the end that it will have. Blocks.
final class GrowingFile {
    private let descriptor: Int32
    private let path: String
    private let hasEnded: () throws -> Bool
    private let isWaiting: () throws -> Void
    private var buffer: [UInt8]
    /// Bytes read so far.
    private(set) var position: Int64 = 0

    /// - Parameters:
    ///   - piece: the most that is handed on at once, in bytes.
    ///   - hasEnded: whether nothing will be appended any more; may throw to end the reading.
    ///   - isWaiting: called again and again while there is nothing new.
    init(
        _ path: String, piece: Int, hasEnded: @escaping () throws -> Bool, isWaiting: @escaping () throws -> Void
    ) throws {
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw Self.unreadable(path) }
        self.path = path
        self.hasEnded = hasEnded
        self.isWaiting = isWaiting
        buffer = [UInt8](repeating: 0, count: piece)
    }

    deinit { close(descriptor) }

    /// Hands on the next `count` bytes in pieces. Throws `.failed` where the file has ended before.
    func next(_ count: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        var left = count
        while left > 0 {
            let wanted = min(left, buffer.count)
            guard try fill(wanted) == wanted else { throw Failure(.failed, "the image \(path) ends too early") }
            try buffer.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<wanted])) }
            left -= wanted
        }
    }

    /// The next `count` bytes.
    func bytes(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        try next(count) { bytes += $0 }
        return bytes
    }

    /// Moves past the next `count` bytes of a file that has ended.
    func skip(_ count: Int) throws {
        guard lseek(descriptor, off_t(count), SEEK_CUR) >= 0 else { throw Self.unreadable(path) }
        position += Int64(count)
    }

    /// Hands on everything up to the end.
    func rest(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        while true {
            let count = try fill(buffer.count)
            if count > 0 { try buffer.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) } }
            if count < buffer.count { return }
        }
    }

    private static func unreadable(_ path: String) -> Failure {
        Failure(.failed, "cannot read the image \(path)", why: String(cString: strerror(errno)))
    }

    /// Fills the beginning of the buffer; returns fewer bytes only at the file's end.
    private func fill(_ count: Int) throws -> Int {
        var filled = 0
        while filled < count {
            // Asked first: what is appended between the look at the file and the question would be lost.
            let ended = try hasEnded()
            let got = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + filled, count - filled) }
            if got < 0, errno != EINTR { throw Self.unreadable(path) }
            if got > 0 {
                filled += got
                position += Int64(got)
            } else if got == 0 {
                if ended { break }
                usleep(2_000)
                try isWaiting()
            }
        }
        return filled
    }
}

import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// A disk's content as pieces with their places; what is zero is left out. Before compression: eight bytes of place, eight of
/// length (big endian), and so many bytes, again and again, in ascending order.
public enum SparseStream {
    /// The unit in which zeros are left out.
    static let block = 65_536
    static let piece = 1 << 20
    static let headerSize = 16

    static func header(_ offset: Int64, _ length: Int) -> [UInt8] {
        let fields = [UInt64(bitPattern: offset), UInt64(length)]
        return fields.flatMap { value in withUnsafeBytes(of: value.bigEndian) { Array($0) } }
    }

    /// Reads a device from its beginning and hands on what is not zero. Blocks.
    /// - Parameters:
    ///   - emit: gets headers and bytes.
    ///   - reached: is told how much was read; may throw to end it.
    public static func read(
        _ path: String, size: Int64, emit: (UnsafeRawBufferPointer) throws -> Void, reached: (Int64) throws -> Void
    ) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failed(path) }
        defer { close(descriptor) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 4096)
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: 4096)
        defer {
            buffer.deallocate()
            zeros.deallocate()
        }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        var offset: Int64 = 0
        while offset < size {
            let wanted = Int(min(Int64(piece), size - offset))
            var filled = 0
            while filled < wanted {
                let got = pread(
                    descriptor, buffer.baseAddress! + filled, wanted - filled, off_t(offset + Int64(filled)))
                if got < 0, errno == EINTR { continue }
                guard got > 0 else { throw failed(path) }
                filled += got
            }
            try pass(UnsafeRawBufferPointer(rebasing: buffer[..<wanted]), at: offset, zeros.baseAddress!, emit)
            // It is read once, and the guest needs the memory.
            posix_fadvise(descriptor, off_t(offset), off_t(wanted), POSIX_FADV_DONTNEED)
            offset += Int64(wanted)
            try reached(offset)
        }
    }

    /// Hands on the runs of blocks that are not zero.
    private static func pass(
        _ bytes: UnsafeRawBufferPointer, at offset: Int64, _ zeros: UnsafeMutableRawPointer,
        _ emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var start: Int?
        var place = 0
        while place < bytes.count {
            let length = min(block, bytes.count - place)
            let isZero = memcmp(bytes.baseAddress! + place, zeros, length) == 0
            if isZero, let first = start {
                try hand(bytes, first..<place, offset, emit)
                start = nil
            } else if !isZero, start == nil {
                start = place
            }
            place += length
        }
        if let first = start { try hand(bytes, first..<bytes.count, offset, emit) }
    }

    private static func hand(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ offset: Int64,
        _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        try header(offset + Int64(range.lowerBound), range.count).withUnsafeBytes(body)
        try body(UnsafeRawBufferPointer(rebasing: bytes[range]))
    }

    static func failed(_ path: String) -> Failure {
        Failure(.failed, "cannot read or write \(path)", why: String(cString: strerror(errno)))
    }
}

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

/// Writes what `SparseStream` has read to another device of the same size, and zeros where nothing came.
public final class SparseWriter {
    private let path: String
    private let size: Int64
    private let descriptor: Int32
    private var header: [UInt8] = []
    /// Where the next byte of the piece under way goes, and how many are still to come.
    private var place: Int64 = 0
    private var left: Int64 = 0
    /// Everything before it is written.
    private var written: Int64 = 0

    /// - Throws: `.refused` where the device has another size.
    public init(_ path: String, size: Int64) throws {
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        (self.path, self.size) = (path, size)
        guard descriptor >= 0 else { throw SparseStream.failed(path) }
        let end = lseek(descriptor, 0, SEEK_END)
        guard end == off_t(size) else {
            throw Failure(.refused, "\(path) has not the size that is sent", why: "\(end) bytes instead of \(size)")
        }
    }

    deinit { close(descriptor) }

    /// Takes the next bytes, cut anywhere. Throws `.refused` for places that do not ascend or lie outside.
    public func take(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            if left == 0 {
                let missing = SparseStream.headerSize - header.count
                header += rest.prefix(missing)
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(missing))
                if header.count == SparseStream.headerSize { try begin() }
                continue
            }
            let count = Int(min(Int64(rest.count), left))
            try write(UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        }
    }

    private func begin() throws {
        let fields = stride(from: 0, to: 16, by: 8).map { start in
            header[start..<start + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        header = []
        guard let offset = Int64(exactly: fields[0]), let length = Int64(exactly: fields[1]), length > 0,
            offset >= written, length <= Int64(SparseStream.piece), offset <= size - length
        else { throw Failure(.refused, "what was sent for \(path) does not lie within it") }
        try zero(until: offset)
        (place, left) = (offset, length)
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(place))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SparseStream.failed(path) }
            done += count
            place += Int64(count)
            left -= Int64(count)
        }
        written = place
    }

    /// The kernel zeroes a range of a disk by itself, and without writing where the disk can do that (`BLKZEROOUT`, linux/fs.h).
    private func zero(until end: Int64) throws {
        while written < end {
            let length = min(end - written, 1 << 26)
            var range = (UInt64(written), UInt64(length))
            guard ioctl(descriptor, Self.zeroOut, &range) != 0 else {
                written += length
                continue
            }
            guard errno == ENOTTY else { throw SparseStream.failed(path) }
            // No disk, but a file.
            place = written
            left = min(length, 1 << 20)
            try [UInt8](repeating: 0, count: Int(left)).withUnsafeBytes(write)
        }
    }

    private static let zeroOut: UInt = 0x127F

    /// Everything has come: the rest is zero, and all of it is on the disk when this returns.
    public func finish() throws {
        guard left == 0, header.isEmpty else { throw Failure(.failed, "what was sent for \(path) is not whole") }
        try zero(until: size)
        guard fsync(descriptor) == 0 else { throw SparseStream.failed(path) }
    }
}

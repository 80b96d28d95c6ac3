import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// Writes what `SparseStream` has read to another device of the same size, and zeros where nothing came.
///
/// Zeros come last: a disk may take minutes for those of one gap, and whoever sends would wait for it meanwhile.
public final class SparseWriter {
    private let path: String
    private let size: Int64
    private let descriptor: Int32
    private var header: [UInt8] = []
    /// Where the next byte of the piece under way goes, and how many are still to come.
    private var place: Int64 = 0
    private var left: Int64 = 0
    /// No piece begins before it.
    private var reached: Int64 = 0
    /// A bit for each block that came: 2 MiB for a disk of 1 TiB, whatever is sent.
    private var came: [UInt8] = []

    /// How many blocks are zeroed at once.
    static let slice: Int64 = 256

    /// - Throws: `.refused` where the device has another size.
    public init(_ path: String, size: Int64) throws {
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        (self.path, self.size) = (path, size)
        guard descriptor >= 0 else { throw SparseStream.failed(path) }
        let end = lseek(descriptor, 0, SEEK_END)
        guard end == off_t(size) else {
            throw Failure(.refused, "\(path) has not the size that is sent", why: "\(end) bytes instead of \(size)")
        }
        came = [UInt8](repeating: 0, count: Int(blocks / 8 + 1))
    }

    deinit { close(descriptor) }

    /// Takes the next bytes, cut anywhere. Throws `.refused` for places that do not ascend or lie outside, and for
    /// pieces that are not made of blocks.
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
            try write(UnsafeRawBufferPointer(rebasing: rest.prefix(count)), at: place)
            place += Int64(count)
            left -= Int64(count)
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        }
    }

    private func begin() throws {
        let fields = stride(from: 0, to: 16, by: 8).map { start in
            header[start..<start + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        header = []
        let block = Int64(SparseStream.block)
        guard let offset = Int64(exactly: fields[0]), let length = Int64(exactly: fields[1]), length > 0,
            offset >= reached, length <= Int64(SparseStream.piece), offset <= size - length, offset % block == 0,
            length % block == 0 || offset + length == size
        else { throw Failure(.refused, "what was sent for \(path) does not lie within it") }
        for index in offset / block...(offset + length - 1) / block { came[Int(index / 8)] |= 1 << UInt8(index % 8) }
        (place, left, reached) = (offset, length, offset + length)
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws {
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SparseStream.failed(path) }
            done += count
        }
    }

    private var blocks: Int64 { (size + Int64(SparseStream.block) - 1) / Int64(SparseStream.block) }

    private func hasCome(_ block: Int64) -> Bool { came[Int(block / 8)] & 1 << UInt8(block % 8) != 0 }

    /// Zeroes what has not come, a slice at a time.
    private func zeroRest(_ check: () throws -> Void) throws {
        var next: Int64 = 0
        while next < blocks {
            let first = next
            while next < blocks, next - first < Self.slice, !hasCome(next) { next += 1 }
            guard first < next else {
                next += 1
                continue
            }
            try check()
            try zero(first * Int64(SparseStream.block)..<min(next * Int64(SparseStream.block), size))
        }
    }

    /// The kernel zeroes a range of a disk by itself, and without writing where the disk can do that (`BLKZEROOUT`,
    /// linux/fs.h).
    private func zero(_ range: Range<Int64>) throws {
        var bounds = (UInt64(range.lowerBound), UInt64(range.count))
        if ioctl(descriptor, Self.zeroOut, &bounds) == 0 { return }
        guard errno == ENOTTY else { throw SparseStream.failed(path) }
        // No disk, but a file.
        try [UInt8](repeating: 0, count: range.count).withUnsafeBytes { try write($0, at: range.lowerBound) }
    }

    private static let zeroOut: UInt = 0x127F

    /// Everything has come: the rest is zero, and all of it is on the disk when this returns.
    /// - Parameter check: called before each slice that is zeroed; what it throws ends it.
    public func finish(_ check: () throws -> Void = {}) throws {
        guard left == 0, header.isEmpty else { throw Failure(.failed, "what was sent for \(path) is not whole") }
        try zeroRest(check)
        guard fsync(descriptor) == 0 else { throw SparseStream.failed(path) }
    }
}

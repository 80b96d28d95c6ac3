import CLinux
import Glibc
import HostModel

/// One of two devices that are compared, with room for a chunk of it.
struct ComparedDevice: ~Copyable {
    static let chunk = 1 << 20
    static let block = 4096

    private let path: String
    private let descriptor: Int32
    private let buffer: UnsafeMutableRawPointer

    /// - Parameter isDirect: around the page cache.
    init(_ path: String, isDirect: Bool, isWritable: Bool = false) throws(Failure) {
        descriptor = open(path, (isWritable ? O_RDWR : O_RDONLY) | O_CLOEXEC | (isDirect ? xenlvs_o_direct : 0))
        guard descriptor >= 0 else { throw Failure.system("cannot open \(path)") }
        self.path = path
        buffer = .allocate(byteCount: Self.chunk, alignment: Self.block)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    borrowing func read(_ offset: Int64, _ count: Int) throws(Failure) {
        var done = 0
        while done < count {
            let result = pread(descriptor, buffer + done, count - done, off_t(offset) + done)
            if result < 0, errno == EINTR { continue }
            guard result > 0 else {
                throw result == 0
                    ? Failure(.inconsistent, "\(path) ends at byte \(offset + Int64(done))")
                    : Failure.system("cannot read \(path) at byte \(offset)")
            }
            done += result
        }
    }

    /// Writes what `other` has read of a chunk from `start` on to the same place.
    borrowing func write(_ other: borrowing ComparedDevice, _ start: Int, _ count: Int, at offset: Int64)
        throws(Failure)
    {
        guard pwrite(descriptor, other.buffer + start, count, off_t(offset) + start) == count else {
            throw Failure.system("cannot write \(path) at byte \(offset + Int64(start))")
        }
    }

    borrowing func synchronise() throws(Failure) {
        guard fsync(descriptor) == 0 else { throw Failure.system("cannot write \(path)") }
    }

    /// Where the blocks begin that are not the same.
    borrowing func differences(from other: borrowing ComparedDevice, _ count: Int) -> [Int] {
        if memcmp(buffer, other.buffer, count) == 0 { return [] }
        return stride(from: 0, to: count, by: Self.block).filter {
            memcmp(buffer + $0, other.buffer + $0, min(Self.block, count - $0)) != 0
        }
    }

    /// A number that another content hardly has as well (FNV-1a).
    borrowing func sum(_ count: Int) -> UInt64 {
        UnsafeRawBufferPointer(start: buffer, count: count).reduce(0xcbf2_9ce4_8422_2325) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
    }
}

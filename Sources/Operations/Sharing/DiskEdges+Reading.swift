import CLinux
import Glibc
import HostModel

extension DiskEdges {
    /// Reads both ends past the page cache: what the device has, not what this host has in memory of it.
    /// - Parameter size: the device's.
    static func read(_ path: String, size: ByteCount) throws(Failure) -> DiskEdges {
        let what = "cannot read \(path)"
        let length = Int(min(Int64(Self.length), size.bytes / Int64(Self.blockLength) * Int64(Self.blockLength)))
        guard length > 0 else { throw Failure(.refused, what, why: "it has \(size.bytes) bytes") }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | xenlvs_o_direct)
        guard descriptor >= 0 else { throw Failure.system(what) }
        defer { close(descriptor) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 4096)
        defer { buffer.deallocate() }
        func numbers(at offset: Int64) throws(Failure) -> [UInt64] {
            var count = 0
            while count < length {
                let part = pread(
                    descriptor, buffer.baseAddress.unsafelyUnwrapped + count, length - count, off_t(offset) + count)
                if part < 0, errno == EINTR { continue }
                guard part > 0 else {
                    if part == 0 { throw Failure(.failed, what, why: "it ends before \(offset + Int64(length)) bytes") }
                    throw Failure.system(what)
                }
                count += part
            }
            return stride(from: 0, to: length, by: Self.blockLength).map { Self.number(buffer, $0) }
        }
        // What is behind the last whole 4 KiB could not be read like that.
        return DiskEdges(
            first: try numbers(at: 0), last: try numbers(at: (size.bytes - Int64(length)) / 4096 * 4096))
    }

    /// FNV-1a by words of 64 bits.
    private static func number(_ buffer: UnsafeMutableRawBufferPointer, _ start: Int) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for offset in stride(from: start, to: start + blockLength, by: 8) {
            hash = (hash ^ buffer.load(fromByteOffset: offset, as: UInt64.self)) &* 0x100_0000_01b3
            hash ^= hash >> 32
        }
        return hash
    }
}

import Glibc
import HostModel

/// The first bytes of a device.
enum DeviceHead {
    /// Whether they are all zero. Blocks.
    static func isZero(_ path: String, bytes: Int) throws(Failure) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure.system("cannot open \(path)") }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: bytes)
        let count = pread(descriptor, &buffer, bytes, 0)
        guard count >= 0 else { throw Failure.system("cannot read \(path)") }
        return buffer[..<count].allSatisfy { $0 == 0 }
    }
}

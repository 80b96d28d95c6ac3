import CLinux
import Glibc
import HostModel

/// This host's claim on an address on an interface, for as long as the value lives or the process does.
///
/// Two targets of one host do not hear each other's frames, so that a probe cannot find them. The claim is the name of a
/// socket in the abstract namespace (unix(7)), which belongs to the network namespace just as the interface does.
public struct AddressClaim: ~Copyable, Sendable {
    private let descriptor: Int32

    /// Throws `.busy` where another process of this host has it.
    public init(_ address: AoEAddress, on interface: String) throws(Failure) {
        let what = "cannot serve \(address) on \(interface)"
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(.failed, what, why: String(cString: strerror(errno))) }
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        let text = Array("\0xenlvs-aoe/\(interface)/\(address)".utf8)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: text) }
        let length = MemoryLayout<sa_family_t>.size + text.count
        let status = withSocketAddress(name, length: length) { bind(descriptor, $0, $1) }
        guard status == 0 else {
            let cause = errno
            close(descriptor)
            throw Failure(
                cause == EADDRINUSE ? .busy : .failed, what,
                why: cause == EADDRINUSE
                    ? "another process of this host serves it there" : String(cString: strerror(cause)),
                remedy: cause == EADDRINUSE ? "give another --shelf or --slot, or end that process first" : nil)
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}

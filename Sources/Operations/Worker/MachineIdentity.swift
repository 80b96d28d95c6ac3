import HostModel

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Tells machines apart whatever they are called.
enum MachineIdentity {
    /// The boot's own identifier, which no two running machines share, even where an
    /// image with its /etc/machine-id was copied.
    static func read() throws -> String {
        guard let boot = FileManager.default.contents(atPath: "/proc/sys/kernel/random/boot_id") else {
            throw Failure(.failed, "cannot read this machine's identity", why: "/proc is not mounted")
        }
        return String(decoding: boot, as: UTF8.self).filter { !$0.isWhitespace }
    }
}

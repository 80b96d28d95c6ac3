import CLinux
import Glibc
import HostModel

/// Tells systemd how the daemon is (sd_notify(3)): one datagram to the socket that `NOTIFY_SOCKET` names.
public struct ServiceManager: Sendable {
    private let socketPath: String?
    /// How often systemd wants to hear that all is well; nil where it does not.
    public let watchdogMicroseconds: Int64?

    /// - Parameter environment: the process's.
    public init(environment: [String: String]) {
        socketPath = environment["NOTIFY_SOCKET"]
        // WATCHDOG_PID names another process where the variables were inherited.
        let isMine = environment["WATCHDOG_PID"].map { Int32($0) == getpid() } ?? true
        watchdogMicroseconds = isMine ? environment["WATCHDOG_USEC"].flatMap { Int64($0) }.filter { $0 > 0 } : nil
    }

    /// Sends a state, such as `READY=1`. Nobody may be there to hear it; that is no error.
    public func tell(_ state: String) {
        guard let socketPath, let first = socketPath.utf8.first, socketPath.utf8.count < 108 else { return }
        guard first == UInt8(ascii: "/") || first == UInt8(ascii: "@") else { return }
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(socketPath.utf8)
        // '@' stands for the zero byte that a name in the abstract namespace begins with.
        if first == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
        let length = MemoryLayout<sa_family_t>.size + bytes.count
        let text = Array(state.utf8)
        _ = withSocketAddress(name, length: length) {
            sendto(descriptor, text, text.count, Int32(MSG_NOSIGNAL), $0, $1)
        }
    }
}

extension Optional {
    fileprivate func filter(_ isWanted: (Wrapped) -> Bool) -> Wrapped? { flatMap { isWanted($0) ? $0 : nil } }
}

import Glibc
import HostModel
import ISCSI

extension ProbeWorker {
    /// How long a portal may take to accept a connection.
    private static let patience: Int32 = 4000

    /// Connects and hangs up again: libiscsi waits for a connection without a limit, and has fewer words for why there is
    /// none.
    static func reach(_ request: ProbeRequest) throws(ProbeEnd) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(request.portal.address, "\(request.portal.port)", &hints, &found) == 0, let found else {
            throw ProbeEnd(.unreachable("no such address"))
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(
            found.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ProbeEnd(.unreachable(String(cString: strerror(errno)))) }
        defer { close(descriptor) }
        if let interface = request.interface {
            let name = Array(interface.text.utf8CString)
            guard setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, name, socklen_t(name.count)) == 0 else {
                throw ProbeEnd(.unreachable("\(interface): \(String(cString: strerror(errno)))"))
            }
        }
        guard Glibc.connect(descriptor, found.pointee.ai_addr, found.pointee.ai_addrlen) != 0 else { return }
        guard errno == EINPROGRESS else { throw ProbeEnd(.unreachable(String(cString: strerror(errno)))) }
        var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&poller, 1, patience) > 0 else {
            throw ProbeEnd(.unreachable("no answer within \(patience / 1000) s"))
        }
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
        guard code == 0 else { throw ProbeEnd(.unreachable(String(cString: strerror(code)))) }
    }
}

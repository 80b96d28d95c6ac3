import Glibc
import HostModel

/// The two addresses of a replication between this host and another.
enum HostAddresses {
    /// Resolves `target` and finds the local address that packets to it leave from. Both numeric.
    /// - Parameter local: the configured address of this host, if there is one.
    static func between(_ target: HostName, local: String?) throws -> (local: String, remote: String) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(target.text, "7800", &hints, &list)
        guard code == 0, let first = list else {
            throw Failure(
                .notFound, "the host '\(target)' has no address", why: String(cString: gai_strerror(code)),
                remedy: "add it to the name service or to /etc/hosts")
        }
        defer { freeaddrinfo(list) }
        let remote = try numeric(first.pointee.ai_addr, first.pointee.ai_addrlen, of: target)
        if let local { return (local, remote) }
        let socket = socket(first.pointee.ai_family, Int32(SOCK_DGRAM.rawValue), 0)
        guard socket >= 0 else { throw system("cannot make a socket") }
        defer { close(socket) }
        // A connected datagram socket sends nothing; it only asks the routing table.
        guard connect(socket, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0 else {
            throw system("there is no route to \(target) (\(remote))")
        }
        var name = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return try withUnsafeMutablePointer(to: &name) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getsockname(socket, address, &length) == 0 else { throw system("cannot read a local address") }
                return (try numeric(address, length, of: target), remote)
            }
        }
    }

    private static func numeric(
        _ address: UnsafePointer<sockaddr>, _ length: socklen_t, of host: HostName
    ) throws -> String {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let code = getnameinfo(address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard code == 0 else {
            throw Failure(.failed, "cannot read an address of \(host)", why: String(cString: gai_strerror(code)))
        }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static func system(_ what: String) -> Failure {
        Failure(.failed, what, why: String(cString: strerror(errno)))
    }
}

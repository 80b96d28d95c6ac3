import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// Whether a TCP port is free on this host: DRBD itself says nothing when its port is taken, it only never connects.
enum PortProbe {
    /// Throws `.refused` where something else listens on `port` at `address`.
    static func check(address: String, port: Int, host: HostName) throws {
        guard let reason = objection(address: address, port: port) else { return }
        throw Failure(
            .refused, "the port \(port) cannot be used for DRBD", host: host.text, why: reason,
            remedy: "free the port, or give other ports in /etc/xenlvs/xenlvs.yaml")
    }

    /// Why the port cannot be bound, or nil.
    static func objection(address: String, port: Int) -> String? {
        let isIPv6 = address.contains(":")
        let socket = Glibc.socket(isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return String(cString: strerror(errno)) }
        defer { close(socket) }
        // A connection of an earlier replica that lingers in TIME_WAIT does not matter.
        var yes: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let result = isIPv6 ? bind6(socket, address, port) : bind4(socket, address, port)
        return result == 0 ? nil : "\(address): \(String(cString: strerror(errno)))"
    }

    private static func bind4(_ socket: Int32, _ address: String, _ port: Int) -> Int32 {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(UInt16(port).bigEndian)
        guard inet_pton(AF_INET, address, &name.sin_addr) == 1 else { return -1 }
        return withSocketAddress(name) { bind(socket, $0, $1) }
    }

    private static func bind6(_ socket: Int32, _ address: String, _ port: Int) -> Int32 {
        var name = sockaddr_in6()
        name.sin6_family = sa_family_t(AF_INET6)
        name.sin6_port = in_port_t(UInt16(port).bigEndian)
        guard inet_pton(AF_INET6, address, &name.sin6_addr) == 1 else { return -1 }
        return withSocketAddress(name) { bind(socket, $0, $1) }
    }
}

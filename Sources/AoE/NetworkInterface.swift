import CLinux
import Glibc
import HostModel

/// What the kernel says of an interface at one moment.
struct NetworkInterface: Equatable {
    let name: String
    let index: Int32
    let address: MACAddress
    /// The most bytes behind the Ethernet header.
    let mtu: Int
    let isUp: Bool

    /// Throws `.notFound` where there is none, `.refused` where it is not Ethernet, `.usage` for a name that none can
    /// have.
    init(named name: String) throws(Failure) {
        let what = "cannot serve on the interface \(name)"
        guard !name.isEmpty, name.utf8.count < Int(IFNAMSIZ), !name.utf8.contains(0) else {
            throw Failure(.usage, "'\(name.prefix(100))' is not the name of an interface")
        }
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw Self.failure(what) }
        defer { close(socket) }
        var request = ifreq()
        func ask(_ kind: Int32) throws(Failure) {
            request = ifreq()
            withUnsafeMutableBytes(of: &request) { $0.copyBytes(from: name.utf8) }
            guard xenlvs_interface_request(socket, UInt(kind), &request) == 0 else { throw Self.failure(what) }
        }
        try ask(SIOCGIFINDEX)
        index = xenlvs_interface_index(&request)
        try ask(SIOCGIFHWADDR)
        guard xenlvs_interface_hardware(&request) == ARPHRD_ETHER else {
            throw Failure(.refused, what, why: "it is not an Ethernet interface")
        }
        address = MACAddress(value: xenlvs_interface_address(&request))
        try ask(SIOCGIFMTU)
        mtu = Int(xenlvs_interface_mtu(&request))
        try ask(SIOCGIFFLAGS)
        isUp = xenlvs_interface_flags(&request) & UInt32(IFF_UP) != 0
        self.name = name
    }

    /// Lets a packet socket send AoE frames on the interface and receive those that come there.
    func bind(_ descriptor: Int32, doing what: String) throws(Failure) {
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_protocol = Wire.etherType.bigEndian
        address.sll_ifindex = index
        let status = withSocketAddress(address) { Glibc.bind(descriptor, $0, $1) }
        guard status == 0 else { throw Failure(.failed, what, why: String(cString: strerror(errno))) }
    }

    private static func failure(_ what: String) -> Failure {
        if errno == ENODEV {
            return Failure(
                .notFound, what, why: "there is no such interface", remedy: "'ip link' lists those that there are")
        }
        return Failure(.failed, what, why: String(cString: strerror(errno)))
    }
}

/// Tells that interfaces have changed; what has changed is asked of the kernel anew.
struct LinkMonitor: ~Copyable {
    let descriptor: Int32

    init() throws(Failure) {
        descriptor = socket(
            AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), NETLINK_ROUTE)
        var address = sockaddr_nl()
        address.nl_family = sa_family_t(AF_NETLINK)
        address.nl_groups = UInt32(RTMGRP_LINK)
        let status = withSocketAddress(address) { [descriptor] in bind(descriptor, $0, $1) }
        guard descriptor >= 0, status == 0 else {
            throw Failure(.failed, "cannot watch the interfaces", why: String(cString: strerror(errno)))
        }
    }

    deinit { close(descriptor) }

    /// Takes what has been told. More than can be kept is an error here, and a reason to look as well.
    borrowing func drain() {
        var bytes = (UInt64(0), UInt64(0))
        // Messages are cut off unread; the kernel sends a bounded number of them, and so is what is taken at a time.
        for _ in 0..<1024 where recv(descriptor, &bytes, 16, 0) < 0 && errno != ENOBUFS { return }
    }
}

import Glibc
import HostModel

/// A numeric IPv4 or IPv6 address with a TCP port.
public struct ReplicaAddress: Sendable, Codable, Equatable {
    public let host: String
    public let port: Int

    /// - Throws: `.usage` for a host name, a scoped (link-local) address or a port outside 1...65535.
    public init(host: String, port: Int) throws(Failure) {
        guard Self.isNumeric(host, AF_INET) || Self.isNumeric(host, AF_INET6) else {
            throw Failure(
                .usage, "'\(host.prefix(100))' is not a numeric IPv4 or IPv6 address",
                remedy: "give the address that the other host's DRBD is to be reached at")
        }
        guard (1...65535).contains(port) else { throw Failure(.usage, "\(port) is not a TCP port") }
        self.host = host
        self.port = port
    }

    private enum CodingKeys: CodingKey { case host, port }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        try self.init(host: values.decode(String.self, forKey: .host), port: values.decode(Int.self, forKey: .port))
    }

    public var isIPv6: Bool { host.contains(":") }

    /// `ipv4:192.0.2.1:7800`, `ipv6:[2001:db8::1]:7800`, as `drbdsetup` takes it.
    var argument: String { isIPv6 ? "ipv6:[\(host)]:\(port)" : "ipv4:\(host):\(port)" }
    /// The same in the language of `drbd.conf`.
    var configuration: String { isIPv6 ? "ipv6 [\(host)]:\(port)" : "ipv4 \(host):\(port)" }

    private static func isNumeric(_ host: String, _ family: Int32) -> Bool {
        var address = in6_addr()
        return inet_pton(family, host, &address) == 1
    }
}

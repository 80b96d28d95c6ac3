import Glibc
import HostModel

/// An address and TCP port that a target is served on: `10.0.0.1:3260`, `[fd00::1]:3260`.
///
/// Kept in the one spelling that inet_ntop(3) gives, so that two spellings of an address are one portal.
public struct Portal: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// RFC 7143, 13.1.
    public static let standardPort: UInt16 = 3260

    /// Without brackets.
    public let address: String
    public let port: UInt16

    public var isIPv6: Bool { address.contains(":") }
    /// `0.0.0.0` and `::`: every address of the host.
    public var isWildcard: Bool { address == "0.0.0.0" || address == "::" }

    /// Parses an address with or without a port. Throws `.usage`.
    public init(_ text: String) throws(Failure) {
        func wrong(_ why: String) -> Failure {
            Failure(
                .usage, "'\(text.prefix(100))' is not a portal", why: why,
                remedy: "give an address of this host, as in 10.0.0.1, 10.0.0.1:3260 or [fd00::1]:3260")
        }
        let host: Substring
        let rest: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw wrong("the ']' is missing") }
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
            guard host.contains(":") else { throw wrong("only IPv6 addresses stand in brackets") }
        } else if text.count(where: { $0 == ":" }) > 1 {
            (host, rest) = (text[...], "")
        } else {
            host = text.prefix { $0 != ":" }
            rest = text[host.endIndex...]
        }
        guard let address = Self.canonical(String(host)) else { throw wrong("'\(host)' is no IP address") }
        self.address = address
        if rest.isEmpty {
            port = Self.standardPort
        } else {
            let digits = rest.dropFirst()
            guard rest.first == ":", digits.allSatisfy({ $0.isASCII && $0.isNumber }), let number = UInt16(digits),
                number > 0
            else { throw wrong("'\(rest)' is no port") }
            port = number
        }
    }

    private static func canonical(_ text: String) -> String? {
        for family in [AF_INET, AF_INET6] {
            var bytes = in6_addr()
            guard inet_pton(family, text, &bytes) == 1 else { continue }
            var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            guard inet_ntop(family, &bytes, &buffer, socklen_t(buffer.count)) != nil else { return nil }
            return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        return nil
    }

    /// As the kernel and open-iscsi write it.
    public var description: String { (isIPv6 ? "[\(address)]" : address) + ":\(port)" }

    public static func < (left: Portal, right: Portal) -> Bool {
        (left.address, left.port) < (right.address, right.port)
    }

    public init(from decoder: any Decoder) throws {
        try self.init(try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

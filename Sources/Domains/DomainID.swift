/// A domain's number on one host, as Xen gives it out. It is not the same after a restore, and has no meaning
/// elsewhere.
///
/// Every change is asked for by number and never by name: `xl` takes an argument of digits for a number even where a
/// domain has that name (`libxl_domain_qualifier_to_domid`), and a domain that was restarted meanwhile has a new
/// number, so that a command meant for the old one fails instead of hitting the new one. libxl does not give a number
/// out again within 60 seconds (`LIBXL_DOMID_REUSE_TIMEOUT`).
public struct DomainID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let number: UInt32

    /// nil for the control domain (0) and for the numbers that Xen keeps for itself, from `DOMID_FIRST_RESERVED`
    /// (0x7ff0, `xen/include/public/xen.h`): no command of ours may ever name one of those.
    public init?(_ number: UInt32) {
        guard (1..<0x7FF0).contains(number) else { return nil }
        self.number = number
    }

    /// Parses what `xl domid` prints: decimal digits and nothing else.
    public init?(parsing text: some StringProtocol) {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = UInt32(text)
        else { return nil }
        self.init(number)
    }

    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
    public var description: String { String(number) }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = DomainID(try container.decode(UInt32.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not the number of a guest")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }
}

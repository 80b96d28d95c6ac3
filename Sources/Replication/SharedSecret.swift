import HostModel

/// What two replicas prove to each other before they connect. It authenticates; DRBD encrypts nothing.
///
/// `drbdsetup` takes it only as an argument (`config_flags.c` knows no file or standard input for it), so for the time
/// of one `connect` it can be read in `/proc/PID/cmdline` by whoever may log in to that host; and `drbdsetup show`
/// prints it to root as long as the connection exists.
public struct SharedSecret: Sendable, Codable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    let text: String

    /// - Throws: `.usage` for a text that DRBD would refuse: 8.4.11 takes at most 63 bytes (`SHARED_SECRET_MAX` less the
    ///   NUL) and answers "(126) UnknownMandatoryTag" to more.
    public init(_ text: String) throws(Failure) {
        let isPlain = text.utf8.allSatisfy { (UInt8(ascii: "!")...UInt8(ascii: "~")).contains($0) }
        guard (16...63).contains(text.utf8.count), isPlain, !text.contains("\""), !text.contains("\\") else {
            throw Failure(.usage, "the shared secret is not 16 to 63 printable ASCII characters without quotes")
        }
        self.text = text
    }

    /// A new one of 192 random bits.
    public static func random(using generator: inout some RandomNumberGenerator) -> SharedSecret {
        let words = (0..<3).map { _ in
            let digits = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        return SharedSecret(unchecked: words.joined())
    }

    /// A new one from the kernel's random numbers.
    public static func random() -> SharedSecret {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    private init(unchecked text: String) { self.text = text }

    public init(from decoder: any Decoder) throws {
        try self.init(try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    public var description: String { "[secret]" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

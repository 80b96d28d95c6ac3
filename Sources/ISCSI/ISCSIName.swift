import HostModel

/// The name of an iSCSI node, a target or an initiator: `iqn.2026-11.invalid.xenlvs.nodea:web1`.
///
/// The form is that of RFC 7143, 4.2.7: `iqn.` with year, month and a reversed domain name, `eui.` with 16 and `naa.`
/// with 16 or 32 hexadecimal digits. The kernel takes any text and compares bytes; so only the form that every side
/// would normalise a name to (RFC 3722: lower case) is a name here.
public struct ISCSIName: CheckedName {
    public let text: String
    public init(unchecked text: String) { self.text = text }
    public static let kind = "iSCSI name"
    /// RFC 7143, 4.2.7.1.
    public static let longest = 223

    public static func objection(to text: String) -> String? {
        if text.isEmpty { return "it is empty" }
        if text.utf8.count > longest { return "it is longer than \(longest) bytes" }
        if text.utf8.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) {
            return "capital letters are not allowed"
        }
        guard text.utf8.allSatisfy({ isPlain($0) || $0 == UInt8(ascii: ":") }) else {
            return "only lower-case letters, digits and . - : are allowed"
        }
        if let rest = text.dropping("iqn.") { return objectionToQualified(rest) }
        if let digits = text.dropping("eui.") {
            return isHexadecimal(digits, lengths: [16]) ? nil : "after 'eui.' come 16 hexadecimal digits"
        }
        if let digits = text.dropping("naa.") {
            return isHexadecimal(digits, lengths: [16, 32]) ? nil : "after 'naa.' come 16 or 32 hexadecimal digits"
        }
        return "it begins with none of 'iqn.', 'eui.' and 'naa.'"
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// What follows `iqn.`: `2026-11.invalid.xenlvs:web1`.
    private static func objectionToQualified(_ rest: Substring) -> String? {
        let date = rest.prefix(7).utf8.map { $0 }
        let month = Int(rest.dropFirst(5).prefix(2)) ?? 0
        guard date.count == 7, date[4] == UInt8(ascii: "-"), (1...12).contains(month),
            date.enumerated().allSatisfy({ $0 == 4 || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($1) }),
            rest.dropFirst(7).first == "."
        else { return "after 'iqn.' come year and month, as in 'iqn.2026-11.com.example:disk'" }
        let authority = rest.dropFirst(8).prefix { $0 != ":" }
        let labels = authority.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.allSatisfy({ !$0.isEmpty && !$0.hasPrefix("-") && !$0.hasSuffix("-") }) else {
            return "after the month comes a reversed domain name, as in 'iqn.2026-11.com.example:disk'"
        }
        if rest.hasSuffix(":") { return "nothing follows the last ':'" }
        return nil
    }

    private static func isHexadecimal(_ text: Substring, lengths: Set<Int>) -> Bool {
        lengths.contains(text.utf8.count) && text.allSatisfy(\.isHexDigit)
    }
}

extension String {
    /// What follows `prefix`; nil where it is not there.
    func dropping(_ prefix: String) -> Substring? { hasPrefix(prefix) ? dropFirst(prefix.count) : nil }
}

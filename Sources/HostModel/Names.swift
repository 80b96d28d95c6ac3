/// A checked name that can stand in a path, a command line and a DRBD resource without quoting.
///
/// Every name that an operator types or another host sends becomes one of these before it is used; the check is the
/// only place that decides what is a legal name.
public protocol CheckedName: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    var text: String { get }
    /// What the name names, for messages: `volume name`.
    static var kind: String { get }
    /// The longest legal name, in bytes.
    static var longest: Int { get }
    /// A sentence why `text` is not legal, or nil.
    static func objection(to text: String) -> String?
    init(unchecked text: String)
}

extension CheckedName {
    /// Checks and takes `text`. Throws a `.usage` failure that says which rule it breaks.
    public init(_ text: String) throws(Failure) {
        if let objection = Self.objection(to: text) {
            throw Failure(.usage, "'\(text.prefix(200))' is not a \(Self.kind)", why: objection)
        }
        self.init(unchecked: text)
    }

    public static func objection(to text: String) -> String? { commonObjection(to: text) }

    /// The rules that all names share: LVM's character set (lvm(8), VALID NAMES), which is also safe for DRBD,
    /// Xen and paths.
    static func commonObjection(to text: String) -> String? {
        if text.isEmpty { return "it is empty" }
        if text.utf8.count > longest { return "it is longer than \(longest) bytes" }
        if text == "." || text == ".." { return "'.' and '..' are directories" }
        if text.hasPrefix("-") { return "a leading '-' would be read as an option" }
        return text.isPlain("_.+-") ? nil : "only letters, digits and _ . + - are allowed"
    }

    public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
    public var description: String { text }

    public init(from decoder: any Decoder) throws {
        try self.init(try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// The name of a volume: of its LV or file, of its link below `/dev/xenlvs`, and part of its DRBD resource's name.
public struct VolumeName: CheckedName {
    public let text: String
    public init(unchecked text: String) { self.text = text }
    public static let kind = "volume name"
    /// LVM allows 127 bytes for VG and LV with device-mapper's doubled hyphens; this leaves room for both.
    public static let longest = 60

    public static func objection(to text: String) -> String? {
        if let objection = commonObjection(to: text) { return objection }
        if text.hasPrefix(".") { return "a leading '.' is kept for links that are being made" }
        if let suffix = keptSuffixes.first(where: { text.hasSuffix($0) }) {
            return "names that end in '\(suffix)' are kept for what xenlvs makes beside a volume"
        }
        if text.hasPrefix("snapshot") || text.hasPrefix("pvmove") {
            return "LVM keeps the prefixes 'snapshot' and 'pvmove'"
        }
        guard text.utf8.contains(UInt8(ascii: "_")) else { return nil }
        let reserved = [
            "_cdata", "_cmeta", "_corig", "_cvol", "_iorig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta",
            "_tdata", "_tmeta", "_vdata", "_vorigin",
        ]
        if let word = reserved.first(where: { text.contains($0) }) { return "LVM keeps names that contain '\(word)'" }
        return nil
    }

    /// Ends the name of a volume's DRBD metadata LV.
    public static let metadataSuffix = ".drbdmd"
    /// Ends the name of the LV with the log of a volume's copy.
    public static let copyLogSuffix = ".copylog"
    public static let seedSuffix = ".seed"
    public static let keptSuffixes = [metadataSuffix, copyLogSuffix, seedSuffix]
    /// The LV that holds the DRBD metadata of this volume while it has a replica.
    public var metadataVolume: String { text + Self.metadataSuffix }
}

/// A Xen domain's name, as `xl` lists it.
public struct DomainName: CheckedName {
    public let text: String
    public init(unchecked text: String) { self.text = text }
    public static let kind = "domain name"
    public static let longest = 80
}

/// A host, by the name that `ssh` takes: a host name or an address without user or port.
public struct HostName: CheckedName {
    public let text: String
    public init(unchecked text: String) { self.text = text }
    public static let kind = "host name"
    public static let longest = 253

    public static func objection(to text: String) -> String? {
        // An IPv6 literal is the one legal host name with colons.
        commonObjection(to: text.contains(":") ? text.replacing(":", with: "0") : text)
    }
}

/// An LVM volume group's name.
public struct VolumeGroupName: CheckedName {
    public let text: String
    public init(unchecked text: String) { self.text = text }
    public static let kind = "volume group name"
    public static let longest = 60
}

/// A network interface's name, as `ip link` shows it.
///
/// The kernel allows more (`dev_valid_name`, net/core/dev.c: anything but white space, '/' and ':'); what is allowed here
/// can stand in a list of interfaces and in a module's parameter.
public struct InterfaceName: CheckedName {
    public let text: String
    public init(unchecked text: String) { self.text = text }
    public static let kind = "name of a network interface"
    /// IFNAMSIZ (linux/if.h) without the closing zero.
    public static let longest = 15
}

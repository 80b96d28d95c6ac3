/// A size in bytes. The only unit in which xenlvs passes sizes between its parts.
///
/// Text form: a whole number with an optional binary suffix `K`, `M`, `G`, `T` (powers of 1024), as LVM's `--size`
/// takes it; a number without a suffix is bytes.
public struct ByteCount: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var bytes: Int64

    public init(_ bytes: Int64) { self.bytes = bytes }
    public static func kibibytes(_ count: Int64) -> ByteCount { ByteCount(count << 10) }
    public static func mebibytes(_ count: Int64) -> ByteCount { ByteCount(count << 20) }
    public static func gibibytes(_ count: Int64) -> ByteCount { ByteCount(count << 30) }
    /// A count of 512-byte sectors, the kernel's unit for block devices.
    public static func sectors(_ count: Int64) -> ByteCount { ByteCount(count * 512) }

    /// Whole 512-byte sectors that the size covers.
    public var sectors: Int64 { bytes / 512 }

    /// Parses `10G`, `512M`, `1048576`; nil for anything else, for zero, and for more than 1 EiB.
    public init?(parsing text: String) {
        var digits = text[...]
        var shift: Int64 = 0
        if let suffix = digits.last, let index = "KMGT".firstIndex(of: Character(suffix.uppercased())) {
            shift = Int64("KMGT".distance(from: "KMGT".startIndex, to: index) + 1) * 10
            digits = digits.dropLast()
        }
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }), let value = Int64(digits) else {
            return nil
        }
        let (scaled, overflow) = value.multipliedReportingOverflow(by: Int64(1) << shift)
        guard !overflow, scaled > 0, scaled <= Self.largestEncoded.bytes else { return nil }
        self.init(scaled)
    }

    /// The size rounded up to a whole multiple of `unit`.
    public func roundedUp(to unit: ByteCount) -> ByteCount {
        ByteCount((bytes + unit.bytes - 1) / unit.bytes * unit.bytes)
    }

    public static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }
    public static func + (left: ByteCount, right: ByteCount) -> ByteCount { ByteCount(left.bytes + right.bytes) }
    public static func - (left: ByteCount, right: ByteCount) -> ByteCount { ByteCount(left.bytes - right.bytes) }

    /// `256 MiB`, `1.5 GiB`: for people. Exact multiples print without a fraction.
    public var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var unit = 0
        var divisor: Int64 = 1
        while unit < units.count - 1, bytes.magnitude >= UInt64(divisor << 10) {
            divisor <<= 10
            unit += 1
        }
        // Whole units and the rest apart: ten times all of it need not fit into 64 bits.
        let tenths = bytes / divisor * 10 + (bytes % divisor * 10 + divisor / 2) / divisor
        return tenths % 10 == 0 ? "\(tenths / 10) \(units[unit])" : "\(tenths / 10).\(abs(tenths % 10)) \(units[unit])"
    }

    /// The largest size that is read from another host or the journal: 1 EiB, so that sums of some of them fit.
    public static let largestEncoded = ByteCount(1 << 60)

    /// - Throws: `.usage` for a size below zero or above ``largestEncoded``.
    public init(from decoder: any Decoder) throws {
        bytes = try decoder.singleValueContainer().decode(Int64.self)
        guard bytes >= 0, self <= Self.largestEncoded else { throw Failure(.usage, "\(bytes) is not a size in bytes") }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(bytes)
    }
}

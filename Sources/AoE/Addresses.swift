import HostModel

/// An Ethernet address.
public struct MACAddress: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The six bytes as one number, the first byte highest.
    public let value: UInt64

    public static let broadcast = MACAddress(value: 0xffff_ffff_ffff)

    init(value: UInt64) { self.value = value }

    /// `02:00:5e:10:00:01`. Throws `.usage` for anything else, and for an address that no sender can have.
    public init(_ text: String) throws(Failure) {
        try self.init(recorded: text)
        guard !isGroup, value != 0 else {
            throw Failure(.usage, "\(text) is not the address of one interface")
        }
    }

    /// Any six bytes: clients may have set them.
    init(recorded text: String) throws(Failure) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { part in
            part.utf8.count == 2 && part.allSatisfy(\.isHexDigit) ? UInt8(part, radix: 16) : nil
        }
        guard parts.count == 6, bytes.count == 6 else {
            throw Failure(
                .usage, "'\(text.prefix(100))' is not a MAC address",
                remedy: "give six bytes in hexadecimal with colons, such as 02:00:5e:10:00:01")
        }
        value = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Broadcast or multicast.
    var isGroup: Bool { value >> 40 & 1 == 1 }

    public var description: String {
        let digits = Array("0123456789abcdef")
        return stride(from: 40, through: 0, by: -8).map { shift in
            let byte = Int(value >> UInt64(shift) & 0xff)
            return "\(digits[byte >> 4])\(digits[byte & 15])"
        }.joined(separator: ":")
    }

    public static func < (left: MACAddress, right: MACAddress) -> Bool { left.value < right.value }
}

/// The address of an AoE target: shelf (major) and slot (minor). The highest numbers are wildcards.
public struct AoEAddress: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    public let shelf: UInt16
    public let slot: UInt8

    /// Throws `.usage` where a number is out of range: shelves are 0 to 65534, slots 0 to 254.
    public init(shelf: Int, slot: Int) throws(Failure) {
        guard (0...0xfffe).contains(shelf) else {
            throw Failure(.usage, "\(shelf) is not a shelf", remedy: "give a number from 0 to 65534")
        }
        guard (0...0xfe).contains(slot) else {
            throw Failure(.usage, "\(slot) is not a slot", remedy: "give a number from 0 to 254")
        }
        self.shelf = UInt16(shelf)
        self.slot = UInt8(slot)
    }

    /// `e1.0`. Throws `.usage` for anything else.
    public init(_ text: String) throws(Failure) {
        let parts = text.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part in part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil }
        guard text.hasPrefix("e"), parts.count == 2, numbers.count == 2 else {
            throw Failure(
                .usage, "'\(text.prefix(100))' is not the address of a target",
                remedy: "give it as eSHELF.SLOT, such as e1.0")
        }
        try self.init(shelf: numbers[0], slot: numbers[1])
    }

    /// As text: `e1.0`.
    public init(from decoder: any Decoder) throws {
        try self.init(try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Linux takes a shelf of all ones in twelve bits for a wrongly set switch and ignores it (drivers/block/aoe/aoecmd.c).
    public var isIgnoredByLinux: Bool { shelf == 0xfff }

    public var description: String { "e\(shelf).\(slot)" }

    public static func < (left: AoEAddress, right: AoEAddress) -> Bool {
        (left.shelf, left.slot) < (right.shelf, right.slot)
    }

    /// Whether a frame for `shelf` and `slot` is for this target; each of the two may be the wildcard.
    func answers(shelf: UInt16, slot: UInt8) -> Bool {
        (shelf == self.shelf || shelf == 0xffff) && (slot == self.slot || slot == 0xff)
    }
}

/// A list of Ethernet addresses without memory of its own to allocate.
///
/// As many as one standard frame can carry as a reservation: (1500 - 12) / 6.
struct MACList: Sendable {
    static let capacity = 248
    private(set) var count = 0
    private var items = InlineArray<248, UInt64>(repeating: 0)

    init() {}

    var isEmpty: Bool { count == 0 }

    subscript(position: Int) -> MACAddress { MACAddress(value: items[position]) }

    func contains(_ address: MACAddress) -> Bool {
        for position in 0..<count where items[position] == address.value { return true }
        return false
    }

    /// Adds an address that is not in the list. Returns false where the list has `limit` of them.
    mutating func add(_ address: MACAddress, limit: Int = capacity) -> Bool {
        if contains(address) { return true }
        guard count < limit else { return false }
        items[count] = address.value
        count += 1
        return true
    }

    mutating func remove(_ address: MACAddress) {
        for position in 0..<count where items[position] == address.value {
            count -= 1
            items[position] = items[count]
            return
        }
    }

    var all: [MACAddress] { (0..<count).map { self[$0] } }
}

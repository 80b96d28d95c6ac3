/// A request as an initiator sends it, byte by byte.
struct Request: CustomStringConvertible {
    var destination: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
    /// Another sender than the one on the wire.
    var source: [UInt8]?
    /// A VLAN tag.
    var vlan: [UInt8] = []
    var versionAndFlags: UInt8 = 0x10
    var shelf: UInt16 = 1
    var slot: UInt8 = 2
    var command: UInt8
    var argument: [UInt8]
    /// 0 for one that the wire chooses.
    var tag: UInt32 = 0

    func bytes(from address: [UInt8]) -> [UInt8] {
        destination + (source ?? address) + vlan + [0x88, 0xa2, versionAndFlags, 0] + big(shelf) + [slot, command]
            + big(tag)
            + argument
    }

    var description: String { "command \(command) \(argument.prefix(12))" }

    static func ata(
        flags: UInt8 = 0x40, feature: UInt8 = 0, count: Int, _ command: UInt8, _ lba: UInt64 = 0, data: [UInt8] = [],
        tag: UInt32 = 0
    ) -> Request {
        let address = (0..<6).map { UInt8(truncatingIfNeeded: lba >> (8 * $0)) }
        return Request(
            command: 0, argument: [flags, feature, UInt8(count), command] + address + [0, 0] + data, tag: tag)
    }

    static func read(_ sector: Int, _ count: Int, tag: UInt32 = 0) -> Request {
        .ata(count: count, 0x24, UInt64(sector), tag: tag)
    }

    static func write(_ sector: Int, _ bytes: [UInt8], tag: UInt32 = 0) -> Request {
        .ata(flags: 0x41, count: bytes.count / 512, 0x34, UInt64(sector), data: bytes, tag: tag)
    }

    /// `command` 0 read, 1 test, 2 prefix, 3 set, 4 force.
    static func configuration(_ command: UInt8, _ string: [UInt8] = [], length: Int? = nil) -> Request {
        Request(
            command: 1, argument: [0, 0, 0, 0, 0, command] + big(UInt16(length ?? string.count)) + string)
    }

    func from(_ address: [UInt8]) -> Request {
        var copy = self
        copy.source = address
        return copy
    }
}

/// A frame that came from the target.
struct Reply {
    var bytes: [UInt8]

    var source: [UInt8] { Array(bytes[6..<12]) }
    var isResponse: Bool { bytes[14] & 8 != 0 }
    var versionAndFlags: UInt8 { bytes[14] }
    var error: UInt8 { bytes[15] }
    var address: [UInt8] { Array(bytes[16..<19]) }
    var tag: UInt32 { bytes[20..<24].reduce(0) { $0 << 8 | UInt32($1) } }
    /// Whether AoE itself refused it, and why.
    var aoeError: UInt8? { bytes[14] == 0x1c ? bytes[15] : nil }
    var ataError: UInt8 { bytes[25] }
    var count: UInt8 { bytes[26] }
    var status: UInt8 { bytes[27] }
    var data: [UInt8] { Array(bytes.dropFirst(36)) }
    var isGood: Bool { versionAndFlags == 0x18 && ataError == 0 && status == 0x40 }
    var isAborted: Bool { versionAndFlags == 0x18 && ataError == 0x04 && status == 0x41 && bytes.count == 60 }
    var isNotFound: Bool { versionAndFlags == 0x18 && ataError == 0x10 && status == 0x41 && bytes.count == 60 }
    /// Of a configuration reply.
    var bufferCount: Int { Int(bytes[24]) << 8 | Int(bytes[25]) }
    var sectors: UInt8 { bytes[28] }
    var string: [UInt8] { Array(bytes[32..<32 + (Int(bytes[30]) << 8 | Int(bytes[31]))]) }

    func word(_ number: Int) -> UInt16 { UInt16(data[2 * number]) | UInt16(data[2 * number + 1]) << 8 }
    func text(_ words: Range<Int>) -> String {
        String(decoding: words.flatMap { [data[2 * $0 + 1], data[2 * $0]] }, as: UTF8.self)
    }
    /// The sectors of IDENTIFY's words 100 to 103.
    var capacity: UInt64 { (0..<4).reduce(0) { $0 | UInt64(word(100 + $1)) << (16 * $1) } }
}

func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }
func big(_ value: UInt32) -> [UInt8] { big(UInt16(value >> 16)) + big(UInt16(truncatingIfNeeded: value)) }

/// Sectors of which each is filled with its own byte.
func sectors(_ bytes: UInt8...) -> [UInt8] { bytes.flatMap { [UInt8](repeating: $0, count: 512) } }

/// Addresses of initiators that are not on the wire; the numbers are in no order.
enum Initiator {
    static let b: [UInt8] = [0x02, 0, 0, 0, 0, 0x0b]
    static let c: [UInt8] = [0x02, 0, 0, 0, 0, 0x03]
    static let d: [UInt8] = [0x02, 0, 0, 0, 0, 0x0d]
}

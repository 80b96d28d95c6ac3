import HostModel

/// What a target says of itself in IDENTIFY DEVICE.
public struct DeviceFacts: Sendable {
    /// In sectors of 512 bytes.
    public var sectors: Int64
    /// At most 20 characters of ASCII.
    public var serial: String
    /// At most 8.
    public var firmware: String
    /// At most 40.
    public var model: String
    public var isReadOnly: Bool
    /// In bytes; a power of two of at least 512.
    public var physicalBlockSize: Int
    public var trims: Bool
    /// Whether a write may be answered before it is on stable storage.
    public var hasWriteCache: Bool

    public init(
        sectors: Int64, serial: String, firmware: String, model: String, isReadOnly: Bool, physicalBlockSize: Int,
        trims: Bool, hasWriteCache: Bool
    ) {
        self.sectors = sectors
        self.serial = serial
        self.firmware = firmware
        self.model = model
        self.isReadOnly = isReadOnly
        self.physicalBlockSize = physicalBlockSize
        self.trims = trims
        self.hasWriteCache = hasWriteCache
    }
}

/// The 512 bytes of IDENTIFY DEVICE (ATA8-ACS 7.16): 256 words, little endian.
enum IdentifyData {
    static func bytes(_ facts: DeviceFacts) -> [UInt8] {
        var words = [UInt16](repeating: 0, count: 256)
        let lba28 = UInt32(min(facts.sectors, 0x0fff_ffff))
        geometry(&words, UInt64(facts.sectors))
        text(facts.serial, &words, 10..<20)
        text(facts.firmware, &words, 23..<27)
        text(facts.model, &words, 27..<47)
        words[0] = 0x0040  // a fixed device
        words[47] = 0x8000
        words[49] = 0x0200  // LBA
        words[50] = 0x4000
        words[53] = 0x0001  // words 54 to 58 are valid
        words[60] = UInt16(truncatingIfNeeded: lba28)
        words[61] = UInt16(truncatingIfNeeded: lba28 >> 16)
        words[80] = 0x01f0  // ATA/ATAPI-4 to ATA8-ACS
        // SMART; a write cache; 48-bit addresses, FLUSH CACHE and FLUSH CACHE EXT. Supported, and then enabled.
        words[82] = 0x0001 | (facts.hasWriteCache ? 0x0020 : 0)
        words[83] = 0x4000 | 0x0400 | 0x1000 | 0x2000
        words[84] = 0x4000
        words[85] = words[82]
        words[86] = 0x0400 | 0x1000 | 0x2000
        words[87] = 0x4000
        for part in 0..<4 { words[100 + part] = UInt16(truncatingIfNeeded: facts.sectors >> (16 * Int64(part))) }
        if facts.trims {
            words[105] = 1  // blocks of ranges in one command
            words[169] = 1
        }
        let exponent = (facts.physicalBlockSize / Wire.sectorSize).trailingZeroBitCount
        words[106] = 0x4000 | (exponent > 0 ? 0x2000 | UInt16(exponent) : 0)
        var bytes = words.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        // Word 255: a signature, and what makes the sum of all bytes zero.
        bytes[510] = 0xa5
        bytes[511] = 0 &- bytes.reduce(0, &+)
        return bytes
    }

    /// Cylinders, heads and sectors, for those who still ask; Linux copies them.
    private static func geometry(_ words: inout [UInt16], _ sectors: UInt64) {
        let cylinders = UInt16(min(sectors / (16 * 63), 16383))
        let capacity = UInt32(cylinders) * 16 * 63
        (words[1], words[3], words[6]) = (cylinders, 16, 63)
        (words[54], words[55], words[56]) = (cylinders, 16, 63)
        words[57] = UInt16(truncatingIfNeeded: capacity)
        words[58] = UInt16(truncatingIfNeeded: capacity >> 16)
    }

    /// Two characters a word, the first one high, filled with blanks.
    private static func text(_ text: String, _ words: inout [UInt16], _ range: Range<Int>) {
        let printable = text.utf8.map { (0x20...0x7e).contains($0) ? $0 : 0x3f }
        let padded = Array((printable + [UInt8](repeating: 0x20, count: range.count * 2)).prefix(range.count * 2))
        for (position, word) in range.enumerated() {
            words[word] = UInt16(padded[2 * position]) << 8 | UInt16(padded[2 * position + 1])
        }
    }
}

/// The layout of AoE frames (ATA over Ethernet, AoEr11; offsets from the Ethernet header). Numbers are big endian but
/// for ATA's LBA.
enum Wire {
    static let etherType: UInt16 = 0x88a2
    static let version: UInt8 = 1
    /// Ethernet and AoE header.
    static let headerLength = 24
    static let ataLength = 36
    static let configurationLength = 32
    static let maskLength = 28
    static let reserveLength = 26
    /// The shortest Ethernet frame without its checksum. Shorter replies are padded with zeros.
    static let minimumLength = 60
    static let sectorSize = 512
    static let configurationLimit = 1024
    /// As many directives as a standard frame holds: (1500 - 14) / 8.
    static let maskLimit = 185
    /// No reply that is not the data of a sector is longer.
    static let replyLimit = 1536

    enum Offset {
        static let destination = 0
        static let source = 6
        static let type = 12
        static let versionAndFlags = 14
        static let error = 15
        static let shelf = 16
        static let slot = 18
        static let command = 19
        static let tag = 20
        static let argument = 24
    }

    enum Flag {
        static let response: UInt8 = 8
        static let error: UInt8 = 4
    }
}

/// AoE commands.
enum AoECommandCode: UInt8 {
    case ata = 0
    case configuration = 1
    case mask = 2
    case reserve = 3
}

/// Errors of AoE itself; those of a disk travel as ATA status.
enum AoEError: UInt8 {
    case badCommand = 1
    case badArgument = 2
    case unavailable = 3
    case configurationPresent = 4
    case badVersion = 5
    case reserved = 6
}

/// A received frame, read in place: bytes of the receive ring, of which the caller says how many there are.
///
/// Raw memory, because the kernel writes the ring and a frame must not be copied to be looked at. Every access must be
/// below `length`; what reads a field has compared its command's length first.
public struct FrameView {
    let base: UnsafeRawPointer
    let length: Int

    public init(_ base: UnsafeRawPointer, length: Int) {
        self.base = base
        self.length = length
    }

    @inline(__always) func byte(_ offset: Int) -> UInt8 { base.load(fromByteOffset: offset, as: UInt8.self) }
    @inline(__always) func half(_ offset: Int) -> UInt16 {
        UInt16(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
    @inline(__always) func word(_ offset: Int) -> UInt32 {
        UInt32(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    @inline(__always) func address(_ offset: Int) -> MACAddress {
        MACAddress(value: UInt64(half(offset)) << 32 | UInt64(word(offset + 2)))
    }

    var source: MACAddress { address(Wire.Offset.source) }
    var tag: UInt32 { word(Wire.Offset.tag) }
}

/// A frame that is being made, in memory of at least `Wire.replyLimit` bytes that the transmit queue owns.
struct FrameWriter {
    let base: UnsafeMutableRawPointer

    @inline(__always) func put(_ value: UInt8, at offset: Int) {
        base.storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }
    @inline(__always) func put(_ value: UInt16, at offset: Int) {
        base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }
    @inline(__always) func put(_ value: UInt32, at offset: Int) {
        base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }
    @inline(__always) func put(_ address: MACAddress, at offset: Int) {
        put(UInt16(truncatingIfNeeded: address.value >> 32), at: offset)
        put(UInt32(truncatingIfNeeded: address.value), at: offset + 2)
    }

    /// The header of the answer to `frame`, everything behind it zero up to the shortest frame.
    func begin(answering frame: FrameView, from source: MACAddress, as address: AoEAddress) {
        begin(
            to: frame.source, from: source, shelf: address.shelf, slot: address.slot,
            command: frame.byte(Wire.Offset.command), flags: Wire.Flag.response)
        put(frame.tag, at: Wire.Offset.tag)
    }

    /// A header with tag 0, everything behind it zero up to the shortest frame.
    func begin(
        to destination: MACAddress, from source: MACAddress, shelf: UInt16, slot: UInt8, command: UInt8, flags: UInt8
    ) {
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Wire.minimumLength)
        put(destination, at: Wire.Offset.destination)
        put(source, at: Wire.Offset.source)
        put(Wire.etherType, at: Wire.Offset.type)
        put(Wire.version << 4 | flags, at: Wire.Offset.versionAndFlags)
        put(shelf, at: Wire.Offset.shelf)
        put(slot, at: Wire.Offset.slot)
        put(command, at: Wire.Offset.command)
    }

    /// Turns the answer into an error.
    /// - Returns: the frame's length.
    func fail(_ error: AoEError) -> Int {
        put(Wire.version << 4 | Wire.Flag.response | Wire.Flag.error, at: Wire.Offset.versionAndFlags)
        put(error.rawValue, at: Wire.Offset.error)
        (base + Wire.headerLength).initializeMemory(
            as: UInt8.self, repeating: 0, count: Wire.minimumLength - Wire.headerLength)
        return Wire.minimumLength
    }
}

/// The ATA commands that are served (ATA/ATAPI-8 ACS), by their codes.
enum ATACommand: UInt8 {
    case dataSetManagement = 0x06
    case read = 0x20
    case readExtended = 0x24
    case write = 0x30
    case writeExtended = 0x34
    case verify = 0x40
    case verifyExtended = 0x42
    case smart = 0xb0
    case checkPowerMode = 0xe5
    case flush = 0xe7
    case flushExtended = 0xea
    case identify = 0xec

    /// Whether the LBA has 48 bits. It goes by the command and not by the frame's flag, as initiators disagree on that.
    var isExtended: Bool {
        switch self {
        case .readExtended, .writeExtended, .verifyExtended, .flushExtended: true
        case .dataSetManagement, .read, .write, .verify, .smart, .checkPowerMode, .flush, .identify: false
        }
    }
}

/// What a command ended with: ATA's error and status registers.
struct ATAResult {
    var error: UInt8
    var status: UInt8

    static let ready = ATAResult(error: 0, status: 0x40)
    /// ABRT: the command is not one that can be carried out, or a write or flush failed.
    static let aborted = ATAResult(error: 0x04, status: 0x41)
    /// IDNF: there is no such sector.
    static let notFound = ATAResult(error: 0x10, status: 0x41)
    /// UNC: the sectors cannot be read.
    static let unreadable = ATAResult(error: 0x40, status: 0x41)
}

/// The ATA part of a frame: the registers behind the AoE header.
enum ATARegisters {
    static let flags = 24
    /// Features in a request, error in a reply.
    static let feature = 25
    static let count = 26
    /// Command in a request, status in a reply.
    static let command = 27
    /// Six bytes, the lowest first.
    static let lba = 28

    @inline(__always) static func lba(_ frame: FrameView, extended: Bool) -> UInt64 {
        let low = UInt64(UInt32(littleEndian: frame.base.loadUnaligned(fromByteOffset: lba, as: UInt32.self)))
        // With 28 bits the highest four share their byte with the device register's flags.
        guard extended else { return low & 0x0fff_ffff }
        let high = UInt64(UInt16(littleEndian: frame.base.loadUnaligned(fromByteOffset: lba + 4, as: UInt16.self)))
        return high << 32 | low
    }

    /// Copies a request's registers into its reply.
    @inline(__always) static func echo(_ frame: FrameView, into reply: FrameWriter) {
        (reply.base + flags).copyMemory(from: frame.base + flags, byteCount: Wire.ataLength - flags)
    }

    @inline(__always) static func set(_ result: ATAResult, in reply: FrameWriter) {
        reply.put(result.error, at: feature)
        reply.put(result.status, at: command)
    }
}

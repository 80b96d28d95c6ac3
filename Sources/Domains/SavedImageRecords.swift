/// Numbers of the format that both readers of images go by.
enum SavedImageFormat {
    /// In `xl`'s header, as a machine of our byte order writes it.
    static let byteOrder: UInt32 = 0x0102_0304
    /// The configuration of a guest is a few KiB.
    static let longestConfiguration: UInt32 = 16 << 20
    /// `LibxlFmt`.
    static let libxlMark: UInt64 = 0x4C69_6278_6C46_6D74

    /// Every record is filled up to a multiple of 8 bytes.
    static func padded(_ length: UInt32) -> UInt64 { (UInt64(length) + 7) & ~7 }
}

/// libxl's record types (`tools/libs/light/libxl_sr_stream_format.h`); those of checkpointed streams are left out.
enum LibxlRecord: UInt32 {
    case end = 0
    case libxcContext = 1
    case emulatorXenstore = 2
    case emulatorContext = 3
}

/// libxc's record types (`tools/libs/guest/xg_sr_stream_format.h`).
enum LibxcRecord: UInt32 {
    case end = 0x00
    case pageData = 0x01
    case paravirtualInfo = 0x02
    case paravirtualFrames = 0x03
    case virtualCPU = 0x04
    case virtualCPUExtended = 0x05
    case virtualCPUXSave = 0x06
    case sharedInfo = 0x07
    case timestampCounter = 0x08
    case hvmContext = 0x09
    case hvmParameters = 0x0A
    case toolstack = 0x0B
    case virtualCPUMSRs = 0x0C
    case verify = 0x0D
    case checkpoint = 0x0E
    case checkpointDirtyPages = 0x0F
    case staticDataEnd = 0x10
    case cpuidPolicy = 0x11
    case msrPolicy = 0x12

    /// A reader may skip an unknown record that has this bit.
    static let optional: UInt32 = 0x8000_0000
    /// `REC_LENGTH_MAX`.
    static let longest: UInt32 = 128 << 20

    /// What the record holds, for messages.
    var part: String {
        switch self {
        case .end: "the end of the guest's state"
        case .pageData: "the memory"
        case .paravirtualInfo, .paravirtualFrames: "the layout of the memory"
        case .virtualCPU, .virtualCPUExtended, .virtualCPUXSave, .virtualCPUMSRs: "the virtual CPUs"
        case .sharedInfo: "the shared info page"
        case .timestampCounter: "the time stamp counter"
        case .hvmContext: "the virtual hardware"
        case .hvmParameters: "the HVM parameters"
        case .toolstack: "the toolstack's record"
        case .verify, .checkpoint, .checkpointDirtyPages: "a checkpoint"
        case .staticDataEnd: "the static data"
        case .cpuidPolicy, .msrPolicy: "the CPU policy"
        }
    }
}

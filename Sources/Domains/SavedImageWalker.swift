import HostModel

/// Goes through an image from its first byte to its last, record by record.
///
/// The input may be anything: each length is checked against what is left before it is used, each step moves forward by
/// 8 bytes at least, and the number of records is limited.
struct SavedImageWalker {
    private var cursor: SavedImageCursor
    private var records = 0
    private var pages: UInt64 = 0
    private var endOfMemory: UInt64 = 0
    /// The libxc record types that were met.
    private var seen: Set<UInt32> = []

    /// A guest of 16 TiB has 4 million records of memory.
    private static let mostRecords = 1 << 23

    init(_ cursor: SavedImageCursor) { self.cursor = cursor }

    mutating func walk() throws(SavedImageDefect) -> SavedImage.Summary {
        let domain = try walkHeader()
        try walkLibxlHeader()
        guard try libxlRecord() == LibxlRecord.libxcContext.rawValue else {
            throw .malformed("the first record is not the guest's state")
        }
        let (isParavirtual, version) = try walkLibxcHeaders()
        guard isParavirtual == (domain.type == .pv) else {
            throw .malformed("the configuration and the guest's state are of different kinds")
        }
        try walkLibxcRecords(version: version.format, isParavirtual: isParavirtual)
        try walkLibxlRecords(domain.type)
        guard cursor.offset == cursor.length else {
            throw .malformed("\(cursor.length - cursor.offset) bytes follow its end")
        }
        return SavedImage.Summary(
            domain: domain, isParavirtual: isParavirtual, xenVersion: version.xen, pages: pages,
            length: cursor.length, tail: cursor.length - endOfMemory)
    }

    /// `struct save_file_header` and its optional data in `tools/xl/xl.h`.
    private mutating func walkHeader() throws(SavedImageDefect) -> DomainDescription {
        let part = "the header"
        let magic = try cursor.take(32, in: part)
        guard magic.bytes == Array("Xen saved domain, xl format\n \0 \r".utf8) else {
            throw .malformed("it does not begin as an image of xl does")
        }
        let header = try cursor.take(16, in: part)
        guard header.little(at: 0, as: UInt32.self) == SavedImageFormat.byteOrder else {
            throw .malformed("it was written by a machine of another byte order")
        }
        let flags: UInt32 = header.little(at: 4)
        guard flags == 3 else {
            throw .malformed("its flags are 0x\(String(flags, radix: 16)) and not those of xl since Xen 4.6 (0x3)")
        }
        let optionalLength: UInt32 = header.little(at: 12)
        guard optionalLength > 4, optionalLength <= SavedImageFormat.longestConfiguration else {
            throw .malformed("its configuration has an impossible length (\(optionalLength) bytes)")
        }
        let optional = try cursor.take(Int(optionalLength), in: "the configuration").bytes
        let length: UInt32 = SavedImageBytes(bytes: Array(optional.prefix(4))).little(at: 0)
        guard length <= optionalLength - 4 else { throw .malformed("its configuration is longer than its header says") }
        let json = optional.dropFirst(4).prefix(Int(length)).prefix { $0 != 0 }
        do {
            return try DomainDescription.parse(configuration: Array(json))
        } catch {
            throw .malformed("its configuration cannot be read: \(error.why ?? error.what)")
        }
    }

    /// `struct libxl__sr_hdr`, in big-endian byte order.
    private mutating func walkLibxlHeader() throws(SavedImageDefect) {
        let header = try cursor.take(16, in: "libxl's header")
        guard header.big(at: 0, as: UInt64.self) == SavedImageFormat.libxlMark else {
            throw .malformed("libxl's part does not begin with its mark")
        }
        let version: UInt32 = header.big(at: 8)
        guard version == 2 else { throw .malformed("libxl's part has version \(version), not 2") }
        let options: UInt32 = header.big(at: 12)
        guard options == 0 else { throw .malformed("libxl's part is big-endian or was converted from an old image") }
    }

    /// `struct xc_sr_ihdr` (big-endian) and `struct xc_sr_dhdr`.
    private mutating func walkLibxcHeaders() throws(SavedImageDefect) -> (Bool, version: (format: UInt32, xen: String))
    {
        let image = try cursor.take(24, in: "the header of the guest's state")
        guard image.big(at: 0, as: UInt64.self) == .max, image.big(at: 8, as: UInt32.self) == 0x5845_4E46 else {
            throw .malformed("the guest's state does not begin with its mark")
        }
        let format: UInt32 = image.big(at: 12)
        guard format == 2 || format == 3 else {
            throw .malformed("the guest's state has version \(format), not 2 or 3")
        }
        guard image.big(at: 16, as: UInt16.self) & 1 == 0 else { throw .malformed("the guest's state is big-endian") }
        let domain = try cursor.take(16, in: "the header of the guest's state")
        guard domain.little(at: 4, as: UInt16.self) == 12 else { throw .malformed("its pages are not of 4096 bytes") }
        let xen = "\(domain.little(at: 8, as: UInt32.self)).\(domain.little(at: 12, as: UInt32.self))"
        switch domain.little(at: 0, as: UInt32.self) {
        case 1: return (true, (format, xen))
        case 2: return (false, (format, xen))
        default: throw .malformed("its guest is neither PV nor HVM")
        }
    }

    private mutating func walkLibxcRecords(version: UInt32, isParavirtual: Bool) throws(SavedImageDefect) {
        while true {
            let (type, length) = try recordHeader("the guest's state")
            guard length <= LibxcRecord.longest else {
                throw .malformed("a record of the guest's state has an impossible length (\(length) bytes)")
            }
            guard let record = LibxcRecord(rawValue: type) else {
                guard type & LibxcRecord.optional != 0 else {
                    throw .malformed("record type 0x\(String(type, radix: 16)) of the guest's state is not known")
                }
                try cursor.skip(SavedImageFormat.padded(length), in: "a record of the guest's state")
                continue
            }
            switch record {
            case .end:
                guard length == 0 else { throw .malformed("the end of the guest's state is not empty") }
                return try requireEverything(version: version, isParavirtual: isParavirtual)
            case .pageData: try walkPages(length)
            case .verify, .checkpoint, .checkpointDirtyPages:
                throw .malformed("it is the stream of a replicated or debugged guest")
            case .paravirtualInfo, .paravirtualFrames, .virtualCPU, .virtualCPUExtended, .virtualCPUXSave, .sharedInfo,
                .timestampCounter, .hvmContext, .hvmParameters, .toolstack, .virtualCPUMSRs, .staticDataEnd,
                .cpuidPolicy, .msrPolicy:
                try cursor.skip(SavedImageFormat.padded(length), in: record.part)
            }
            seen.insert(type)
        }
    }

    /// `struct xc_sr_rec_page_data_header`, a number for each page, and the pages that have content.
    private mutating func walkPages(_ length: UInt32) throws(SavedImageDefect) {
        let part = LibxcRecord.pageData.part
        guard length >= 8 else { throw .malformed("a record of memory is too short") }
        let count: UInt32 = try cursor.take(8, in: part).little(at: 0)
        let numbers = 8 + 8 * UInt64(count)
        guard count > 0, numbers <= length, (UInt64(length) - numbers) % 4096 == 0,
            (UInt64(length) - numbers) / 4096 <= count
        else { throw .malformed("a record of memory does not fit its number of pages") }
        try cursor.skip(SavedImageFormat.padded(length) - 8, in: part)
        pages += UInt64(count)
        endOfMemory = cursor.offset
    }

    /// A block of zeros reads as two END records. It is the records before them that tell an end from a hole in the
    /// file.
    private func requireEverything(version: UInt32, isParavirtual: Bool) throws(SavedImageDefect) {
        var required: [LibxcRecord] =
            isParavirtual
            ? [.paravirtualInfo, .paravirtualFrames, .pageData, .timestampCounter, .sharedInfo, .virtualCPU]
            : [.pageData, .timestampCounter, .hvmContext, .hvmParameters]
        if version >= 3 { required.append(.staticDataEnd) }
        if let missing = required.first(where: { !seen.contains($0.rawValue) }) {
            throw .malformed("the guest's state ends without \(missing.part)")
        }
    }

    private mutating func walkLibxlRecords(_ type: DomainType) throws(SavedImageDefect) {
        var emulator = false
        while true {
            let number = try libxlRecord()
            switch LibxlRecord(rawValue: number) {
            case .end:
                guard type != .hvm || emulator else { throw .malformed("its device model's state is missing") }
                return
            case .emulatorContext where type == .hvm: emulator = true
            case .emulatorXenstore where type == .hvm: break
            case .libxcContext, .emulatorXenstore, .emulatorContext, nil:
                throw .malformed("libxl record type 0x\(String(number, radix: 16)) is not to be expected here")
            }
        }
    }

    /// Passes one libxl record and returns its type.
    private mutating func libxlRecord() throws(SavedImageDefect) -> UInt32 {
        let (type, length) = try recordHeader("libxl's records")
        guard length == 0 || (type != LibxlRecord.end.rawValue && type != LibxlRecord.libxcContext.rawValue) else {
            throw .malformed("an empty libxl record is not empty")
        }
        try cursor.skip(SavedImageFormat.padded(length), in: "a libxl record")
        return type
    }

    private mutating func recordHeader(_ part: String) throws(SavedImageDefect) -> (type: UInt32, length: UInt32) {
        records += 1
        guard records <= Self.mostRecords else { throw .malformed("it has more than \(Self.mostRecords) records") }
        let header = try cursor.take(8, in: part)
        return (header.little(at: 0), header.little(at: 4))
    }
}

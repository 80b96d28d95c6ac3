import HostModel

/// What an iSCSI disk is, as far as it must stay the same: what it says of itself in SCSI's own pages.
public struct DiskIdentity: Sendable, Hashable, Codable {
    /// As multipathd, `/dev/disk/by-id` and `xenlvs exports` show it: the designator's type digit and its hexadecimal digits.
    public var wwid: String
    /// The unit serial number; empty where the disk has none.
    public var serial: String
    public var size: ByteCount

    public init(wwid: String, serial: String, size: ByteCount) {
        self.wwid = wwid
        self.serial = serial
        self.size = size
    }

    /// - Throws: `.inconsistent` for pages that a disk cannot have.
    public init(_ unit: ProbedUnit) throws(Failure) {
        self.init(
            wwid: try SCSIPage.wwid(identification: unit.identification), serial: try SCSIPage.serial(unit.serial),
            size: try SCSIPage.capacity(unit.capacity))
    }

    /// Whether the other is the same disk, which may have another size.
    public func isSameDisk(as other: DiskIdentity) -> Bool { wwid == other.wwid && serial == other.serial }

    /// `10 GiB (10737418240 bytes), WWID 36001405…, serial 'ab12'`.
    public var words: String { "\(size) (\(size.bytes) bytes), WWID \(wwid), serial '\(serial)'" }
}

/// SCSI's answers as they come from a target or from sysfs. Everything in them may be wrong.
public enum SCSIPage {
    /// The longest page that is looked at; the kernel keeps as much (`SCSI_VPD_PG_LEN`… 255, or what the page says).
    public static let longest = 4096

    /// What is asked for of VPD page 0x83, before a login and of each path. That of the kernel's target holds its name twice
    /// (`spc_emulate_evpd_83`, drivers/target/target_core_spc.c), which makes it longer than 255 bytes from 67 characters
    /// on, of 223.
    public static let identificationLength = 1024

    /// Whether a standard INQUIRY answer is that of a disk that is connected (SPC-4, 6.4.2: qualifier 0, type 0).
    public static func isDisk(inquiry: [UInt8]) -> Bool { inquiry.count >= 36 && inquiry[0] == 0 }

    /// The unit serial number page (SPC-4, 7.8.15), blanks at its ends left out.
    /// - Throws: `.inconsistent` for another page, or text that is not printable.
    static func serial(_ page: [UInt8]) throws(Failure) -> String {
        // Not every target has it.
        guard !page.isEmpty else { return "" }
        let body = try body(of: page, code: 0x80)
        guard body.count <= 255, body.allSatisfy({ (0x20...0x7e).contains($0) || $0 == 0 }) else {
            throw wrong("its serial number is not printable")
        }
        let text = String(decoding: body.map { $0 == 0 ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
        return String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    /// The WWID of the device identification page (SPC-4, 7.8.5), by the order in which Linux prefers designators of the
    /// logical unit (`scsi_vpd_lun_id`, drivers/scsi/scsi_lib.c; udev's scsi_id): NAA before EUI-64, the longer first.
    /// What names no vendor, or is only unique where it was made up, is none: tgt gives the first disk of every host the
    /// same NAA designator, with zeros where the company's number belongs.
    /// - Throws: `.inconsistent` for a page that ends in the middle; `.refused` where it has no such designator.
    public static func wwid(identification page: [UInt8]) throws(Failure) -> String {
        var rest = try body(of: page, code: 0x83)[...]
        var best: (rank: Int, text: String)?
        while !rest.isEmpty {
            let bytes = Array(rest.prefix(4))
            guard bytes.count == 4, rest.count >= 4 + Int(bytes[3]) else {
                throw wrong("its identification ends in the middle")
            }
            let value = rest.dropFirst(4).prefix(Int(bytes[3]))
            rest = rest.dropFirst(4 + Int(bytes[3]))
            // Binary, and of the logical unit: not of its port or target.
            guard bytes[0] & 0x0f == 1, bytes[1] & 0x30 == 0 else { continue }
            guard let rank = rank(type: bytes[1] & 0x0f, value), rank > best?.rank ?? 0 else { continue }
            best = (rank, "\(bytes[1] & 0x0f)" + DeviceIdentity.hexadecimal(value))
        }
        guard let best else {
            throw Failure(
                .refused, "the disk has no identity that is unique in the world",
                why: "it has no NAA or EUI-64 designator with a company's number (VPD page 0x83)",
                remedy: "give it one at the target, for tgt with 'scsi_id': two disks could not be told apart")
        }
        return best.text
    }

    /// Nil for a designator that identifies nothing, or has not the length that it says (SPC-4, 7.8.5.5 and 7.8.5.6).
    private static func rank(type: UInt8, _ value: ArraySlice<UInt8>) -> Int? {
        guard value.count >= 8 else { return nil }
        let head = number(value.prefix(8))
        switch (type, head >> 60, value.count) {
        case (3, 6, 16): return head >> 36 & 0xff_ffff == 0 ? nil : 4
        case (3, 5, 8): return head >> 36 & 0xff_ffff == 0 ? nil : 3
        case (3, 2, 8): return head >> 24 & 0xff_ffff == 0 ? nil : 2
        case (2, _, 8), (2, _, 12): return head >> 40 == 0 ? nil : 1
        default: return nil
        }
    }

    /// READ CAPACITY (16) (SBC-3, 5.16): the last block's number and a block's length.
    /// - Throws: `.inconsistent` for sizes that Linux does not use.
    static func capacity(_ answer: [UInt8]) throws(Failure) -> ByteCount {
        guard answer.count >= 12 else { throw wrong("its size has \(answer.count) bytes") }
        let last = number(answer[0..<8])
        let block = number(answer[8..<12])
        // `sd_read_capacity`, drivers/scsi/sd.c.
        guard [512, 1024, 2048, 4096].contains(block) else { throw wrong("its blocks have \(block) bytes") }
        guard last < (UInt64(1) << 62) / block else { throw wrong("it says that it has \(last) blocks") }
        return ByteCount(Int64((last + 1) * block))
    }

    /// REPORT LUNS (SPC-4, 6.33): the numbers up to 255, as peripheral addressing has them (SAM-5, 4.7.7.2). Larger ones are
    /// written in several ways, and are left out.
    /// - Throws: `.inconsistent` where there are more, or the list is cut off.
    public static func units(reported answer: [UInt8]) throws(Failure) -> [Int] {
        guard answer.count >= 8 else { throw wrong("its list of units has \(answer.count) bytes") }
        let length = number(answer[0..<4])
        guard length % 8 == 0, length / 8 <= 256, UInt64(answer.count) >= 8 + length else {
            throw wrong("its list of units says that it has \(length) bytes, of which \(answer.count - 8) came")
        }
        return stride(from: 8, to: 8 + Int(length), by: 8).compactMap { index in
            guard answer[index] == 0, answer[(index + 2)..<(index + 8)].allSatisfy({ $0 == 0 }) else { return nil }
            return Int(answer[index + 1])
        }
    }

    /// What follows a page's head, of the length that it says.
    private static func body(of page: [UInt8], code: UInt8) throws(Failure) -> [UInt8] {
        guard page.count >= 4, page.count <= longest, page[1] == code else {
            throw wrong("it answers with something else than VPD page 0x\(String(code, radix: 16))")
        }
        let length = Int(page[2]) << 8 | Int(page[3])
        guard page.count >= 4 + length else {
            throw wrong("VPD page 0x\(String(code, radix: 16)) says \(length) bytes, of which \(page.count - 4) came")
        }
        return Array(page[4..<(4 + length)])
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    private static func wrong(_ why: String) -> Failure {
        Failure(.inconsistent, "the disk's description cannot be used", why: why, remedy: "see what the target serves")
    }
}

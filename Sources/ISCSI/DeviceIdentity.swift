import HostModel

/// By what initiators know a volume: it follows from the volume's own UUIDs alone, and so is the same on every host that
/// serves it, after a rename, and after a reinstall.
public struct DeviceIdentity: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The SCSI unit serial number (VPD page 0x80): 32 hexadecimal digits.
    public let serial: String

    /// - Parameter mapping: device-mapper's UUID of an active LV, `LVM-` with 32 characters of the volume group's UUID and
    ///   32 of the LV's (lvm2, lib/activate/dev_manager.c, `build_dm_uuid`).
    /// - Throws: `.refused` for a device that is no LV's.
    public init(mapping: String) throws(Failure) {
        let characters = mapping.dropping("LVM-").map { Array($0.utf8) } ?? []
        guard characters.count == 64 else {
            throw Failure(
                .refused, "no lasting identity can be made for a device with the mapping '\(mapping.prefix(100))'",
                why: "only a logical volume's own device has the UUIDs that it is made from")
        }
        let group = String(decoding: characters[..<32], as: UTF8.self)
        let volume = String(decoding: characters[32...], as: UTF8.self)
        self.init(groupUUID: group, volumeUUID: volume)
    }

    /// - Parameters: LVM's UUIDs, with or without hyphens.
    public init(groupUUID: String, volumeUUID: String) {
        let plain = [groupUUID, volumeUUID].map { $0.replacing("-", with: "") }.joined()
        serial = Self.hexadecimal(SHA256.digest(plain.utf8).prefix(16))
    }

    /// A serial number that was read back. Throws `.inconsistent` where it is none of ours.
    public init(serial: String) throws(Failure) {
        guard serial.utf8.count == 32, serial.allSatisfy(\.isHexDigit) else {
            throw Failure(.inconsistent, "'\(serial.prefix(100))' is not a serial number of xenlvs")
        }
        self.serial = serial
    }

    /// The device identification (VPD page 0x83) that LIO makes of the serial number, with the type digit that Linux puts
    /// before it, as in `/dev/disk/by-id/wwn-…` and multipath's WWID: NAA 6, the company number 001405, and the first 25
    /// hexadecimal digits of the serial number (target_core_spc.c, `spc_gen_naa_6h_vendor_specific`).
    public var wwid: String { Self.wwid(ofSerial: serial) }

    /// The same for whatever serial number a device has: what is no hexadecimal digit is left out.
    static func wwid(ofSerial serial: String) -> String {
        "36001405" + serial.lowercased().filter(\.isHexDigit).prefix(25)
    }

    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    public var description: String { serial }

    public init(from decoder: any Decoder) throws {
        try self.init(serial: try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(serial)
    }
}

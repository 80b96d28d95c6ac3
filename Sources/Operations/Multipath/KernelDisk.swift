import HostModel

/// Where a SCSI disk is to the kernel, as `lsscsi` and `multipath -ll` show it: host, channel, target and LUN, `2:0:0:1`.
public struct SCSIAddress: Hashable, Sendable, Encodable, CustomStringConvertible {
    public let host: UInt32
    public let channel: UInt32
    public let target: UInt32
    public let lun: UInt64

    /// Nil for anything but four decimal numbers.
    init?(parsing text: Substring) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let host = UInt32(parts[0]), let channel = UInt32(parts[1]), let target = UInt32(parts[2]),
            let lun = UInt64(parts[3])
        else { return nil }
        (self.host, self.channel, self.target, self.lun) = (host, channel, target, lun)
    }

    public var description: String { "\(host):\(channel):\(target):\(lun)" }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// What sysfs shows of a SCSI disk beside its identity. Reading this opens no device.
struct KernelDisk: Sendable, Equatable {
    /// `sdb`.
    var name: String
    /// `8:16`.
    var number: String?
    var address: SCSIAddress?
    /// As `SCSIDisk.state`; nil where sysfs does not say.
    var state: String?

    /// Every one of this host, in no order.
    static func all(in tree: DeviceTree) -> [KernelDisk] {
        KernelFile.names(in: "\(tree.sysfs)/block").filter { $0.hasPrefix("sd") }.map { name in
            let place = "\(tree.sysfs)/block/\(name)"
            // The directory of a SCSI device has its address for a name (`scsi_sysfs_device_initialize`).
            let device = resolvedPath("\(place)/device")?.split(separator: "/").last
            return KernelDisk(
                name: name, number: KernelFile.word("\(place)/dev"),
                address: device.flatMap { SCSIAddress(parsing: $0) }, state: KernelFile.word("\(place)/device/state"))
        }
    }
}

import FoundationEssentials
import HostModel
import ISCSI
import Storage

/// A session of the kernel's iSCSI initiator, as sysfs shows it. Reading this opens no device.
struct ISCSISession: Sendable, Equatable {
    var number: Int
    var target: String
    /// `LOGGED_IN`, `FAILED` or `FREE` (`iscsi_session_state_names`, drivers/scsi/scsi_transport_iscsi.c).
    var state: String
    /// Where it was logged in; nil where sysfs does not say.
    var portal: Portal?
    /// open-iscsi's name of the interface.
    var binding: String
    var disks: [SCSIDisk]

    var isUp: Bool { state == "LOGGED_IN" }

    /// Those that are the recorded disk of an attachment, whatever their size.
    func disks(of attachment: ISCSIAttachment) -> [SCSIDisk] {
        disks.filter { $0.lun == attachment.lun && $0.wwid == attachment.identity.wwid }
    }

    /// Whether it is the session of this path.
    func takes(_ path: ISCSIPath, to target: ISCSIName) -> Bool {
        self.target == target.text && portal == path.portal
            && binding == NodeRecord(target: target, portal: path.portal, interface: path.interface?.text).interfaceName
    }

    /// Every session, by number.
    static func all(in tree: DeviceTree) -> [ISCSISession] {
        let directory = "\(tree.sysfs)/class/iscsi_session"
        return KernelFile.names(in: directory).compactMap { name in
            guard name.hasPrefix("session"), let number = Int(name.dropFirst("session".count)),
                let target = KernelFile.word("\(directory)/\(name)/targetname")
            else { return nil }
            let connection = "\(tree.sysfs)/class/iscsi_connection/connection\(number):0"
            let address = KernelFile.word("\(connection)/persistent_address")
            let port = KernelFile.word("\(connection)/persistent_port")
            return ISCSISession(
                number: number, target: target, state: KernelFile.word("\(directory)/\(name)/state") ?? "unknown",
                portal: address.flatMap { try? Portal(($0.contains(":") ? "[\($0)]" : $0) + ":\(port ?? "")") },
                binding: KernelFile.word("\(directory)/\(name)/ifacename") ?? "default",
                disks: SCSIDisk.below("\(directory)/\(name)/device", in: tree))
        }.sorted { $0.number < $1.number }
    }
}

/// A disk of a session: `sdb`.
struct SCSIDisk: Sendable, Equatable {
    var name: String
    var lun: Int
    /// `running`, `blocked`, `transport-offline`… (`sdev_states`, drivers/scsi/scsi_sysfs.c).
    var state: String
    /// `8:16`.
    var number: String?
    var size: ByteCount
    /// What the kernel has read of page 0x83 when it found the disk, or last looked again.
    var wwid: String?

    /// Whether the kernel lets requests to it through.
    var isRunning: Bool { state == "running" }

    /// Those of a session's directory: `target2:0:0/2:0:0:1/block/sdb`.
    static func below(_ directory: String, in tree: DeviceTree) -> [SCSIDisk] {
        var disks: [SCSIDisk] = []
        for target in KernelFile.names(in: directory) where target.hasPrefix("target") {
            for unit in KernelFile.names(in: "\(directory)/\(target)") {
                let parts = unit.split(separator: ":")
                guard parts.count == 4, let lun = Int(parts[3]) else { continue }
                let place = "\(directory)/\(target)/\(unit)"
                guard let name = KernelFile.names(in: "\(place)/block").first else { continue }
                disks.append(read(name, lun: lun, block: "\(place)/block/\(name)", device: place))
            }
        }
        return disks.sorted { ($0.lun, $0.name) < ($1.lun, $1.name) }
    }

    /// - Parameters:
    ///   - block: the disk's directory of the block layer.
    ///   - device: that of its SCSI device.
    static func read(_ name: String, lun: Int, block: String, device: String) -> SCSIDisk {
        let sectors = KernelFile.word("\(block)/size").flatMap { Int64($0) } ?? 0
        return SCSIDisk(
            name: name, lun: lun, state: KernelFile.word("\(device)/state") ?? "unknown",
            number: KernelFile.word("\(block)/dev"),
            size: (0..<Int64(1) << 53).contains(sectors) ? .sectors(sectors) : ByteCount(0),
            wwid: try? SCSIPage.wwid(identification: KernelFile.bytes("\(device)/vpd_pg83")))
    }

    /// The whole disk, once its node is there. A node that leads to another device than sysfs names is not this disk's.
    func blockDevice(in tree: DeviceTree) -> BlockDevice? {
        guard let device = try? BlockDevice(at: "\(tree.devices)/\(name)", sysfs: tree.sysfs),
            device.number.description == number
        else { return nil }
        return device
    }

    /// The disk and its partitions, as far as their nodes are there.
    func blockDevices(in tree: DeviceTree) -> [BlockDevice] {
        [blockDevice(in: tree)].compactMap(\.self) + BlockDevice.partitions(of: name, in: tree)
    }
}

extension BlockDevice {
    /// The kernel's partitions of `sdb`.
    static func partitions(of name: String, in tree: DeviceTree) -> [BlockDevice] {
        KernelFile.names(in: "\(tree.sysfs)/class/block/\(name)").filter { $0.hasPrefix(name) }.sorted().compactMap {
            try? BlockDevice(at: "\(tree.devices)/\($0)", sysfs: tree.sysfs)
        }
    }
}

extension KernelFile {
    /// The names in a directory; none where it is not there.
    static func names(in directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }

    /// A file's bytes; none where it is not there.
    static func bytes(_ path: String) -> [UInt8] { FileManager.default.contents(atPath: path).map(Array.init) ?? [] }

    /// A file's text without blanks.
    static func word(_ path: String) -> String? { read(path).map { $0.filter { !$0.isWhitespace } } }
}

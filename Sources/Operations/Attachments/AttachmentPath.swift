import AoE
import DeviceMapper
import HostModel
import ISCSI
import Storage

/// One way to an attached device, over whichever protocol.
public struct AttachmentPath: Sendable, Encodable, Equatable {
    /// The attachment's.
    public var name: VolumeName
    /// `aoe`, `iscsi`, or `scsi` for a map that an operator has made.
    public var networkProtocol: String
    /// What the attachment's link leads to; nil where there is no link.
    public var device: String?
    /// In bytes, as users of the device see it; nil where it is not there.
    public var size: ByteCount?
    /// The disk's identity, as it is recorded; nil for AoE, which has none.
    public var wwid: String?
    /// The target's serial number, as it is recorded; nil where it has none, or none was asked for.
    public var serial: String?
    /// Who has made the disk, and what it is, as it told the kernel (INQUIRY); nil for AoE, which tells neither.
    public var vendor: String?
    public var product: String?
    /// Whether the kernel lets nobody write to the device; nil where sysfs does not say.
    public var isReadOnly: Bool?
    /// The map that is made of several SCSI disks, as the kernel has it; nil where there is none.
    public var map: KernelMap?
    /// Portal or interface.
    public var path: String
    /// The kernel's disk of this path, for iSCSI.
    public var disk: String?
    /// Where the kernel has that disk, as sysfs tells it; nil where there is none.
    public var hctl: SCSIAddress?
    /// The number of its device: `8:16`.
    public var number: String?
    /// How the kernel has the disk itself (`SCSIDisk.state`): `running`, `transport-offline`.
    public var diskState: String?
    /// Its group in `map`, from 1; nil where it is in none.
    public var group: Int?
    /// How device-mapper has the path; nil where it is in no map.
    public var dmState: KernelMap.PathState?
    /// How often device-mapper has failed it since the map has its present table.
    public var failures: Int?
    public var isUp: Bool
    /// Of a path that is up, how multipathd has it; of one that is down, why.
    public var why: String?

    private enum CodingKeys: String, CodingKey {
        case name, device, size, wwid, serial, vendor, product, isReadOnly, map
        case path, disk, hctl, number, diskState, group, dmState, failures, isUp, why
        case networkProtocol = "protocol"
    }

    /// Every path of an attachment.
    static func all(of row: AttachmentRow) -> [AttachmentPath] {
        switch row {
        case .aoe(let row): aoe(row)
        case .iscsi(let row):
            row.paths.map { path in
                AttachmentPath(
                    name: row.name, networkProtocol: "iscsi", device: row.link.target, size: row.size,
                    wwid: row.recorded.wwid, serial: row.recorded.serial.isEmpty ? nil : row.recorded.serial,
                    path: ISCSIPath(portal: path.portal, interface: path.interface).words, disk: path.disk,
                    isUp: path.isUp, why: path.why ?? path.map)
            }
        }
    }

    /// Every path of a map that an operator has made; one line where it has none.
    static func all(of map: MapSummary) -> [AttachmentPath] {
        func plain(_ path: String, _ isUp: Bool, _ why: String?) -> AttachmentPath {
            AttachmentPath(
                name: map.name, networkProtocol: "scsi", device: map.size == nil ? nil : map.device, size: map.size,
                wwid: map.wwid, path: path, isUp: isUp, why: why)
        }
        if map.paths.isEmpty { return [plain("-", false, map.why)] }
        return map.paths.map { path in
            var row = plain(
                path.group == 0 ? "-" : "group \(path.group)", path.isUp, path.isUp ? "active" : path.why)
            row.disk = path.disk
            row.number = path.number == "-" ? nil : path.number
            return row
        }
    }

    /// By interfaces: the kernel sends by each on which it has heard the target.
    private static func aoe(_ row: AttachmentSummary) -> [AttachmentPath] {
        Set(row.interfaces + row.kernelInterfaces).sorted().map { interface in
            let isHeard = row.kernelInterfaces.contains(interface)
            let answers = row.paths.contains { $0.interface == interface.text }
            let why: String? =
                if row.state != .up {
                    "the kernel has the device as \(row.state.rawValue)"
                } else if !answers {
                    "nobody answers for \(row.address) there"
                } else {
                    isHeard ? nil : "the kernel has not heard the target there yet"
                }
            return AttachmentPath(
                name: row.name, networkProtocol: "aoe", device: row.link.target, size: row.size,
                serial: row.recorded.serial.isEmpty ? nil : row.recorded.serial, path: interface.text,
                isUp: why == nil, why: why)
        }
    }
}

extension Attachments {
    /// Every path of every attachment, and of maps that an operator has made, as it stands. Changes nothing.
    public func paths() async throws -> [AttachmentPath] {
        let maps = try await MapManager(host: host).all().filter { !$0.isOfAttachment }
        let rows = try await list()
        let uuids = try host.iscsiAttachments().filter(\.isMultipath)
            .reduce(into: [VolumeName: String]()) { $0[$1.name] = MultipathMaps.uuid($1) }
        let disks = KernelDisk.all(in: host.tree)
        var paths: [AttachmentPath] = []
        for row in rows {
            let map = await kernelMap(uuids[row.name])
            paths += described(AttachmentPath.completed(AttachmentPath.all(of: row), by: map, disks))
        }
        for summary in maps {
            let map = await kernelMap(MappedIdentity.ofMap(summary.name, wwid: summary.wwid).uuid)
            paths += described(AttachmentPath.completed(AttachmentPath.all(of: summary), by: map, disks))
        }
        return paths
    }

    /// The paths of one device with what sysfs tells of that beside its size. What a target says of itself may be
    /// anything.
    private func described(_ paths: [AttachmentPath]) -> [AttachmentPath] {
        let (sysfs, disk) = (host.tree.sysfs, paths.compactMap(\.disk).first)
        func words(_ file: String) -> String? {
            guard let disk, let text = KernelFile.read("\(sysfs)/block/\(disk)/device/\(file)") else { return nil }
            let words = ProbeAnswer.plain(text.split(whereSeparator: \.isWhitespace).joined(separator: " "))
            return words.isEmpty ? nil : words
        }
        let device = paths.first?.device.flatMap { try? BlockDevice(at: $0, sysfs: sysfs) }
        let isReadOnly = device.flatMap { KernelFile.word("\(sysfs)/dev/block/\($0.number)/ro") }.map { $0 == "1" }
        let (vendor, product) = (words("vendor"), words("model"))
        return paths.map { path in
            var path = path
            (path.vendor, path.product, path.isReadOnly) = (vendor, product, isReadOnly)
            return path
        }
    }

    private func kernelMap(_ uuid: String?) async -> KernelMap? {
        guard let uuid else { return nil }
        return await KernelMap.read(uuid: uuid, host.mapper)
    }
}

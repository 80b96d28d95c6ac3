import HostModel
import ISCSI
import Storage

/// Which devices LVM looks into on this host: those of its list where it uses one (`/etc/lvm/devices`), else those that its
/// filters let pass.
struct LVMReach: Sendable {
    /// Nil where LVM uses no list.
    var list: LVMDevicesFile?
    var filter: LVMDeviceFilter

    static let directory = "/etc/lvm"

    static func read(_ host: HostContext) async throws -> LVMReach {
        let filter = try LVMDeviceFilter(parsing: try await host.runner.run(LVMDeviceFilter.query()).output)
        return LVMReach(list: try await list(host), filter: filter)
    }

    /// A list that is asked for and not there does not count (lvmdevices(8)).
    private static func list(_ host: HostContext) async throws -> LVMDevicesFile? {
        let output = try await host.runner.run(LVMDeviceFilter.devicesFileQuery()).output
        guard let name = try LVMDeviceFilter.devicesFile(parsing: output) else { return nil }
        let path = "\(directory)/devices/\(name)"
        return KernelFile.read(host.tree.root + path).map { LVMDevicesFile(parsing: $0, path: path) }
    }

    /// Whether LVM looks into a device with these names. Where it has a list, the filters do not count.
    /// - Parameter wwid: of a SCSI disk or of the map over it.
    func looks(into names: [String], wwid: String? = nil) throws -> Bool {
        guard let list else { return try filter.accepts(anyOf: names) }
        return list.entry(of: names, wwid: wwid) != nil
    }

    /// By kind, all names of a device that a guest may have as a disk.
    static let samples: [(kind: String, names: [String])] = [
        ("DRBD's devices", ["/dev/drbd0"]),
        ("AoE devices", ["/dev/etherd/e0.0"]),
        ("switches and maps of xenlvs", ["/dev/mapper/xenlvs-switch-x", "/dev/dm-99"]),
        (
            "disks of iSCSI sessions",
            ["/dev/sdzz", "/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-iqn.2026-11.invalid.xenlvs:x-lun-1"]
        ),
        (
            "maps of multipathd",
            ["/dev/mapper/x", "/dev/dm-99", "/dev/disk/by-id/dm-uuid-mpath-360014050000000000000000000000000"]
        ),
    ]

    /// The kinds of `samples` that it looks into; none where it has a list.
    func kindsLookedInto() throws -> [String] {
        guard list == nil else { return [] }
        return try Self.samples.filter { try filter.accepts(anyOf: $0.names) }.map(\.kind)
    }

    /// Whether LVM looks into any of several devices, each with all its names.
    func looks(into devices: [[String]], wwid: String?) throws -> Bool {
        try devices.contains { try looks(into: $0, wwid: wwid) }
    }

    /// The devices of an attachment that LVM may look into, each with the names by which it knows them.
    ///
    /// It leaves the disks below a map alone by itself where the map's UUID begins with `mpath-` (lib/device/dev-mpath.c), as
    /// multipathd's does. Below xenlvs's own it sees them like any others.
    static func names(of attachment: ISCSIAttachment, _ host: HostContext) -> [[String]] {
        let disks = attachment.paths.map { names(of: attachment, by: $0, host) }
        guard attachment.isMultipath else { return disks }
        let map = [
            MultipathMaps.path(attachment, in: DeviceTree()),
            "/dev/disk/by-id/dm-uuid-\(MultipathMaps.uuid(attachment))",
        ]
        return attachment.ownMap == nil ? [map] : [map] + disks
    }

    /// Those of the disk that one path leads to.
    private static func names(of attachment: ISCSIAttachment, by path: ISCSIPath, _ host: HostContext) -> [String] {
        var alone = attachment
        alone.paths = [path]
        return ISCSIDevice.disks(alone, in: host.tree).map { "/dev/\($0.name)" }
            + [ISCSIDevice.path(alone, in: DeviceTree())]
    }
}

extension LVMDevicesFile {
    /// The entry for any of several devices, each with all its names.
    func entry(of devices: [[String]], wwid: String?) -> Entry? {
        entry(of: Array(devices.joined()), wwid: wwid)
    }
}

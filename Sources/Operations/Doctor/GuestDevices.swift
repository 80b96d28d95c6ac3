import HostModel
import Storage

/// The devices of this host of which xenlvs knows that they are guests' disks, or parts of them.
struct GuestDevices {
    private var numbers: Set<BlockDeviceNumber> = []
    private var paths: Set<String> = []

    static func all(_ host: HostContext) async throws -> GuestDevices {
        var devices = GuestDevices()
        for attachment in try host.iscsiAttachments() {
            let disks = ISCSIDevice.disks(attachment, in: host.tree).compactMap { $0.blockDevice(in: host.tree) }
            for device in disks + ISCSIDevice.all(attachment, in: host.tree) { devices.numbers.insert(device.number) }
        }
        for attachment in try host.aoeAttachments() {
            devices.paths.insert(KernelDevice.path(attachment.address, in: DeviceTree()))
        }
        for replica in try await ReplicaCatalog(host: host).all() {
            if let device = replica.device { devices.paths.insert(device) }
        }
        return devices
    }

    /// - Parameter path: as LVM has it.
    func contains(_ path: String, _ host: HostContext) -> Bool {
        if path.hasPrefix("/dev/mapper/xenlvs-") { return true }
        // `/dev/etherd/e1.0p1` is a part of `/dev/etherd/e1.0`.
        if paths.contains(where: { path == $0 || path.hasPrefix($0 + "p") }) { return true }
        let node = host.tree.devices + path.dropFirst("/dev".count)
        guard let device = try? BlockDevice(at: node, sysfs: host.tree.sysfs) else { return false }
        return numbers.contains(device.number)
    }
}

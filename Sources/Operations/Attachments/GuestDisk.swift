import HostModel
import Storage

/// Devices that domains of this host have as disks, whether they are volumes or not.
public enum GuestDisk {
    /// Throws `.busy` where a domain has the device that a path leads to, its disk or one of its partitions.
    ///
    /// Xen's block backend does not claim what it opens for a guest (drivers/block/xen-blkback/xenbus.c), so that an
    /// exclusive opener does not find it. Files, and what is not there, are not looked at.
    public static func requireUnused(_ path: String, sysfs: String = "/sys") throws(Failure) {
        guard let device = try? BlockDevice(at: path, sysfs: sysfs) else { return }
        let wanted = place(of: device.number, sysfs)
        let user = BlockBackend.all(in: "\(sysfs)/bus/xen-backend/devices").first { backend in
            let used = place(of: backend.device, sysfs)
            return used == wanted || used.hasPrefix(wanted + "/") || wanted.hasPrefix(used + "/")
        }
        guard let user else { return }
        throw Failure(
            .busy, "cannot serve \(path)", why: "the domain with the number \(user.domain) has it as a disk",
            remedy: "shut the domain down, or take the disk away from it ('xl list' and 'xl block-list' show both)")
    }

    /// A device's directory in sysfs. That of a partition lies in its disk's.
    private static func place(of number: BlockDeviceNumber, _ sysfs: String) -> String {
        let link = "\(sysfs)/dev/block/\(number)"
        return resolvedPath(link) ?? link
    }
}

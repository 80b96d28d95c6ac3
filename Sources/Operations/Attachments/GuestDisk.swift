import HostModel
import Hosts
import Storage

/// Devices that domains of this host have as disks, whether they are volumes or not.
public enum GuestDisk {
    /// Throws `.busy` where a domain has the device that a path leads to: its disk, one of its partitions, a device below
    /// it or one on top of it.
    ///
    /// Xen's block backend does not claim what it opens for a guest (drivers/block/xen-blkback/xenbus.c), so that an
    /// exclusive opener does not find it. Files, and what is not there, are not looked at.
    public static func requireUnused(_ path: String, sysfs: String = "/sys") throws(Failure) {
        guard let device = try? BlockDevice(at: path, sysfs: sysfs) else { return }
        let backends = BlockBackend.all(in: "\(sysfs)/bus/xen-backend/devices")
        if backends.isEmpty { return }
        let wanted = place(of: device.number, sysfs)
        var places: Set = [wanted]
        for relation in ["slaves", "holders"] { follow(relation, from: wanted, &places) }
        let user = backends.first { backend in
            let used = place(of: backend.device, sysfs)
            return places.contains { $0 == used || used.hasPrefix($0 + "/") || $0.hasPrefix(used + "/") }
        }
        guard let user else { return }
        throw Failure(
            .busy, "cannot serve \(path)", why: "the domain with the number \(user.domain) has it as a disk",
            remedy: "shut the domain down, or take the disk away from it ('xl list' and 'xl block-list' show both)")
    }

    /// The same for what an export names, unless this host shares the volume, with guests of its own as well.
    public static func requireUnused(
        _ path: String, unlessShared volume: VolumeName?, by paths: Paths, sysfs: String = "/sys"
    ) throws {
        if let volume, try ShareStore(paths).all().contains(where: { $0.volumes.contains(volume) }) { return }
        try requireUnused(path, sysfs: sysfs)
    }

    /// A device's directory in sysfs. That of a partition lies in its disk's.
    private static func place(of number: BlockDeviceNumber, _ sysfs: String) -> String {
        let link = "\(sysfs)/dev/block/\(number)"
        return resolvedPath(link) ?? link
    }

    /// Adds the directories of all devices below a device (`slaves`), or of all on top of it (`holders`).
    private static func follow(_ relation: String, from place: String, _ places: inout Set<String>) {
        for name in KernelFile.names(in: "\(place)/\(relation)") {
            guard let next = resolvedPath("\(place)/\(relation)/\(name)") else { continue }
            if places.insert(next).inserted { follow(relation, from: next, &places) }
        }
    }
}

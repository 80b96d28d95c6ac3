import HostModel
import ISCSI
import Storage

/// Brings an attachment's device into being: records, sessions, the kernel's disks, the map. Nothing points to it yet.
struct ISCSIBringUp: Sendable {
    let host: HostContext
    private let initiator: OpenISCSI
    private let maps: MultipathMaps

    /// How often it is looked whether a device has come.
    private static let pause = Duration.milliseconds(100)

    init(host: HostContext) {
        self.host = host
        initiator = OpenISCSI(host: host)
        maps = MultipathMaps(host: host)
    }

    /// The path of the device that the link is to lead to.
    /// - Parameter paths: those by which the recorded disk answers.
    /// - Throws: `.refused` where the kernel's disks are not what was recorded; the sessions stand then.
    func run(
        _ attachment: ISCSIAttachment, by paths: [ISCSIPath], _ credentials: CHAPCredentials?,
        deadline: ContinuousClock.Instant
    ) async throws -> String {
        try initiator.write(attachment, credentials)
        // Before any disk appears: multipathd decides by it what it may touch.
        try await maps.writeConfiguration()
        for path in paths { try await initiator.login(path, of: attachment) }
        for path in paths { try await waitForDisk(path, of: attachment, deadline) }
        if attachment.isMultipath {
            try await maps.assemble(attachment, deadline)
        } else {
            try await waitForName(attachment, deadline)
        }
        return ISCSIDevice.path(attachment, in: host.tree)
    }

    /// Takes one path into a map that stands, by the records that are there.
    /// - Throws: as `run`.
    func rejoin(_ path: ISCSIPath, of attachment: ISCSIAttachment, deadline: ContinuousClock.Instant) async throws {
        try await initiator.login(path, of: attachment)
        try await waitForDisk(path, of: attachment, deadline)
        try await maps.assemble(attachment, deadline)
    }

    private func waitForDisk(
        _ path: ISCSIPath, of attachment: ISCSIAttachment, _ deadline: ContinuousClock.Instant
    ) async throws {
        var wasAskedAgain = false
        while true {
            let session = initiator.session(path, of: attachment)
            let disk = session?.disks.first { $0.lun == attachment.lun }
            if let session, let disk, disk.wwid != nil, disk.blockDevice(in: host.tree) != nil {
                let isAnother = disk.wwid != attachment.identity.wwid
                let hasOtherSize = !isAnother && disk.size != attachment.identity.size
                // By a path that is down the kernel cannot learn of a new size: the map does without it until it is back.
                if hasOtherSize, attachment.isMultipath, !session.isUp { return }
                // The target has shown the recorded disk: what the kernel has may be from before that.
                guard isAnother || hasOtherSize, session.isUp, !wasAskedAgain else {
                    return try check(disk, path, of: attachment)
                }
                wasAskedAgain = true
                try await initiator.rescan(session)
                continue
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .failed,
                    "the kernel shows no disk for LUN \(attachment.lun) of \(attachment.target) at \(path.words)",
                    why: disk.map { "\($0.name) is there, but has no identity or no node" }
                        ?? "it is logged in, and has found none",
                    remedy: "see 'dmesg' and 'iscsiadm -m session -P 3'")
            }
            try await Task.sleep(for: Self.pause)
        }
    }

    private func check(_ disk: SCSIDisk, _ path: ISCSIPath, of attachment: ISCSIAttachment) throws {
        let recorded = attachment.identity
        guard disk.wwid != recorded.wwid || disk.size != recorded.size else { return }
        let hasGrown = disk.wwid == recorded.wwid && disk.size > recorded.size
        throw Failure(
            .refused, "\(disk.name), by \(path.words), is not the disk that was asked for",
            why: "the kernel has WWID \(disk.wwid ?? "none") and \(disk.size.bytes) bytes, recorded are "
                + "\(recorded.wwid) and \(recorded.size.bytes)",
            remedy: "see on the target's host what it exports as LUN \(attachment.lun) of \(attachment.target)"
                + (hasGrown ? "; if that has grown, 'xenlvs attachments --revalidate \(attachment.name)'" : ""))
    }

    /// udev makes the name that stays with target and LUN, whatever letter the kernel gives the disk.
    private func waitForName(_ attachment: ISCSIAttachment, _ deadline: ContinuousClock.Instant) async throws {
        while ISCSIDevice.read(attachment, in: host.tree) == nil {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .failed, "there is no \(ISCSIDevice.path(attachment, in: host.tree))",
                    why: "udev has not made it, or it leads to another disk", remedy: "see 'udevadm info' of the disk")
            }
            try await Task.sleep(for: Self.pause)
        }
    }
}

/// The device that an attachment's link leads to: its only disk, or the map over its disks.
enum ISCSIDevice {
    /// udev's name by target and LUN (`handle_scsi_iscsi`, src/udev/udev-builtin-path_id.c), or the map's.
    static func path(_ attachment: ISCSIAttachment, in tree: DeviceTree) -> String {
        if attachment.isMultipath { return MultipathMaps.path(attachment, in: tree) }
        let portal = attachment.paths[0].portal
        return "\(tree.devices)/disk/by-path/ip-\(portal.address):\(portal.port)-iscsi-\(attachment.target)"
            + "-lun-\(attachment.lun)"
    }

    /// The device, where it is made of this attachment's disks and no others. Nil where it is not there.
    static func read(_ attachment: ISCSIAttachment, in tree: DeviceTree) -> BlockDevice? {
        guard let device = try? BlockDevice(at: path(attachment, in: tree), sysfs: tree.sysfs) else { return nil }
        let disks = disks(attachment, in: tree)
        if attachment.isMultipath {
            return MultipathMaps.isOver(disks, device, attachment, in: tree) ? device : nil
        }
        return disks.contains { $0.number == device.number.description } ? device : nil
    }

    private static func sessions(_ attachment: ISCSIAttachment, in tree: DeviceTree) -> [ISCSISession] {
        ISCSISession.all(in: tree).filter { session in
            attachment.paths.contains { session.takes($0, to: attachment.target) }
        }
    }

    /// The kernel's disks of the attachment's sessions whose identity is the recorded one.
    static func disks(_ attachment: ISCSIAttachment, in tree: DeviceTree) -> [SCSIDisk] {
        sessions(attachment, in: tree).flatMap { $0.disks(of: attachment) }
    }

    /// Those of paths that are up: of the others the kernel has the size that they had when they were lost.
    static func disksInReach(_ attachment: ISCSIAttachment, in tree: DeviceTree) -> [SCSIDisk] {
        sessions(attachment, in: tree).filter(\.isUp).flatMap { $0.disks(of: attachment) }.filter(\.isRunning)
    }

    /// Whether the attachment's map is there, and this disk is none of its paths.
    static func leavesOut(_ disk: SCSIDisk, _ attachment: ISCSIAttachment, in tree: DeviceTree) -> Bool {
        guard attachment.isMultipath, let map = read(attachment, in: tree) else { return false }
        return !MultipathMaps.disks(below: map, in: tree).contains(disk.name)
    }

    /// The device and all partitions of it and of its disks, whichever disk the LUN is by now: who has it open has it open.
    static func all(_ attachment: ISCSIAttachment, in tree: DeviceTree) -> [BlockDevice] {
        let disks = sessions(attachment, in: tree).flatMap(\.disks).filter { $0.lun == attachment.lun }
        guard attachment.isMultipath else { return disks.flatMap { $0.blockDevices(in: tree) } }
        // What the map holds is not in use by that.
        return [map(attachment, in: tree)].compactMap(\.self)
            + disks.flatMap { BlockDevice.partitions(of: $0.name, in: tree) }
    }

    /// The map of several paths, whatever lies below it.
    private static func map(_ attachment: ISCSIAttachment, in tree: DeviceTree) -> BlockDevice? {
        guard let device = try? BlockDevice(at: path(attachment, in: tree), sysfs: tree.sysfs),
            (try? device.mapping())?.uuid == MultipathMaps.uuid(attachment)
        else { return nil }
        return device
    }
}

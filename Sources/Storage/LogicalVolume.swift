import HostModel

/// A logical volume as LVM reports it.
public struct LogicalVolume: Sendable, Equatable {
    /// What device-mapper has for the LV (lvs(8), `lv_attr`, fifth character).
    public enum Activation: Sendable, Equatable {
        case inactive
        case active
        /// I/O to it waits.
        case suspended
        /// LVM could not ask device-mapper.
        case unknown
        /// A state that no healthy LV of ours has, by its letter: tables missing, snapshot invalid and the like.
        case other(Character)
    }

    public var reference: LogicalVolumeReference
    /// LVM's identity of the LV; it survives a rename and is never used twice.
    public var uuid: String
    public var size: ByteCount
    public var tags: Set<String>
    public var activation: Activation
    public var isReadOnly: Bool
    /// Whether something has the LV's device open; nil where LVM could not tell.
    public var isOpen: Bool?
    /// `linear`, `striped`, `raid,raid1`, `thin,sparse`: the words of `lv_layout`.
    public var layout: Set<String>
    /// `public`, `snapshot`, `origin`, …: the words of `lv_role`.
    public var role: Set<String>
    /// The trouble that LVM sees (`lv_health_status`), or nil.
    public var health: String?
    /// The device while the LV is active.
    public var device: BlockDeviceNumber?

    /// Whether there are snapshots of the LV, thin or thick, or thin LVs that show it (`lv_layout_and_role` in
    /// `lib/metadata/lv_manip.c`).
    public var isOrigin: Bool { role.contains("origin") }

    /// Whether xenlvs made the LV or took it over.
    public var isOurs: Bool { tags.contains(LogicalVolumeTag.ours.text) }

    /// Whether the LV carries `tag`.
    public func carries(_ tag: LogicalVolumeTag) -> Bool { tags.contains(tag.text) }
}

extension LogicalVolume {
    /// An active LV as device-mapper has it: one that is a device of its own, with none below it, and whose tags and health
    /// only LVM knows.
    public init(
        _ reference: LogicalVolumeReference, uuid: String, size: ByteCount, isSuspended: Bool, isOpen: Bool,
        device: BlockDeviceNumber
    ) {
        self.init(
            reference: reference, uuid: uuid, size: size, tags: [], activation: isSuspended ? .suspended : .active,
            isReadOnly: false, isOpen: isOpen, layout: ["linear"], role: ["public"], health: nil, device: device)
    }
}

/// A volume group as LVM reports it.
public struct VolumeGroup: Sendable, Equatable {
    public var name: VolumeGroupName
    public var uuid: String
    public var size: ByteCount
    public var free: ByteCount
    /// The unit in which the group gives out space.
    public var extentSize: ByteCount
    /// Physical volumes of the group that are not there.
    public var missingPhysicalVolumes: Int
    public var isWriteable: Bool
    public var isExported: Bool

    /// The smallest size of an LV in this group that holds `size`.
    public func roundedUp(_ size: ByteCount) -> ByteCount { size.roundedUp(to: extentSize) }

    /// Checks that an LV of exactly `size` can be made here. Throws `.refused`, with what is missing.
    public func checkRoom(for size: ByteCount, named name: LogicalVolumeName) throws(Failure) {
        let what = "cannot make \(self.name)/\(name) of exactly \(size.bytes) bytes"
        guard !isExported, isWriteable, missingPhysicalVolumes == 0 else {
            throw Failure(
                .refused, what,
                why: isExported
                    ? "the volume group is exported"
                    : isWriteable
                        ? "\(missingPhysicalVolumes) physical volumes of the group are missing"
                        : "the volume group is read-only",
                remedy: "see 'vgs' and 'pvs'")
        }
        guard size.bytes > 0, size.bytes % extentSize.bytes == 0 else {
            throw Failure(
                .refused, what, why: "the group gives out space in extents of \(extentSize)",
                remedy: "use a size that is a multiple of it, or a volume group with smaller extents")
        }
        guard size <= free else {
            throw Failure(
                .refused, what, why: "the group has \(free) free", remedy: "extend the group or choose another")
        }
    }
}

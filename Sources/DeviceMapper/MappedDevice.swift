import HostModel
import Storage

/// What a device of ours is to device-mapper: a name, and a UUID that is the same as long as the volume lives.
///
/// The name is the volume's. The UUID is made of that of its LV, which LVM never gives out twice: where the name leads to a
/// device with another UUID, it is a stranger's, or that of an earlier volume of the name.
public struct MappedIdentity: Hashable, Sendable {
    public let name: String
    public let uuid: String

    /// What the UUIDs of all devices of ours begin with (device-mapper's convention for its owners: `LVM-`, `mpath-`).
    public static let prefix = "xenlvs-"

    /// The device that a volume's link points to, and whose table is changed below a running guest.
    /// - Parameter logicalVolumeUUID: that of its LV, or the UUID of a device that LVM has made, which became the switch: the
    ///   kernel never lets a device have another one.
    public static func ofSwitch(_ volume: VolumeName, logicalVolumeUUID: String) -> Self {
        if logicalVolumeUUID.hasPrefix(lvmPrefix) { return Self(name: switchName(of: volume), uuid: logicalVolumeUUID) }
        return Self(.ofSwitch, volume, logicalVolumeUUID)
    }

    /// The device that LVM makes for an LV which has no others below it (lvm2, `build_dm_uuid`, `dm_build_dm_name`).
    public static func ofLogicalVolume(
        _ reference: LogicalVolumeReference, groupUUID: String, uuid: String
    ) -> Self {
        let key = [groupUUID, uuid].map { $0.replacing("-", with: "") }.joined()
        return Self(name: nameByLVM(reference), uuid: lvmPrefix + key)
    }

    /// The same while the LV has not that UUID yet: LVM's name is left for the device that LVM still takes for the LV's, so
    /// that a command of its own may give it back.
    public static func ofComingLogicalVolume(_ volume: VolumeName, _ device: MappedIdentity) -> Self {
        Self(name: "\(prefix)\(Role.ofComing.rawValue)-\(volume)", uuid: device.uuid)
    }

    /// A hyphen within a name is doubled.
    public static func nameByLVM(_ reference: LogicalVolumeReference) -> String {
        [reference.group.text, reference.name.text].map { $0.replacing("-", with: "--") }.joined(separator: "-")
    }

    /// What the UUIDs of LVM's devices begin with.
    static let lvmPrefix = "LVM-"
    /// Whether LVM's own rules for udev have to see the device.
    var isLVMs: Bool { uuid.hasPrefix(Self.lvmPrefix) && !name.hasPrefix(Self.prefix) }
    static let switchPrefix = "\(prefix)\(Role.ofSwitch.rawValue)-"

    /// The device that DRBD is given while the switch exists: DRBD claims what it is given, and so do tables.
    public static func ofLower(_ volume: VolumeName, logicalVolumeUUID: String) -> Self {
        Self(.ofLower, volume, logicalVolumeUUID)
    }

    /// A map over the paths to one disk, by the disk's WWID.
    public static func ofMap(_ name: VolumeName, wwid: String) -> Self { Self(.ofMap, name, wwid) }

    /// The device over an attached disk that takes flushes where the disk's own does not.
    public static func ofCover(_ attachment: VolumeName, over address: String) -> Self {
        Self(.ofCover, attachment, "\(attachment)-\(address)")
    }

    private enum Role: String {
        case ofSwitch = "switch"
        case ofLower = "lower"
        case ofMap = "mpath"
        case ofCover = "cover"
        case ofComing = "coming"
    }

    /// Whether a UUID is that of such a device.
    public static func isOfCover(_ uuid: String) -> Bool { uuid.hasPrefix("\(prefix)\(Role.ofCover.rawValue)-") }

    fileprivate init(name: String, uuid: String) {
        self.name = name
        self.uuid = uuid
    }

    private init(_ role: Role, _ volume: VolumeName, _ unique: String) {
        name = "\(Self.prefix)\(role.rawValue)-\(volume)"
        uuid = "\(Self.prefix)\(role.rawValue)-\(unique)"
    }

    /// The disk's WWID, where a UUID is that of a map.
    public static func wwid(ofMap uuid: String) -> String? {
        let start = "\(prefix)\(Role.ofMap.rawValue)-"
        return uuid.hasPrefix(start) ? String(uuid.dropFirst(start.utf8.count)) : nil
    }

    /// `/dev/mapper/xenlvs-switch-web1`.
    public var path: String { "/dev/mapper/\(name)" }
    /// The switch's path, without knowing its LV.
    public static func switchPath(of volume: VolumeName) -> String { "/dev/mapper/\(switchName(of: volume))" }
    /// The path of what DRBD is given, without knowing the LV.
    public static func lowerPath(of volume: VolumeName) -> String {
        "/dev/mapper/\(prefix)\(Role.ofLower.rawValue)-\(volume)"
    }
    public static func switchName(of volume: VolumeName) -> String { "\(switchPrefix)\(volume)" }
}

/// A mapped device as the kernel shows it.
public struct MappedDevice: Hashable, Sendable {
    public var name: String
    public var uuid: String
    public var number: BlockDeviceNumber
    public var isSuspended: Bool
    /// The live table; nil where there is none yet.
    public var table: MappingTable?
    /// A table was loaded and not yet resumed.
    public var hasInactiveTable: Bool
    /// How often the device is open, by programs and by the kernel.
    public var openCount: Int

    public init(
        name: String, uuid: String, number: BlockDeviceNumber, isSuspended: Bool, table: MappingTable?,
        hasInactiveTable: Bool, openCount: Int
    ) {
        self.name = name
        self.uuid = uuid
        self.number = number
        self.isSuspended = isSuspended
        self.table = table
        self.hasInactiveTable = hasInactiveTable
        self.openCount = openCount
    }

    public var path: String { "/dev/mapper/\(name)" }
    /// What it is to device-mapper.
    public var identity: MappedIdentity { MappedIdentity(name: name, uuid: uuid) }

    /// Whether it belongs to a volume, and to neither a map over paths nor an attached disk.
    public var isOfVolume: Bool {
        isOurs && MappedIdentity.wwid(ofMap: uuid) == nil && !MappedIdentity.isOfCover(uuid)
    }

    /// Whether xenlvs made it, or took it over from LVM to be a switch.
    public var isOurs: Bool {
        uuid.hasPrefix(MappedIdentity.prefix)
            || name.hasPrefix(MappedIdentity.switchPrefix) && uuid.hasPrefix(MappedIdentity.lvmPrefix)
                && uuid.utf8.count == MappedIdentity.lvmPrefix.utf8.count + 64
    }

    /// Throws `.refused` where the device is not the one that `identity` names.
    public func require(_ identity: MappedIdentity) throws(Failure) {
        guard name == identity.name, uuid == identity.uuid else {
            throw Failure(
                .refused, "there is a device-mapper device \(name) that is not this volume's",
                why: uuid.isEmpty ? "it has no UUID" : "its UUID is \(uuid) instead of \(identity.uuid)",
                remedy: name == identity.name
                    ? "see 'dmsetup info \(name)' whose it is; rename it with 'dmsetup rename', or remove it"
                    : "somebody renamed it: dmsetup rename \(name) \(identity.name)")
        }
    }
}

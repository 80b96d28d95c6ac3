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
    public static func ofSwitch(_ volume: VolumeName, logicalVolumeUUID: String) -> Self {
        Self(.ofSwitch, volume, logicalVolumeUUID)
    }

    /// The device that DRBD is given while the switch exists: DRBD claims what it is given, and so do tables.
    public static func ofLower(_ volume: VolumeName, logicalVolumeUUID: String) -> Self {
        Self(.ofLower, volume, logicalVolumeUUID)
    }

    private enum Role: String {
        case ofSwitch = "switch"
        case ofLower = "lower"
    }

    private init(_ role: Role, _ volume: VolumeName, _ logicalVolumeUUID: String) {
        name = "\(Self.prefix)\(role.rawValue)-\(volume)"
        uuid = "\(Self.prefix)\(role.rawValue)-\(logicalVolumeUUID)"
    }

    /// `/dev/mapper/xenlvs-switch-web1`.
    public var path: String { "/dev/mapper/\(name)" }
    /// The switch's path, without knowing its LV.
    public static func switchPath(of volume: VolumeName) -> String { "/dev/mapper/\(switchName(of: volume))" }
    public static func switchName(of volume: VolumeName) -> String { "\(prefix)\(Role.ofSwitch.rawValue)-\(volume)" }
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

    /// Whether xenlvs made it.
    public var isOurs: Bool { uuid.hasPrefix(MappedIdentity.prefix) }

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

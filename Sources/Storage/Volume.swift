import HostModel

/// Where the data of a volume lie for good, whatever its link points to at the moment.
public enum VolumePlace: Hashable, Sendable, Codable, CustomStringConvertible {
    case logicalVolume(group: VolumeGroupName, name: LogicalVolumeName)
    /// A file of a directory pool, by the pool's directory; the file has the volume's name.
    case file(pool: String)
    /// A device of another host that is attached here, by the attachment's name.
    case attachment(VolumeName)

    public var description: String {
        switch self {
        case .logicalVolume(let group, let name): "\(group)/\(name)"
        case .file(let pool): "directory \(pool)"
        case .attachment(let name): "attachment \(name)"
        }
    }

    /// The LV, where the volume is one.
    public var logicalVolume: LogicalVolumeReference? {
        switch self {
        case .logicalVolume(let group, let name): LogicalVolumeReference(group: group, name: name)
        case .file, .attachment: nil
        }
    }

    /// One word, for listings.
    public var kind: String {
        switch self {
        case .logicalVolume: "lv"
        case .file: "file"
        case .attachment: "attachment"
        }
    }

    /// The attachment, where the volume is one.
    public var attachment: VolumeName? { if case .attachment(let name) = self { name } else { nil } }
}

/// What a volume is for on this host, and whether it may be used.
public enum VolumeState: Hashable, Sendable, Codable {
    /// The guest's disk.
    case active
    /// A copy that a migration to this host is filling. Not yet anyone's disk.
    case incoming(migration: String)
    /// The source copy, kept after a migration away from this host. It must not be written.
    case retired(migration: String)
    /// What a volume was on before a swap put it elsewhere. It must not be written.
    case former(of: VolumeName)
    /// It is being put back to a domain's checkpoint, and is neither what it was nor that yet.
    case restoring(checkpoint: VolumeName)
}

/// Where the table of a volume's switch has to lead. It is recorded before anything is done about it.
public enum SwitchGoal: Hashable, Sendable, Codable {
    /// To the volume itself.
    case volume
    /// To the volume's replica, by its DRBD minor.
    case replica(minor: Int)
    /// To the volume, and at the end to another place that the volume is to have.
    case move(VolumeMove)

    /// The move that is under way.
    public var move: VolumeMove? { if case .move(let move) = self { move } else { nil } }
}

/// The device of an LV, open in a running guest, that becomes the switch: the LV gets another UUID and another device.
///
/// LVM knows its devices by the UUIDs of group and LV. Once no LV has the former one, the device is none of LVM's.
public struct SwitchAdoption: Hashable, Sendable, Codable {
    /// The group's UUID, as LVM writes it.
    public var group: String
    /// The UUID that the LV has had.
    public var former: String
    /// The UUID that it is given.
    public var next: String

    public init(group: String, former: String, next: String) {
        self.group = group
        self.former = former
        self.next = next
    }
}

/// A volume on its way to another place, below the guest that uses it.
public struct VolumeMove: Hashable, Sendable, Codable {
    /// How far it has come. Each is recorded before anything of it is done.
    public enum Stage: String, Hashable, Sendable, Codable {
        /// The switch leads to the volume alone. What the other place holds is worth nothing.
        case preparing
        /// What is written goes to both. What the other place does not have yet is noted in the log, or it has everything.
        case copying
        /// The other place has everything, and is the volume's from now on.
        case decided
    }

    public var stage: Stage
    public var place: VolumePlace
    /// The LV at the other place, from `copying` on.
    public var logicalVolumeUUID: String?
    /// What the volume will have there.
    public var size: ByteCount
    /// The name under which the LV that is left is kept; nil for an attachment, which keeps its own.
    public var formerName: VolumeName?
    /// The other place is said to have the same data already: nothing is copied to it.
    public var hasSameData: Bool
    /// How much of the volume, from its beginning, is in the mirror; what lies behind it is not copied yet.
    public var window: ByteCount?

    public init(
        stage: Stage = .preparing, place: VolumePlace, logicalVolumeUUID: String? = nil, size: ByteCount,
        formerName: VolumeName?, hasSameData: Bool
    ) {
        self.stage = stage
        self.place = place
        self.logicalVolumeUUID = logicalVolumeUUID
        self.size = size
        self.formerName = formerName
        self.hasSameData = hasSameData
    }
}

/// Named block storage of one guest disk on one host.
public struct Volume: Hashable, Sendable, Codable {
    public var name: VolumeName
    public var place: VolumePlace
    /// The exact size, the same on both hosts of a migration.
    public var size: ByteCount
    /// LVM's identity of the LV, by which a stranger under the same name is told apart; nil for a file.
    public var logicalVolumeUUID: String?
    public var state: VolumeState
    /// Where the switch between the link and the volume has to lead; nil for a volume without one.
    public var switchGoal: SwitchGoal?
    /// The LV after which the switch was named when it was made, where that is another by now.
    public var switchKey: String?
    /// What a running guest has open is being made the switch.
    public var adoption: SwitchAdoption?

    public init(
        name: VolumeName, place: VolumePlace, size: ByteCount, logicalVolumeUUID: String? = nil,
        state: VolumeState = .active, switchGoal: SwitchGoal? = nil, switchKey: String? = nil
    ) {
        self.name = name
        self.place = place
        self.size = size
        self.logicalVolumeUUID = logicalVolumeUUID
        self.state = state
        self.switchGoal = switchGoal
        self.switchKey = switchKey
    }

    /// What the UUIDs of the switch, and of what DRBD is given, are made of; nil for a volume that has no such identity.
    public var deviceKey: String? { switchKey ?? logicalVolumeUUID }

    /// Whether the switch is what once was the LV's own device. There is one until the host is restarted.
    public var hasAdoptedSwitch: Bool { switchKey?.hasPrefix("LVM-") == true }

    /// Checks that `found` is the LV of this volume: by UUID where it is known, and by size.
    /// - Throws: `.inconsistent`, with what differs.
    public func check(_ found: LogicalVolume) throws(Failure) {
        let what = "\(found.reference) is not what is recorded for volume \(name)"
        let remedy = "see 'xenlvs volume show \(name)' and 'lvs -o +lv_uuid'"
        if let logicalVolumeUUID, found.uuid != logicalVolumeUUID {
            throw Failure(
                .inconsistent, what, why: "its UUID is \(found.uuid), recorded is \(logicalVolumeUUID)", remedy: remedy)
        }
        if found.size != size {
            throw Failure(
                .inconsistent, what, why: "it has \(found.size.bytes) bytes, recorded are \(size.bytes)",
                remedy: remedy)
        }
    }
}

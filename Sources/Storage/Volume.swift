import HostModel

/// Where the data of a volume lie for good, whatever its link points to at the moment.
public enum VolumePlace: Hashable, Sendable, Codable, CustomStringConvertible {
    case logicalVolume(group: VolumeGroupName, name: LogicalVolumeName)
    /// A file of a directory pool, by the pool's directory; the file has the volume's name.
    case file(pool: String)

    public var description: String {
        switch self {
        case .logicalVolume(let group, let name): "\(group)/\(name)"
        case .file(let pool): "directory \(pool)"
        }
    }

    /// The LV, where the volume is one.
    public var logicalVolume: LogicalVolumeReference? {
        switch self {
        case .logicalVolume(let group, let name): LogicalVolumeReference(group: group, name: name)
        case .file: nil
        }
    }
}

/// What a volume is for on this host, and whether it may be used.
public enum VolumeState: Hashable, Sendable, Codable {
    /// The guest's disk.
    case active
    /// A copy that a migration to this host is filling. Not yet anyone's disk.
    case incoming(migration: String)
    /// The source copy, kept after a migration away from this host. It must not be written.
    case retired(migration: String)
}

/// Where the table of a volume's switch has to lead. It is recorded before anything is done about it.
public enum SwitchGoal: Hashable, Sendable, Codable {
    /// To the volume itself.
    case volume
    /// To the volume's replica, by its DRBD minor.
    case replica(minor: Int)
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

    public init(
        name: VolumeName, place: VolumePlace, size: ByteCount, logicalVolumeUUID: String? = nil,
        state: VolumeState = .active, switchGoal: SwitchGoal? = nil
    ) {
        self.name = name
        self.place = place
        self.size = size
        self.logicalVolumeUUID = logicalVolumeUUID
        self.state = state
        self.switchGoal = switchGoal
    }

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

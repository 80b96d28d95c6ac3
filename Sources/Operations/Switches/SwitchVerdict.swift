import DeviceMapper
import HostModel
import Storage

/// How a volume's switch stands, from what is recorded and what the kernel shows. Pure.
public enum SwitchVerdict: String, Sendable, Codable, CaseIterable {
    /// It leads where it has to.
    case right
    /// There is none, as after a boot.
    case missing
    /// It has no table: a run was killed while it made the device.
    case unfinished
    /// Every request to it waits: a run was killed while it put a table back.
    case suspended
    /// It leads to the volume, and is shorter or longer than that.
    case wrongSize = "wrong-size"
    /// It leads to the volume, and has to lead to the replica: a swap has not ended.
    case stillOnVolume = "still-on-volume"
    /// It leads to the replica, and has to lead to the volume: a swap has not ended.
    case stillOnReplica = "still-on-replica"
    /// It leads to something else.
    case elsewhere
    /// A device of its name, or with its UUID, is another one.
    case foreign

    /// DRBD's block devices (`DRBD_MAJOR` in Linux's major.h).
    static let drbdMajor: UInt32 = 147

    /// - Parameters:
    ///   - found: the device of the switch's name or UUID.
    ///   - plain: the volume's own device; nil where it has none now.
    init(
        _ found: MappedDevice?, _ identity: MappedIdentity, goal: SwitchGoal, plain: BlockDeviceNumber?,
        size: ByteCount
    ) {
        guard let found else {
            self = .missing
            return
        }
        guard found.name == identity.name, found.uuid == identity.uuid else {
            self = .foreign
            return
        }
        guard let table = found.table else {
            self = .unfinished
            return
        }
        if found.isSuspended {
            self = .suspended
            return
        }
        let isOnVolume = plain != nil && table.soleDevice == plain
        switch (goal, table.soleDevice) {
        case (.volume, _) where isOnVolume:
            self = table.sectors == UInt64(size.sectors) ? .right : .wrongSize
        case (.replica, _) where isOnVolume: self = .stillOnVolume
        case (.replica(let minor), let device?) where device == Self.replica(minor): self = .right
        case (.volume, let device?) where device.major == Self.drbdMajor: self = .stillOnReplica
        default: self = .elsewhere
        }
    }

    static func replica(_ minor: Int) -> BlockDeviceNumber {
        BlockDeviceNumber(major: drbdMajor, minor: UInt32(clamping: minor))
    }
}

/// A volume's switch as it stands, beside what is recorded.
public struct SwitchFacts: Sendable, Encodable, Equatable {
    /// `/dev/mapper/xenlvs-switch-web1`.
    public var path: String
    /// Where it has to lead: `volume` or `replica`.
    public var goal: String
    /// What its table holds now: `253:3`; nil where it has none.
    public var leadsTo: String?
    public var verdict: SwitchVerdict
    /// The verdict in words; nil where all is well.
    public var why: String?
    public var remedy: String?

    init(_ volume: Volume, _ identity: MappedIdentity, _ found: MappedDevice?, plain: BlockDeviceNumber?) {
        let goal = volume.switchGoal ?? .volume
        path = identity.path
        self.goal = goal.word
        verdict = SwitchVerdict(found, identity, goal: goal, plain: plain, size: volume.size)
        leadsTo = found?.table.map { $0.soleDevice?.description ?? $0.description }
        let repair = "run 'xenlvs link repair \(volume.name)'"
        switch verdict {
        case .right: break
        case .missing: (why, remedy) = ("there is no switch", repair)
        case .unfinished: (why, remedy) = ("the switch has no table yet", repair)
        case .suspended: (why, remedy) = ("the switch is suspended: its guest's disk stands still", repair)
        case .wrongSize: (why, remedy) = ("the switch has not the volume's size", repair)
        case .stillOnVolume:
            (why, remedy) = (
                "a swap to the replica has not ended",
                "repeat 'xenlvs swap DOMAIN --to replica', or go back with '--to volume'"
            )
        case .stillOnReplica:
            (why, remedy) = ("a swap to the volume has not ended", "repeat 'xenlvs swap DOMAIN --to volume'")
        case .elsewhere:
            (why, remedy) = (
                "the switch leads to \(leadsTo ?? "nothing"), which xenlvs did not do",
                "find out who changed it; see 'dmsetup table \(identity.name)' and 'dmsetup ls --tree'"
            )
        case .foreign:
            do throws(Failure) { try found?.require(identity) } catch { (why, remedy) = (error.why, error.remedy) }
        }
    }
}

extension SwitchGoal {
    /// One word, for listings.
    var word: String {
        switch self {
        case .volume: "volume"
        case .replica: "replica"
        }
    }
}

import DeviceMapper
import HostModel
import Migration
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
    /// What is written goes to the volume and to another place, to which it is copied: a swap has not ended.
    case copying
    /// The same, of a swap that is to be taken back.
    case stillCopying = "still-copying"
    /// The same, and one of the two has failed: what the guest writes waits.
    case copyFailed = "copy-failed"
    /// It leads to the place that the volume is to have: a swap has not ended.
    case onTarget = "on-target"
    /// It refuses every request: a migration's hand-over was cut off.
    case closed
    /// A migration that is under way has led it elsewhere, closed it or taken it away, and takes care of it.
    case migration
    /// It leads to something else.
    case elsewhere
    /// A device of its name, or with its UUID, is another one.
    case foreign

    /// DRBD's block devices (`DRBD_MAJOR` in Linux's major.h).
    static let drbdMajor: UInt32 = 147

    /// - Parameters:
    ///   - found: the device of the switch's name or UUID.
    ///   - mirror: how the kernel has the mirror in it.
    init(
        _ found: MappedDevice?, _ identity: MappedIdentity, goal: SwitchGoal, _ ends: SwitchEnds, size: ByteCount,
        mirror: MirrorStatus? = nil
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
        if table.isClosed {
            self = .closed
            return
        }
        let isOnVolume = ends.plain != nil && table.soleDevice == ends.plain
        if let move = goal.move {
            self = Self.ofMove(move, table, ends, isOnVolume, mirror)
            return
        }
        switch (goal, table.soleDevice) {
        case (.volume, _) where isOnVolume:
            self = table.sectors == UInt64(size.sectors) ? .right : .wrongSize
        case (.replica, _) where isOnVolume: self = .stillOnVolume
        case (.replica(let minor), let device?) where device == Self.replica(minor): self = .right
        case (.volume, let device?) where device.major == Self.drbdMajor: self = .stillOnReplica
        default: self = .elsewhere
        }
    }

    private static func ofMove(
        _ move: VolumeMove, _ table: MappingTable, _ ends: SwitchEnds, _ isOnVolume: Bool, _ mirror: MirrorStatus?
    ) -> Self {
        if let target = table.mirror?.target {
            // A device that is gone, or was renamed, has no number to compare.
            guard ends.plain == nil || target.source == ends.plain, ends.copy == nil || target.copy == ends.copy else {
                return .elsewhere
            }
            if mirror?.isWell == false { return .copyFailed }
            return move.stage == .preparing ? .stillCopying : .copying
        }
        switch move.stage {
        case .preparing, .copying: return isOnVolume ? .stillOnVolume : .elsewhere
        // Never to the volume again: the other place has the newer data.
        case .decided: return ends.copy != nil && table.soleDevice == ends.copy ? .onTarget : .elsewhere
        }
    }

    static func replica(_ minor: Int) -> BlockDeviceNumber {
        BlockDeviceNumber(major: drbdMajor, minor: UInt32(clamping: minor))
    }
}

/// The devices that a switch may lead to.
struct SwitchEnds: Sendable, Equatable {
    /// The volume's own; nil where it has none now.
    var plain: BlockDeviceNumber?
    /// That of the place to which the volume is on its way.
    var copy: BlockDeviceNumber?
}

/// A volume's switch as it stands, beside what is recorded.
public struct SwitchFacts: Sendable, Encodable, Equatable {
    /// `/dev/mapper/xenlvs-switch-web1`.
    public var path: String
    /// Where it has to lead: `volume` or `replica`; `move` to another place.
    public var goal: String
    /// What its table holds now: `253:3`, `253:3 and 253:5` while it is copied; nil where it has none.
    public var leadsTo: String?
    public var verdict: SwitchVerdict
    /// The verdict in words; nil where all is well.
    public var why: String?
    public var remedy: String?

    /// - Parameter migrations: the open ones of this host.
    init(
        _ volume: Volume, _ identity: MappedIdentity, _ found: MappedDevice?, _ ends: SwitchEnds,
        mirror: MirrorStatus? = nil, _ migrations: [OpenMigration] = []
    ) {
        let goal = volume.switchGoal ?? .volume
        path = identity.path
        self.goal = goal.word
        let alone = SwitchVerdict(found, identity, goal: goal, ends, size: volume.size, mirror: mirror)
        let migration = migrations.first { $0.explains(alone, found, of: volume) }
        verdict = migration == nil ? alone : .migration
        why = migration.map { "migration \($0.id) is not finished" }
        leadsTo = found?.table.map { table in
            if let target = table.mirror?.target { return "\(target.source) and \(target.copy)" }
            return table.soleDevice?.description ?? table.description
        }
        let repair = "run 'xenlvs link repair \(volume.name)'"
        let move = goal.move
        switch verdict {
        case .right, .migration: break
        case .closed: (why, remedy) = ("the switch refuses every request: a hand-over was cut off", repair)
        case .missing: (why, remedy) = ("there is no switch", repair)
        case .unfinished: (why, remedy) = ("the switch has no table yet", repair)
        case .suspended: (why, remedy) = ("the switch is suspended: its guest's disk stands still", repair)
        case .wrongSize: (why, remedy) = ("the switch has not the volume's size", repair)
        case .stillOnVolume where goal.move != nil: (why, remedy) = (move?.notEnded, move?.remedy(volume.name))
        case .copying:
            why = move?.notEnded
            if let mirror, let window = found?.table?.mirror?.window {
                let share = Double(mirror.synced) / Double(mirror.regions) * Double(window)
                why? += "; \(Int(share * 100 / Double(max(1, volume.size.sectors)))) % are copied"
            }
            remedy = move?.remedy(volume.name)
        case .onTarget: (why, remedy) = (move?.notEnded, "run 'xenlvs link repair \(volume.name)'")
        case .stillCopying: (why, remedy) = ("a swap that is taken back has not ended", repair)
        case .copyFailed:
            (why, remedy) = (
                "the copy to \(move?.place.description ?? "another place") has failed"
                    + (mirror.map { ": \($0.words)" } ?? "") + "; what the guest writes waits", repair
            )
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

extension OpenMigration {
    /// Whether a switch that is not as recorded is so by this migration.
    fileprivate func explains(_ verdict: SwitchVerdict, _ found: MappedDevice?, of volume: Volume) -> Bool {
        guard usesSwitches, let part = self.volume(volume.name), part.place(role) == volume.place else { return false }
        return switch verdict {
        case .closed: true
        // Before the hand-over the target has none yet; a source that has handed over makes none again.
        case .missing: role == .source ? isDecided : !isDecided
        case .stillOnReplica: found?.table?.soleDevice == SwitchVerdict.replica(part.minor(role))
        case .right, .migration, .unfinished, .suspended, .wrongSize, .stillOnVolume, .copying, .stillCopying,
            .copyFailed, .onTarget, .elsewhere, .foreign:
            false
        }
    }
}

extension SwitchGoal {
    /// One word, for listings.
    var word: String {
        switch self {
        case .volume: "volume"
        case .replica: "replica"
        case .move: "move"
        }
    }
}

extension VolumeMove {
    fileprivate var notEnded: String { "a swap to \(place) has not ended" }

    /// What can be typed where it was cut off.
    func remedy(_ volume: VolumeName) -> String {
        let goOn = "go on with 'xenlvs swap \(volume) --to \(SwapTarget.argument(place))'"
        return stage == .decided ? goOn : goOn + ", or go back with '--to volume'"
    }
}

extension MirrorStatus {
    /// What has failed.
    var words: String {
        [("the volume", source), ("the other place", copy), ("the log", log)].compactMap { name, trouble in
            trouble.map { "\(name) had an error (\($0.words))" }
        }.joined(separator: ", ")
    }
}

extension MirrorStatus.Trouble {
    fileprivate var words: String {
        switch self {
        case .write: "writing"
        case .flush: "flushing its cache"
        case .copying: "being copied"
        case .read: "reading"
        case .unknown: "unknown"
        }
    }
}

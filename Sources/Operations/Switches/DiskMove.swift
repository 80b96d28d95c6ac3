import DeviceMapper
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// How a move is to be done, as far as it is not recorded.
public struct MoveOptions: Sendable, Equatable {
    /// The data are copied to the other place.
    public var copies: Bool
    /// The other place has the data already: it is compared and not written.
    public var hasSameData: Bool
    /// What the other place has may be lost.
    public var overwrites: Bool
    /// The most to be copied, and to be compared, in a second.
    public var limit: ByteCount?

    public init(
        copies: Bool = false, hasSameData: Bool = false, overwrites: Bool = false, limit: ByteCount? = nil
    ) {
        self.copies = copies
        self.hasSameData = hasSameData
        self.overwrites = overwrites
        self.limit = limit
    }
}

/// How far a move has come.
public struct MoveProgress: Sendable {
    public enum Phase: Sendable { case copying, comparing }
    public var volume: VolumeName
    public var phase: Phase
    public var done: ByteCount
    public var total: ByteCount
    /// Bytes per second over the last seconds; nil before two observations.
    public var rate: ByteCount?
    /// Nil while nothing moves, or nothing is known.
    public var timeLeft: Duration?

    init(_ volume: VolumeName, _ phase: Phase, _ progress: SyncProgress) {
        (self.volume, self.phase) = (volume, phase)
        (done, total, rate, timeLeft) = (progress.done, progress.total, progress.rate, progress.timeLeft)
    }

    /// From 0 to 100.
    public var percent: Int { total.bytes == 0 ? 100 : Int(Double(done.bytes) / Double(total.bytes) * 100) }
}

/// What is told to whoever has started a move.
public struct MoveListener: Sendable {
    public var say: @Sendable (String) -> Void
    public var progress: @Sendable (MoveProgress) -> Void

    public init(
        say: @escaping @Sendable (String) -> Void = { _ in },
        progress: @escaping @Sendable (MoveProgress) -> Void = { _ in }
    ) {
        self.say = say
        self.progress = progress
    }
}

/// Puts a volume to another place below whoever uses it.
///
/// The switch is led to a mirror of the volume and the other place; once everything is copied and compared, the decision is
/// recorded and the switch is led to the other place alone. Until the decision the volume has everything and the move can be
/// taken back; from then on it goes only forward. Each stage is recorded before anything of it is done, so a run that was
/// killed is continued by the next one; the kernel goes on copying meanwhile.
struct DiskMove {
    let worker: HostWorker
    let options: MoveOptions
    let listener: MoveListener

    var host: HostContext { worker.host }
    var store: VolumeStore { VolumeStore(runner: host.runner) }

    /// How long each of the exchanges has taken.
    struct Stalls {
        var longest: Duration?
        mutating func note(_ change: TableChange?) {
            guard let change else { return }
            longest = max(longest ?? .zero, change.stall)
        }
    }

    /// Takes a volume on its way to the end of it. Returns the volume at its new place.
    func run(_ volume: Volume) async throws -> (volume: Volume, stalls: Stalls) {
        var (volume, stalls) = (volume, Stalls())
        while let move = volume.switchGoal?.move {
            do {
                switch move.stage {
                case .preparing: volume = try await prepare(volume, move)
                case .copying: volume = try await copy(volume, move, &stalls)
                case .decided: volume = try await finish(volume, move, &stalls)
                }
            } catch {
                let failure = Failure(error, doing: "cannot swap \(volume.name) to \(move.place)")
                guard let now = try host.recordedVolume(volume.name), let move = now.switchGoal?.move,
                    move.stage != .decided
                else { throw failure }
                throw await takenBack(now, because: failure)
            }
        }
        return (volume, stalls)
    }

    /// Makes the other place and the log. Returns the volume as recorded then.
    private func prepare(_ volume: Volume, _ move: VolumeMove) async throws -> Volume {
        try await host.switches.bringUp(volume)
        // A run that was killed on its way back has left the mirror; what it has noted down is of no use any more.
        _ = try await host.switches.leadBack(volume, move)
        host.effects.pass(.target, .before)
        var ready = move.at(.copying)
        ready.logicalVolumeUUID = try await MoveTarget(host: host).make(volume, move)
        if !move.hasSameData { try await makeLog(volume, move) }
        let devices = try await host.switches.devices(volume, ready)
        try await MoveTarget(host: host).checkGeometry(devices, volume)
        if move.hasSameData {
            // Before anything is written to a device that is another one after all.
            try await MirrorWatch(move: self, volume: volume, devices: devices).compare(isMirrored: false)
        }
        let window = CopyWindow(size: volume.size, limit: options.limit)
        ready.window = move.hasSameData ? volume.size : window.next(after: ByteCount(0))
        host.effects.pass(.target, .after)
        return try record(volume.moving(ready))
    }

    /// An empty log: one that another copy has left would say that everything is copied.
    private func makeLog(_ volume: Volume, _ move: VolumeMove) async throws {
        let place = try host.switches.logPlace(volume, move)
        try await store.remove(volume.name, .copyLog, at: place)
        let size = CopyWindow(size: volume.size).logSize
        try await store.create(volume.name, .copyLog, at: place, size: size, migration: nil, isTargetOfSwap: true)
    }

    func record(_ volume: Volume) throws -> Volume {
        try host.put(volume)
        return volume
    }

    private func copy(_ volume: Volume, _ move: VolumeMove, _ stalls: inout Stalls) async throws -> Volume {
        try await host.switches.bringUp(volume)
        guard let volume = try host.recordedVolume(volume.name), let move = volume.switchGoal?.move,
            move.stage == .copying
        else { return try recorded(volume.name) }
        let devices = try await host.switches.devices(volume, move)
        if try await host.switches.facts(volume).verdict == .stillOnVolume {
            host.effects.pass(.mirror, .before)
            let table = host.switches.mirrorTable(volume, devices, window: move.window ?? volume.size)
            stalls.note(try await host.switches.lead(volume, on: table))
            host.effects.pass(.mirror, .after)
        }
        if !move.hasSameData {
            listener.say("\(volume.name): copying to \(move.place); the guest writes to both")
        }
        let copying = MirrorWatch(move: self, volume: volume, devices: devices)
        try await copying.fill(&stalls)
        host.effects.pass(.compare, .before)
        try await copying.compare(isMirrored: true)
        // The kernel may have copied into a cache; the guest has flushed that long ago, to the volume.
        try await Blocking.run("flush") { try devices.copy.flush() }
        try await copying.requireWhole()
        host.effects.pass(.compare, .after)
        guard let latest = try recorded(volume.name).switchGoal?.move else { return try recorded(volume.name) }
        host.effects.pass(.commit, .before)
        let decided = try record(volume.moving(latest.at(.decided)))
        host.effects.pass(.commit, .after)
        return decided
    }

    private func recorded(_ name: VolumeName) throws -> Volume {
        guard let volume = try host.recordedVolume(name) else {
            throw Failure(.notFound, "the volume '\(name)' was removed meanwhile")
        }
        return volume
    }

    private func finish(_ volume: Volume, _ move: VolumeMove, _ stalls: inout Stalls) async throws -> Volume {
        try await host.switches.bringUp(volume)
        guard try recorded(volume.name).switchGoal?.move?.stage == .decided else {
            throw Failure(
                .failed, "cannot swap \(volume.name) to \(move.place)", why: "the copy has failed",
                remedy: "see 'dmesg'; the guest is on its volume as before")
        }
        if try await host.switches.facts(volume).verdict.isOnBoth {
            stalls.note(try await leadToCopy(volume, move))
        }
        return try await settle(volume, move)
    }

    private func leadToCopy(_ volume: Volume, _ move: VolumeMove) async throws -> TableChange? {
        host.effects.pass(.exchange, .before)
        do {
            let devices = try await host.switches.devices(volume, move)
            try await MirrorWatch(move: self, volume: volume, devices: devices).requireWhole()
            // The mirror notices only where something is written that its copy has failed.
            try await devices.copy.requireReadable(
                doing: "cannot lead the switch of \(volume.name) to \(devices.copy.path)",
                remedy: "see 'dmesg'; when the cause is gone, repeat the swap")
            let change = try await host.switches.lead(
                volume, on: host.switches.finalTable(move, devices.copy), isFlushing: false)
            host.effects.pass(.exchange, .after)
            return change
        } catch {
            // As long as the mirror is there the volume has everything, also where the copy has failed: nothing is lost by
            // deciding later, or by going back.
            if let verdict = try? await host.switches.facts(volume).verdict, verdict.isOnBoth {
                try host.put(volume.moving(move.at(.copying)))
            }
            throw error
        }
    }
}

extension SwitchVerdict {
    /// Whether the switch of a move that is decided leads to both places still, so that nothing is on the other one alone.
    fileprivate var isOnBoth: Bool { self == .copying || self == .copyFailed }
}

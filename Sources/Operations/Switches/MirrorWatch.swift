import DeviceMapper
import HostModel
import Hosts
import Replication
import Storage

/// Looks after the mirror below a guest until both sides are the same.
struct MirrorWatch {
    let move: DiskMove
    let volume: Volume
    let devices: MoveDevices

    private var host: HostContext { move.host }
    private var listener: MoveListener { move.listener }
    private var what: String { "cannot copy \(volume.name) to \(devices.copy.path)" }

    private static let interval = Duration.milliseconds(200)

    private func state() async throws -> (status: MirrorStatus, window: ByteCount) {
        let (identity, mapper) = (try host.switches.identity(volume), host.mapper)
        let (found, status) = try await Blocking.run("device-mapper") {
            (try mapper.find(name: identity.name), try mapper.mirrorStatus(identity))
        }
        guard let window = found?.table?.mirror?.window, let status else {
            throw Failure(
                .inconsistent, what, why: "the switch does not lead to both any more",
                remedy: "see 'xenlvs volume show \(volume.name)'")
        }
        return (status, .sectors(Int64(clamping: window)))
    }

    private func check(_ status: MirrorStatus) throws {
        guard !status.isWell else { return }
        throw Failure(.failed, what, why: status.words, remedy: "see 'dmesg | grep device-mapper'")
    }

    /// Returns once everything is the same on both. Throws where one has failed: what the guest writes waits then.
    func fill(_ stalls: inout DiskMove.Stalls) async throws {
        let plan = CopyWindow(size: volume.size, limit: move.options.limit)
        var meter = SyncMeter(total: volume.size)
        let began = ContinuousClock.now
        var grown = began
        var former = ByteCount(0)
        while true {
            let (status, window) = try await state()
            try check(status)
            let copied = plan.copied(synced: status.synced, of: window)
            let progress = meter.observe(left: volume.size - copied, at: ContinuousClock.now - began)
            listener.progress(MoveProgress(volume.name, .copying, progress))
            guard status.isWhole else {
                try await Task.sleep(for: Self.interval)
                continue
            }
            guard let next = plan.next(after: window) else { return }
            let pause = plan.pause(from: former, to: window) - (ContinuousClock.now - grown)
            if pause > .zero { try await Task.sleep(for: pause) }
            stalls.note(try await grow(to: next))
            (former, grown) = (window, ContinuousClock.now)
        }
    }

    private func grow(to window: ByteCount) async throws -> TableChange? {
        guard var now = try host.recordedVolume(volume.name)?.switchGoal?.move else { return nil }
        now.window = window
        host.effects.pass(.window, .before)
        try host.put(volume.moving(now))
        let change = try await host.switches.lead(
            volume, on: host.switches.mirrorTable(volume, devices, window: window), isFlushing: false)
        host.effects.pass(.window, .after)
        return change
    }

    /// Throws unless everything is on both now.
    func requireWhole() async throws {
        let (status, window) = try await state()
        try check(status)
        guard status.isWhole, window == volume.size else {
            throw Failure(
                .failed, what, why: "not everything is copied any more",
                remedy: "repeat the swap: it goes on where it stands")
        }
    }

    /// dm-mirror hands a discard to both sides whatever else it is at (`do_writes`, drivers/md/dm-raid1.c), and what a
    /// disk has of such a block then is its own affair. Nothing tells it from a block that matters.
    static let remedyForDiscards =
        "where the guest discards blocks (mounts with 'discard', fstrim), that is the likely cause, as each disk may "
        + "keep what it likes of them: end it in the guest ('mount -o remount,nodiscard', 'systemctl stop "
        + "fstrim.timer') and repeat the swap; where it does not, see 'dmesg' and both disks"

    /// Reads both wholly, and past the host's memory.
    /// - Parameter isMirrored: the guest writes to both already.
    func compare(isMirrored: Bool) async throws {
        listener.say("\(volume.name): comparing \(devices.plain.path) with \(devices.copy.path)")
        // Two ways to the same storage, which need no log, have each discard twice, and the same of it.
        let comparison = LegComparison(
            first: devices.plain.node, second: devices.copy.node, size: volume.size, limit: move.options.limit,
            remedy: isMirrored && devices.log != nil ? Self.remedyForDiscards : nil)
        let (identity, mapper) = (try host.switches.identity(volume), host.mapper)
        let (name, listener, what, total) = (volume.name, listener, what, volume.size)
        try await Blocking.run("comparison") {
            var meter = SyncMeter(total: total)
            let began = ContinuousClock.now
            var told = began - .seconds(1)
            try comparison.run { done in
                guard ContinuousClock.now - told >= Self.interval else { return }
                told = .now
                if isMirrored, let status = try mapper.mirrorStatus(identity), !status.isWell {
                    throw Failure(.failed, what, why: status.words, remedy: "see 'dmesg | grep device-mapper'")
                }
                let progress = meter.observe(left: total - done, at: told - began)
                listener.progress(MoveProgress(name, .comparing, progress))
            }
        }
    }
}

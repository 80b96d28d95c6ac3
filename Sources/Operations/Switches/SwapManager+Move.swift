import DeviceMapper
import HostModel
import Hosts
import Migration
import Storage

extension SwapManager {
    /// Puts a volume to another place below whoever uses it, or goes on with that where it was cut off. Done already is done.
    /// - Throws: `.busy` where a migration, a replica, or somebody beside the guest, has it; `.refused` where it has no switch
    ///   or the place cannot take it; `.usage` where it is not said whether to copy.
    public func move(
        _ name: VolumeName, device: String?, to place: VolumePlace, _ options: MoveOptions,
        _ listener: MoveListener = MoveListener()
    ) async throws -> SwapRow {
        try await VolumeLock.holding(name, of: host, patience: .seconds(10)) {
            let volume = try await begun(name, place, options)
            guard volume.switchGoal?.move != nil else { return try await moveRow(volume, device, nil) }
            let move = DiskMove(worker: worker, options: options, listener: listener)
            let (settled, stalls) = try await move.run(volume)
            if settled.size > volume.size {
                listener.say(
                    "\(name): \(volume.size) → \(settled.size); the guest's kernel sees the new size within a second, but "
                        + "it has to grow its file system itself")
            }
            listener.say(Self.farewell(volume, settled))
            return try await moveRow(settled, device, stalls.longest)
        }
    }

    private static func farewell(_ former: Volume, _ settled: Volume) -> String {
        guard let move = former.switchGoal?.move else { return "" }
        guard let old = move.formerName else {
            return "\(settled.name): what it was on is still attached; when it is not needed any more: xenlvs detach "
                + (former.place.attachment?.text ?? "NAME")
        }
        return "\(settled.name): what it was on is kept as '\(old)', read-only; when it is not needed any more: "
            + "xenlvs volume remove \(old)"
    }

    /// The volume with what is wanted recorded, or as it is where it is there already.
    private func begun(_ name: VolumeName, _ place: VolumePlace, _ options: MoveOptions) async throws -> Volume {
        let volume = try checkedVolume(name)
        let what = "cannot swap '\(name)' to \(place)"
        switch volume.switchGoal {
        case .replica:
            throw Failure(
                .busy, what, why: "it is on a replica", remedy: "go back first: xenlvs swap \(name) --to volume")
        case .move(let move):
            guard move.place == place else {
                throw Failure(.busy, what, why: "it is on its way to \(move.place)", remedy: move.remedy(name))
            }
            if move.stage != .decided { try await checkUsers(volume) }
            if move.stage == .preparing, let attachment = place.attachment {
                try await MoveTarget(host: host).checkLeadsThere(attachment, doing: what)
            }
            return volume
        case .volume, nil: break
        }
        if volume.place == place { return volume }
        try await checkUsers(volume)
        guard let attachment = place.attachment else { return try await record(volume, place, options) }
        // Nobody detaches it meanwhile, or swaps another disk to it.
        return try await VolumeLock.holding(attachment, of: host) { try await record(volume, place, options) }
    }

    private func record(_ volume: Volume, _ place: VolumePlace, _ options: MoveOptions) async throws -> Volume {
        let wanted = volume.moving(try await MoveTarget(host: host).plan(volume, to: place, options))
        // A move is recorded only where the switch can be led back, or it could be neither continued nor taken back.
        try await host.switches.bringUp(volume)
        let facts = try await host.switches.facts(volume)
        guard facts.verdict == .right else {
            throw Failure(
                .refused, "cannot swap '\(volume.name)' to \(place)", why: facts.why, remedy: facts.remedy)
        }
        host.effects.pass(.record, .before)
        try host.database.put([try host.record(of: wanted)]) { migrations in
            // In the same transaction: a migration that begins now finds the goal, or is found here.
            try Self.requireNoMigration(of: volume.name, try migrations.map(OpenMigration.init))
        }
        host.effects.pass(.record, .after)
        return wanted
    }

    /// Takes a move back that has not come to its decision.
    func moveTakenBack(_ volume: Volume, _ device: String?) async throws -> SwapRow {
        let move = DiskMove(worker: worker, options: MoveOptions(), listener: MoveListener())
        let (back, change) = try await move.takeBack(volume)
        return try await moveRow(back, device, change?.stall)
    }

    private func moveRow(_ volume: Volume, _ device: String?, _ stall: Duration?) async throws -> SwapRow {
        SwapRow(
            volume: volume.name, device: device, onto: volume.place.description,
            leadsTo: try await host.switches.checkedDevice(volume).path,
            stallMilliseconds: stall.map { $0 / .milliseconds(1) })
    }
}

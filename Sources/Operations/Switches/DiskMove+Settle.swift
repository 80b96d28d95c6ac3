import DeviceMapper
import HostModel
import Hosts
import Migration
import Storage

extension DiskMove {
    /// After the switch was led to the other place: the LV that is left gets another name and is written no more, what a
    /// copy needed is removed, and the volume is recorded at its new place. Returns it.
    func settle(_ volume: Volume, _ move: VolumeMove) async throws -> Volume {
        guard try await host.switches.facts(volume).verdict == .onTarget else {
            throw Failure(
                .inconsistent, "cannot record \(volume.name) at \(move.place)", why: "its switch does not lead there",
                remedy: "see 'xenlvs volume show \(volume.name)'")
        }
        host.effects.pass(.rename, .before)
        let former = try await retire(volume, move)
        host.effects.pass(.rename, .after)
        if !move.hasSameData {
            try await store.remove(volume.name, .copyLog, at: try host.switches.logPlace(volume, move))
        }
        if let reference = move.place.logicalVolume {
            try await host.runner.run(LVMCommands.changeTags(reference, remove: [.swap]))
        }
        var settled = volume
        (settled.place, settled.logicalVolumeUUID, settled.size) = (move.place, move.logicalVolumeUUID, move.size)
        (settled.switchGoal, settled.switchKey) = (.volume, volume.deviceKey)
        host.effects.pass(.settle, .before)
        try host.database.put(try ([settled] + [former].compactMap(\.self)).map(host.record), unless: { _ in })
        host.effects.pass(.settle, .after)
        return settled
    }

    /// The former LV under its new name, as it is to be recorded; nil where an attachment is left, or the LV is gone.
    private func retire(_ volume: Volume, _ move: VolumeMove) async throws -> Volume? {
        guard let reference = volume.place.logicalVolume, let name = move.formerName else { return nil }
        let output = try await host.runner.run(LVMCommands.listVolumes(in: reference.group)).output
        guard let found = try LVMReport.volumes(output).first(where: { $0.uuid == volume.logicalVolumeUUID }) else {
            return nil
        }
        let kept = LogicalVolumeReference(group: reference.group, name: LogicalVolumeName(of: name))
        if found.reference.name != kept.name {
            try await host.runner.run(LVMCommands.rename(found.reference, to: kept.name))
        }
        if !found.isReadOnly { try await host.runner.run(LVMCommands.makeReadOnly(kept)) }
        try await host.runner.run(
            LVMCommands.changeTags(kept, add: [.ours, .volume(name)], remove: [.volume(volume.name)]))
        return Volume(
            name: name, place: .logicalVolume(group: kept.group, name: kept.name), size: found.size,
            logicalVolumeUUID: found.uuid, state: .former(of: volume.name))
    }

    /// A move that failed leaves the guest where it was, on its volume.
    func takenBack(_ volume: Volume, because cause: Failure) async -> Failure {
        // A suspended switch is for 'recover'; a command whose end nobody knows may still be at work.
        if [.needsRecovery, .outcomeUnknown, .interrupted].contains(cause.code) { return cause }
        return await cause.afterGoingBack(of: volume.name) { _ = try await takeBack(volume) }
    }

    /// Leads the switch to the volume alone and removes what was made for the move. Returns the volume, and how long its
    /// requests stood still.
    func takeBack(_ volume: Volume) async throws -> (volume: Volume, change: TableChange?) {
        guard let move = volume.switchGoal?.move else { return (volume, nil) }
        guard move.stage != .decided else {
            throw Failure(
                .refused, "cannot take the swap of '\(volume.name)' back",
                why: "it was decided: from then on \(move.place) has the newer data", remedy: move.remedy(volume.name))
        }
        try await host.switches.bringUp(volume)
        host.effects.pass(.exchange, .before)
        let change = try await host.switches.leadBack(volume, move)
        host.effects.pass(.exchange, .after)
        host.effects.pass(.takeBack, .before)
        if !move.hasSameData {
            try await store.remove(volume.name, .copyLog, at: try host.switches.logPlace(volume, move))
        }
        try await MoveTarget(host: host).remove(volume.name, move)
        var back = volume
        back.switchGoal = .volume
        try host.put(back)
        host.effects.pass(.takeBack, .after)
        return (back, change)
    }
}

import DeviceMapper
import HostModel
import Hosts
import Storage

/// What a killed run has left of an adoption.
extension SwitchAdopter {
    /// The volume without an adoption that has not ended, and without the name of a switch that a restart has ended.
    func settled(_ volume: Volume) async throws -> Volume {
        if let adoption = volume.adoption { return try await settle(volume, adoption) }
        guard volume.hasAdoptedSwitch, let key = volume.switchKey else { return volume }
        let mapper = host.mapper
        guard try await Blocking.run("device-mapper", { try mapper.find(uuid: key) }) == nil else { return volume }
        var fresh = volume
        fresh.switchKey = nil
        try host.put(fresh)
        return fresh
    }

    private func settle(_ volume: Volume, _ adoption: SwitchAdoption) async throws -> Volume {
        let reference = try reference(volume)
        let identities = Identities(volume.name, reference, adoption)
        let found = try await locked(reference.group) { _ in
            try await waitForCommit(volume.name)
            let found = try await look(reference, isLocked: true)
            switch found.uuid {
            case adoption.next: try await giveName(identities)
            case adoption.former: try await takeBack(identities)
            default:
                throw Failure(
                    .inconsistent, "\(reference) is not what is recorded for volume \(volume.name)",
                    why: "its UUID is \(found.uuid)", remedy: "see 'xenlvs volume show \(volume.name)'")
            }
            return found
        }
        return found.uuid == adoption.next
            ? try await finish(volume, adoption, identities, found) : try await giveUp(volume, reference)
    }

    /// Returns once no command of a killed run is at work that may give the LV its new UUID: until then LVM's word on which it
    /// has means nothing. One of this version keeps LVM's lock meanwhile.
    private func waitForCommit(_ volume: VolumeName) async throws {
        let file = metadataFile(volume)
        let deadline = ContinuousClock.now + Self.patience
        while try ProcessTable.isTakingMetadata(from: file) {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .needsRecovery, "the switch of '\(volume)' can be neither finished nor taken back yet",
                    why: "a 'vgcfgrestore' of an earlier run, from \(file), has not ended",
                    remedy: "see what it waits for ('ps -ef', 'dmesg'), then run 'xenlvs link repair \(volume)'")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// LVM has the new UUID.
    private func finish(
        _ volume: Volume, _ adoption: SwitchAdoption, _ identities: Identities, _ found: LogicalVolume
    ) async throws -> Volume {
        var settled = volume
        (settled.logicalVolumeUUID, settled.switchGoal, settled.adoption) = (adoption.next, .volume, nil)
        let mapper = host.mapper
        let adopted = try await Blocking.run("device-mapper") { try mapper.find(uuid: identities.adopted.uuid) }
        // After a restart there is none, and a switch like any other is made.
        settled.switchKey = adopted == nil ? nil : identities.adopted.uuid
        if let adopted {
            try adopted.require(identities.adopted)
            let plain = try await host.switches.checkedDevice(settled)
            guard found.size >= volume.size, adopted.table?.soleDevice == plain.number else {
                throw Failure(
                    .inconsistent, "\(adopted.path) does not lead to \(plain.path)",
                    why: "its table is '\(adopted.table?.description ?? "empty")'",
                    remedy: "find out who changed it; see 'dmsetup ls --tree'")
            }
            if adopted.isSuspended {
                try await Blocking.run("device-mapper") { try mapper.resume(identities.adopted) }
            }
        }
        try host.put(settled)
        try await host.switches.bringUp(settled)
        try host.links.set(volume.name, to: identities.adopted.path)
        return settled
    }

    /// LVM has the former UUID: what the guest has open is the LV's device again. Under LVM's lock.
    private func takeBack(_ identities: Identities) async throws {
        let mapper = host.mapper
        try await Blocking.run("device-mapper") {
            let adopted = try mapper.find(uuid: identities.adopted.uuid)
            let next = try mapper.find(uuid: identities.next.uuid)
            if let adopted {
                let current = adopted.name == identities.adopted.name ? identities.adopted : identities.former
                try adopted.require(current)
                if adopted.isSuspended { try mapper.resume(current) }
                // What LVM has led elsewhere meanwhile is where it has to lead.
                if let next, let table = next.table, adopted.table?.soleDevice == next.number {
                    _ = try mapper.change(current, to: table, limit: VolumeSwitches.limit)
                }
            }
            try mapper.remove(next?.name == identities.coming.name ? identities.coming : identities.next)
            if adopted?.name == identities.adopted.name { try mapper.rename(identities.adopted, to: identities.former) }
        }
    }

    /// Records that there is no adoption any more, and leads the link to the LV's device.
    private func giveUp(_ volume: Volume, _ reference: LogicalVolumeReference) async throws -> Volume {
        var settled = volume
        settled.adoption = nil
        // An LVM command may have found less than it wanted to change.
        try await host.runner.run(LVMCommands.refresh(reference))
        let plain = try await VolumeStore(runner: host.runner).device(volume.name, .data, at: volume.place)
        try host.links.set(volume.name, to: plain)
        try host.put(settled)
        return settled
    }
}

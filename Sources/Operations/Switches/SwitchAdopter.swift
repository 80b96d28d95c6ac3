import DeviceMapper
import HostModel
import Hosts
import Storage

#if canImport(Glibc)
    import Glibc
#endif

/// Makes the device of an LV that a running guest has open the volume's switch, without the guest's noticing.
///
/// LVM finds its devices by a UUID made of those of group and LV, and the kernel never lets a device have another one. So the
/// LV is given another UUID, and a device of its own under that; what the guest has open keeps the former, gets the switch's
/// name, and leads to the LV's new device. No LVM command knows it from then on: it is the switch until the host is restarted.
///
/// Each of these is done while LVM's lock on the group is held, so that no other LVM command of this host sees anything between.
/// Whatever the moment at which a run is killed, both devices lead to the same extents; `settled` then goes forwards where LVM
/// has the new UUID, and back where it has the former.
struct SwitchAdopter: Sendable {
    let host: HostContext

    /// How long another LVM command may have the group.
    private static let patience = Duration.seconds(60)

    /// The devices of an adoption, by identity.
    struct Identities: Sendable {
        /// What the guest has open, as LVM made it.
        var former: MappedIdentity
        /// The same, as the switch.
        var adopted: MappedIdentity
        /// The LV's own from then on.
        var next: MappedIdentity
        /// The same, until LVM has the new UUID. Were it to have the LV's name before, a command that looks after the LV would
        /// find the name taken, and leave the former device, and the guest, suspended (seen with `lvchange --refresh`).
        var coming: MappedIdentity

        init(_ volume: VolumeName, _ reference: LogicalVolumeReference, _ adoption: SwitchAdoption) {
            former = .ofLogicalVolume(reference, groupUUID: adoption.group, uuid: adoption.former)
            adopted = .ofSwitch(volume, logicalVolumeUUID: former.uuid)
            next = .ofLogicalVolume(reference, groupUUID: adoption.group, uuid: adoption.next)
            coming = .ofComingLogicalVolume(volume, next)
        }
    }

    private func reference(_ volume: Volume) throws -> LogicalVolumeReference {
        guard let reference = volume.place.logicalVolume else {
            throw Failure(.refused, "the volume '\(volume.name)' cannot have a switch", why: "it is no LV")
        }
        return reference
    }

    private func lock(_ group: VolumeGroupName) async throws -> FileLock {
        let place = try LVMLockPlace(parsing: try await host.runner.run(LVMCommands.lockQuery()).output)
        return try await FileLock.waiting(
            sharedAt: place.file(of: group), purpose: "an LVM command on \(group)", limit: Self.patience)
    }

    /// Makes the device that a guest has open the switch. To be called under the volume's lock. Returns the volume as it is
    /// recorded then.
    func adopt(_ volume: Volume) async throws -> Volume {
        let reference = try reference(volume)
        let what = "cannot make the device of '\(volume.name)' its switch"
        do { try await change(volume, reference) } catch {
            let failure = Failure(error, doing: what)
            // Nothing was begun.
            guard let pending = try host.recordedVolume(volume.name), pending.adoption != nil else { throw failure }
            do {
                let now = try await settled(pending)
                // What failed came after LVM had the new UUID.
                if now.switchGoal != nil { return now }
            } catch {
                throw Failure(
                    .needsRecovery, failure.what, why: failure.why,
                    remedy: "the guest runs on, on the same data; run 'xenlvs link repair \(volume.name)'",
                    causes: [Failure(error, doing: "cannot take it back")])
            }
            throw failure
        }
        guard let pending = try host.recordedVolume(volume.name) else {
            throw Failure(.inconsistent, what, why: "the volume is not recorded any more")
        }
        return try await settled(pending)
    }

    /// Everything between the lock and its end. What is looked at before the lock may be another thing after it: a snapshot
    /// that is taken meanwhile puts devices below the LV's own.
    private func change(_ volume: Volume, _ reference: LogicalVolumeReference) async throws {
        let lock = try await lock(reference.group)
        defer { withExtendedLifetime(lock) {} }
        let (adoption, identities) = try await check(volume, reference)
        let file = "\(host.paths.run)/adopt-\(volume.name).vg"
        try PrivateDirectory.prepare(host.paths.run)
        defer { unlink(file) }
        try await host.runner.run(LVMCommands.writeMetadata(of: reference.group, to: file))
        var metadata = LVMMetadataText(KernelFile.read(file) ?? "")
        try metadata.renew(reference, from: adoption.former, to: adoption.next)
        try DurableFile.replace(file, with: Array(metadata.text.utf8))

        var pending = volume
        pending.adoption = adoption
        host.effects.pass(.adopt, .before)
        try host.put(pending)
        host.effects.pass(.adopt, .after)
        try await exchange(volume, identities)
        try await pass(.adoptCommit) {
            _ = try await host.runner.run(LVMCommands.takeMetadata(of: reference.group, from: file))
        }
        try await giveName(identities)
    }

    /// The device that the guest has open becomes the switch, and leads to one that the LV gets.
    private func exchange(_ volume: Volume, _ identities: Identities) async throws {
        let mapper = host.mapper
        guard let device = try await Blocking.run("device-mapper", { try mapper.find(uuid: identities.former.uuid) }),
            let table = device.table
        else { throw Failure(.inconsistent, "\(identities.former.path) is not there any more") }
        // The kernel's own name stays while the others change.
        try host.setLink(volume.name, to: "/dev/dm-\(device.number.minor)")
        try await pass(.adoptName) {
            try await Blocking.run("device-mapper") {
                try mapper.rename(identities.former, to: identities.adopted)
            }
        }
        try host.setLink(volume.name, to: identities.adopted.path)
        try await pass(.adoptDevice) {
            try await Blocking.run("device-mapper") { try mapper.create(identities.coming, table) }
        }
        guard let next = try await Blocking.run("device-mapper", { try mapper.find(uuid: identities.next.uuid) }) else {
            throw Failure(.failed, "\(identities.coming.path) was made, but is not there")
        }
        let above = MappingTable(linearTo: next.number, sectors: table.sectors)
        try await pass(.adoptExchange) {
            _ = try await Blocking.run("device-mapper") {
                try mapper.change(identities.adopted, to: above, limit: VolumeSwitches.limit)
            }
        }
    }

    /// LVM has the new UUID: the LV's device gets its name. Under LVM's lock.
    private func giveName(_ identities: Identities) async throws {
        let mapper = host.mapper
        try await Blocking.run("device-mapper") {
            guard try mapper.find(uuid: identities.next.uuid)?.name == identities.coming.name else { return }
            try mapper.rename(identities.coming, to: identities.next)
        }
    }

    private func pass(_ step: SwapStep, _ body: () async throws -> Void) async throws {
        host.effects.pass(step, .before)
        try await body()
        host.effects.pass(step, .after)
    }

    // MARK: - What a killed run has left

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
        let found = try await look(reference)
        switch found.uuid {
        case adoption.next: return try await finish(volume, adoption, identities, found)
        case adoption.former: return try await takeBack(volume, identities, reference)
        default:
            throw Failure(
                .inconsistent, "\(reference) is not what is recorded for volume \(volume.name)",
                why: "its UUID is \(found.uuid)", remedy: "see 'xenlvs volume show \(volume.name)'")
        }
    }

    /// LVM has the new UUID.
    private func finish(
        _ volume: Volume, _ adoption: SwitchAdoption, _ identities: Identities, _ found: LogicalVolume
    ) async throws -> Volume {
        var settled = volume
        (settled.logicalVolumeUUID, settled.switchGoal, settled.adoption) = (adoption.next, .volume, nil)
        let mapper = host.mapper
        let lock = try await lock(found.reference.group)
        try await giveName(identities)
        _ = consume lock
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

    /// LVM has the former UUID: what the guest has open is the LV's device again.
    private func takeBack(
        _ volume: Volume, _ identities: Identities, _ reference: LogicalVolumeReference
    ) async throws -> Volume {
        var settled = volume
        settled.adoption = nil
        let lock = try await lock(reference.group)
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
        _ = consume lock
        // An LVM command may have found less than it wanted to change.
        try await host.runner.run(LVMCommands.refresh(reference))
        let plain = try await VolumeStore(runner: host.runner).device(volume.name, .data, at: volume.place)
        try host.links.set(volume.name, to: plain)
        try host.put(settled)
        return settled
    }
}

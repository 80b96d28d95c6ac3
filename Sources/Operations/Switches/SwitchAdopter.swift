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

    /// How long another LVM command may have the group, or one of a killed run may be at work.
    static let patience = Duration.seconds(60)

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

    func reference(_ volume: Volume) throws -> LogicalVolumeReference {
        guard let reference = volume.place.logicalVolume else {
            throw Failure(.refused, "the volume '\(volume.name)' cannot have a switch", why: "it is no LV")
        }
        return reference
    }

    /// Does `body` while LVM's lock on the group is held. A command that may still run at its end keeps the lock.
    func locked<Value>(
        _ group: VolumeGroupName, _ body: (borrowing FileLock) async throws -> Value
    ) async throws -> Value {
        let place = try LVMLockPlace(parsing: try await host.runner.run(LVMCommands.lockQuery()).output)
        // LVM makes it with the first command that locks, and at boot this may be before that.
        mkdir(place.directory, 0o700)
        let lock = try await FileLock.waiting(
            sharedAt: place.file(of: group), purpose: "an LVM command on \(group)", limit: Self.patience)
        do { return try await body(lock) } catch let failure as Failure where failure.code == .outcomeUnknown {
            lock.leave()
            throw failure
        }
    }

    /// Makes the device that a guest has open the switch. To be called under the volume's lock. Returns the volume as it is
    /// recorded then.
    func adopt(_ volume: Volume) async throws -> Volume {
        let reference = try reference(volume)
        return try await settling(volume) {
            try await locked(reference.group) { lock in try await change(volume, reference, under: lock) }
        }
    }

    /// Goes on with what `body` has begun, or takes it back where it has failed.
    func settling(_ volume: Volume, after body: () async throws -> Void) async throws -> Volume {
        let what = "cannot make the device of '\(volume.name)' its switch"
        do { try await body() } catch {
            let failure = Failure(error, doing: what)
            // Nothing was begun.
            guard let pending = try host.recordedVolume(volume.name), pending.adoption != nil else { throw failure }
            // Whatever LVM says now, the command that is still at work may give the LV its new UUID later.
            if failure.code == .outcomeUnknown {
                throw Failure(
                    .needsRecovery, what, why: failure.why.map { "\(failure.what): \($0)" } ?? failure.what,
                    remedy: "the guest runs on, on the same data; see what 'vgcfgrestore' waits for ('ps -ef', "
                        + "'dmesg'), and run 'xenlvs link repair \(volume.name)' once it has ended")
            }
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

    /// The group's metadata, with the LV's new UUID.
    func metadataFile(_ volume: VolumeName) -> String { "\(host.paths.run)/adopt-\(volume).vg" }

    /// Everything between the lock and its end. What is looked at before the lock may be another thing after it: a snapshot
    /// that is taken meanwhile puts devices below the LV's own.
    private func change(
        _ volume: Volume, _ reference: LogicalVolumeReference, under lock: borrowing FileLock
    ) async throws {
        let (adoption, identities) = try await check(volume, reference)
        let file = metadataFile(volume.name)
        try PrivateDirectory.prepare(host.paths.run)
        defer { unlink(file) }
        try await host.runner.run(LVMCommands.writeMetadata(of: reference.group, to: file), holding: lock)
        var metadata = LVMMetadataText(KernelFile.read(file) ?? "")
        try metadata.renew(reference, from: adoption.former, to: adoption.next)
        try DurableFile.replace(file, with: Array(metadata.text.utf8))

        var pending = volume
        pending.adoption = adoption
        host.effects.pass(.adopt, .before)
        try DomainPreparer.record(pending, on: host)
        host.effects.pass(.adopt, .after)
        try await exchange(volume, identities)
        try await commit(volume.name, reference.group, identities, under: lock)
    }

    /// The LV has its new UUID for LVM. The command outlives this process, and the lock has to last as long as it.
    func commit(
        _ volume: VolumeName, _ group: VolumeGroupName, _ identities: Identities, under lock: borrowing FileLock
    ) async throws {
        host.effects.pass(.adoptCommit, .before)
        try await host.runner.run(LVMCommands.takeMetadata(of: group, from: metadataFile(volume)), holding: lock)
        host.effects.pass(.adoptCommit, .after)
        try await giveName(identities)
    }

    /// The device that the guest has open becomes the switch, and leads to one that the LV gets.
    private func exchange(_ volume: Volume, _ identities: Identities) async throws {
        let mapper = host.mapper
        guard let device = try await Blocking.run("device-mapper", { try mapper.find(uuid: identities.former.uuid) }),
            let table = device.table
        else { throw Failure(.inconsistent, "\(identities.former.path) is not there any more") }
        try await pass(.adoptName) {
            try await Blocking.run("device-mapper") {
                try mapper.rename(identities.former, to: identities.adopted)
            }
        }
        // Since the rename it has led nowhere, as it does until 'link repair' where this run is killed here. It is not led to
        // the kernel's own name before, which stays: that one is given to another device one day.
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
    func giveName(_ identities: Identities) async throws {
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
}

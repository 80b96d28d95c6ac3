import DeviceMapper
import HostModel
import Hosts
import Storage

/// The switches of this host's volumes: made, looked at, led elsewhere and removed.
///
/// A switch is one line over the whole of the LV's own device, never over the LV's extents: LVM may move and extend those at
/// any time. What DRBD gets is a second such device, because DRBD and a table both want a device for themselves, and all
/// tables count as one claimant (`_dm_claim_ptr` in drivers/md/dm.c).
struct VolumeSwitches: Sendable {
    let host: HostContext

    /// How long requests under way may keep a guest's disk waiting before a change is given up.
    static let limit = Duration.seconds(5)

    /// The switch's name and UUID. Throws `.refused` for a volume that cannot have one.
    func identity(_ volume: Volume) throws -> MappedIdentity {
        .ofSwitch(volume.name, logicalVolumeUUID: try key(volume))
    }

    func lowerIdentity(_ volume: Volume) throws -> MappedIdentity {
        .ofLower(volume.name, logicalVolumeUUID: try key(volume))
    }

    private func key(_ volume: Volume) throws -> String {
        guard let key = volume.deviceKey else {
            throw Failure(
                .refused, "the volume '\(volume.name)' cannot have a switch",
                why: "it is a file: its loop device has no identity that lasts", remedy: "keep it in a volume group")
        }
        return key
    }

    /// The switch's device, or a stranger in its place; nil where there is neither.
    func find(_ volume: Volume) async throws -> MappedDevice? {
        let (identity, mapper) = (try identity(volume), host.mapper)
        return try await Blocking.run("device-mapper") {
            if let named = try mapper.find(name: identity.name) { return named }
            return try mapper.find(uuid: identity.uuid)
        }
    }

    /// Throws `.refused` where a device has the name that a new volume's switch would get.
    func requireFreeName(_ volume: VolumeName) async throws {
        let (name, mapper) = (MappedIdentity.switchName(of: volume), host.mapper)
        guard let found = try await Blocking.run("device-mapper", { try mapper.find(name: name) }) else { return }
        throw Failure(
            .refused, "there is a device-mapper device \(name) already",
            why: found.uuid.isEmpty ? "it has no UUID" : "its UUID is \(found.uuid)",
            remedy: "see 'dmsetup info \(name)' whose it is; rename or remove it, or choose another name")
    }

    /// How the switch stands. Changes nothing.
    func facts(_ volume: Volume) async throws -> SwitchFacts {
        try await facts(
            volume, try await find(volume), await ends(volume), try OpenMigration.all(in: host.database))
    }

    /// The same of what was found already.
    func facts(
        _ volume: Volume, _ found: MappedDevice?, _ ends: SwitchEnds, _ migrations: [OpenMigration]
    ) async throws -> SwitchFacts {
        let (identity, mapper) = (try identity(volume), host.mapper)
        let mirror: MirrorStatus? =
            found?.table?.mirror == nil
            ? nil : try await Blocking.run("device-mapper") { try mapper.mirrorStatus(identity) }
        return SwitchFacts(volume, identity, found, ends, mirror: mirror, migrations)
    }

    /// What the switch may lead to, as far as it is there now. Nothing is activated.
    func ends(_ volume: Volume) async -> SwitchEnds {
        await ends(volume, plain: await presentDevice(volume.name, at: volume.place)?.number)
    }

    /// The same where the volume's own device is known.
    func ends(_ volume: Volume, plain: BlockDeviceNumber?) async -> SwitchEnds {
        var ends = SwitchEnds(plain: plain)
        if let move = volume.switchGoal?.move { ends.copy = await presentDevice(volume.name, at: move.place)?.number }
        return ends
    }

    /// The device of a volume's data at a place, where it is there now.
    private func presentDevice(_ name: VolumeName, at place: VolumePlace) async -> BlockDevice? {
        if let attachment = place.attachment {
            return (try? host.attachment(attachment)).flatMap(LinkKeeper(host: host).device(of:))
        }
        guard let path = try? await VolumeStore(runner: host.runner).presentDevice(name, .data, at: place) else {
            return nil
        }
        return try? BlockDevice(at: path)
    }

    /// The volume's own device, activated where it is not, and seen to be the recorded one.
    func checkedDevice(_ volume: Volume) async throws -> BlockDevice {
        try await checkedDevice(volume.name, at: volume.place, volume.logicalVolumeUUID)
    }

    /// The same for a place. An LV is known without asking LVM, which is slow: LVM gives its devices a UUID that ends in the
    /// LV's (`build_dm_uuid`, lib/activate/dev_manager.c). An attachment's device is known by what it says of itself.
    func checkedDevice(_ name: VolumeName, at place: VolumePlace, _ uuid: String?) async throws -> BlockDevice {
        if let attachment = place.attachment {
            guard let device = LinkKeeper(host: host).device(of: try host.attachment(attachment)) else {
                throw Failure(
                    .notFound, "the attachment '\(attachment)', on which '\(name)' is, has no device",
                    remedy: "bring it back with 'xenlvs link repair \(attachment)'")
            }
            return device
        }
        let device = try BlockDevice(at: try await VolumeStore(runner: host.runner).device(name, .data, at: place))
        guard let uuid, let mapping = try device.mapping(), mapping.uuid.hasPrefix("LVM-"),
            mapping.uuid.hasSuffix(uuid.filter { $0 != "-" })
        else {
            throw Failure(
                .inconsistent, "\(device.path) is not what is recorded for volume \(name)",
                why: "the LV's UUID is another one", remedy: "see 'xenlvs volume show \(name)'")
        }
        return device
    }

    /// One line over the whole of a device.
    func table(_ volume: Volume, to device: BlockDeviceNumber) -> MappingTable {
        MappingTable(linearTo: device, sectors: UInt64(volume.size.sectors))
    }

    /// Makes the switch where there is none, finishes what a killed run has left, and lets it have the volume's size. Where it
    /// leads to a replica it is left there. Returns its path.
    /// - Throws: `.refused` where a stranger has its name, `.inconsistent` where it leads somewhere else or the LV is not the
    ///   recorded one.
    @discardableResult
    func bringUp(_ volume: Volume) async throws -> String {
        if let move = volume.switchGoal?.move { return try await bringUp(volume, on: move) }
        let (identity, mapper) = (try identity(volume), host.mapper)
        let plain = try await checkedDevice(volume)
        let size = try plain.size()
        guard size >= volume.size else {
            throw Failure(
                .inconsistent, "\(plain.path) is smaller than what is recorded for volume \(volume.name)",
                why: "it has \(size.bytes) bytes instead of \(volume.size.bytes)",
                remedy: "see 'xenlvs volume show \(volume.name)'")
        }
        let table = table(volume, to: plain.number)
        // A suspended one may have anything in its table: it is looked at again.
        for _ in 0..<2 {
            let facts = SwitchFacts(volume, identity, try await find(volume), SwitchEnds(plain: plain.number))
            switch facts.verdict {
            case .right, .stillOnVolume, .stillOnReplica, .closed, .migration: return identity.path
            // Only a move leads there.
            case .copying, .stillCopying, .copyFailed, .onTarget: return identity.path
            case .missing where volume.hasAdoptedSwitch:
                // A device of ours must not have a UUID of LVM's: this one ended with the boot in which it was taken over.
                throw Failure(
                    .inconsistent, "the switch \(identity.path) is not there",
                    remedy: "run 'xenlvs link repair \(volume.name)'")
            case .missing, .unfinished:
                try await Blocking.run("device-mapper") { try mapper.create(identity, table) }
                return identity.path
            case .wrongSize:
                _ = try await Blocking.run("device-mapper") {
                    try mapper.change(identity, to: table, limit: Self.limit)
                }
                return identity.path
            case .suspended: try await Blocking.run("device-mapper") { try mapper.resume(identity) }
            case .elsewhere:
                throw Failure(
                    .inconsistent, "cannot use the switch \(identity.path)", why: facts.why, remedy: facts.remedy)
            case .foreign:
                throw Failure(.refused, "cannot make the switch \(identity.path)", why: facts.why, remedy: facts.remedy)
            }
        }
        throw Failure(
            .failed, "the switch \(identity.path) stays suspended", remedy: "see 'dmsetup info \(identity.name)'")
    }

    /// Leads the switch to `device` below whoever uses it. Returns how long requests stood still; nil where it led there
    /// already.
    func lead(_ volume: Volume, to device: BlockDeviceNumber) async throws -> TableChange? {
        try await lead(volume, on: table(volume, to: device))
    }

    /// The same with any table.
    /// - Parameter isFlushing: see `MappedDevices.change`.
    func lead(_ volume: Volume, on table: MappingTable, isFlushing: Bool = true) async throws -> TableChange? {
        let (identity, mapper) = (try identity(volume), host.mapper)
        if let found = try await find(volume), try isSettled(found, identity, on: table) { return nil }
        return try await Blocking.run("device-mapper") {
            try mapper.change(identity, to: table, limit: Self.limit, isFlushing: isFlushing)
        }
    }

    private func isSettled(_ found: MappedDevice, _ identity: MappedIdentity, on table: MappingTable) throws -> Bool {
        try found.require(identity)
        return found.table == table && !found.isSuspended
    }

    /// Whether it leads to some DRBD device now.
    func leadsToReplica(_ volume: Volume) async throws -> Bool {
        try await find(volume)?.table?.soleDevice?.major == SwitchVerdict.drbdMajor
    }

    /// How long an opener that is about to go is waited for: the backend of a guest that was saved or destroyed, a probe.
    static let patience = Duration.seconds(20)

    /// Lets the switch refuse every request; it stays what the link leads to. Nothing happens where there is none.
    /// - Parameter isSuspended: whoever has it open is a guest that is suspended.
    /// - Throws: `.busy` where something else has it open.
    func close(
        _ volume: Volume, evenIfOpen isSuspended: Bool = false, patience: Duration = VolumeSwitches.patience
    ) async throws {
        let (identity, mapper) = (try identity(volume), host.mapper)
        let table = MappingTable(closed: UInt64(volume.size.sectors))
        let deadline = ContinuousClock.now + patience
        while let found = try await find(volume) {
            if try isSettled(found, identity, on: table) { return }
            if found.openCount == 0 || isSuspended && found.openCount == 1 {
                _ = try await Blocking.run("device-mapper") {
                    try mapper.change(identity, to: table, limit: Self.limit)
                }
                return
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .busy, "cannot close the switch \(identity.path)", why: "it is open \(found.openCount) times",
                    remedy: "see 'lsof \(identity.path)', 'xl list' and 'dmsetup ls --tree' for who has it")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Makes the switch where there is none, and closes it. Returns its path.
    @discardableResult
    func bringUpClosed(_ volume: Volume) async throws -> String {
        let (identity, mapper) = (try identity(volume), host.mapper)
        let found = try await find(volume)
        try found?.require(identity)
        if found?.table == nil {
            let table = MappingTable(closed: UInt64(volume.size.sectors))
            try await Blocking.run("device-mapper") { try mapper.create(identity, table) }
        }
        try await close(volume)
        return identity.path
    }

    /// The device over the whole LV that DRBD is attached to. Made where there is none. Returns its path.
    @discardableResult
    func bringUpLower(_ volume: Volume) async throws -> String {
        let (identity, mapper) = (try lowerIdentity(volume), host.mapper)
        let table = table(volume, to: try await checkedDevice(volume).number)
        return try await Blocking.run("device-mapper") {
            guard let found = try mapper.find(name: identity.name) ?? mapper.find(uuid: identity.uuid) else {
                try mapper.create(identity, table)
                return identity.path
            }
            try found.require(identity)
            if found.isSuspended { try mapper.resume(identity) }
            if found.table == table { return identity.path }
            // One that a killed run has left: of another size, or without a table.
            if found.table != nil { try mapper.remove(identity) }
            try mapper.create(identity, table)
            return identity.path
        }
    }

    /// Removes what DRBD was attached to. Nothing happens where there is none, or a stranger.
    func removeLower(_ volume: Volume) async throws {
        let (identity, mapper) = (try lowerIdentity(volume), host.mapper)
        try await Blocking.run("device-mapper") { try mapper.remove(identity) }
    }

    /// Removes the switch and what DRBD was attached to. `.busy` where something has it open.
    func takeAway(_ volume: Volume) async throws {
        guard volume.switchGoal != nil else { return }
        try await removeLower(volume)
        let (identity, mapper) = (try identity(volume), host.mapper)
        try await Blocking.run("device-mapper") { try mapper.remove(identity) }
    }
}

extension Volume {
    /// What the link has to hold: the switch, or the volume's own device; a file's path, whose loop device has no lasting
    /// name.
    var backingPath: String {
        if switchGoal != nil { return MappedIdentity.switchPath(of: name) }
        return switch place {
        case .logicalVolume(let group, let volume): LogicalVolumeReference(group: group, name: volume).devicePath
        case .file(let directory): "\(directory)/\(name)\(FilePool.Role.data.rawValue)"
        case .attachment: place.description
        }
    }
}

extension HostContext {
    var switches: VolumeSwitches { VolumeSwitches(host: self) }
}

import DeviceMapper
import HostModel
import Hosts
import Migration
import Replication
import Storage

#if canImport(Glibc)
    import Glibc
#endif

/// A volume that was made larger.
public struct ResizedVolume: Sendable {
    public var volume: Volume
    public var former: ByteCount
    /// The domains that have it as a disk.
    public var domains: [String]
}

extension VolumeManager {
    /// Makes a volume larger, while it is in use as well: Xen's block backend looks every 100 ms and tells a
    /// running guest (`xen_blkif_schedule`, drivers/block/xen-blkback/blkback.c), which has to grow its file system itself.
    /// - Throws: `.refused` where `size` is not larger, the group or the file system has no room, or the volume has
    ///   snapshots; `.busy` with a replica or an unfinished migration, whose sizes must not change.
    public func resize(_ name: VolumeName, to size: ByteCount) async throws -> ResizedVolume {
        try Self.checkSize(size)
        return try await VolumeLock.holding(name, of: host) {
            let volume = try requireActive(name, doing: "resize")
            let use = try await host.currentUse(asksLVM: volume.place.logicalVolume != nil)
            try requireAtRest(volume, use, doing: "resize")
            let plain = try await LinkKeeper(host: host).plainDevice(volume)
            var larger = volume
            larger.size =
                switch volume.place {
                case .logicalVolume(let group, let lv):
                    try await extend(
                        volume, LogicalVolumeReference(group: group, name: lv), to: size, use)
                case .file(let directory): try await extend(volume, in: FilePool(directory), to: size)
                case .attachment(let name): try extend(volume, on: name, plain, to: size)
                }
            try put(larger)
            let own = use.devices(of: volume).map(\.number)
            // A killed run's is done by 'link repair', as at boot.
            if larger.switchGoal != nil { try await host.switches.bringUp(larger) }
            return ResizedVolume(
                volume: larger, former: volume.size,
                domains: use.domains(on: [plain?.number].compactMap(\.self) + own))
        }
    }

    /// Makes a snapshot of a volume's LV, with `size` for what changes from now on.
    /// - Throws: `.refused` for a file, for a name that is taken, or where the group has no room; `.busy` while a
    ///   migration is under way.
    public func snapshot(_ name: VolumeName, named snapshot: VolumeName, size: ByteCount) async throws -> Snapshot {
        try Self.checkSize(size)
        return try await VolumeLock.holding(name, of: host) {
            let volume = try requireActive(name, doing: "take a snapshot of")
            guard case .logicalVolume(let groupName, let lv) = volume.place else {
                throw Failure(
                    .refused, "cannot take a snapshot of '\(name)'",
                    why: "it is a file: a consistent copy while it is in use needs a file system that shares blocks",
                    remedy: "keep it in a volume group, or copy the file while the domain is shut down")
            }
            let use = try await host.currentUse(asksLVM: true)
            if let migration = use.migrations(of: name).first {
                throw busy("take a snapshot of", volume, VolumeUse(.migration, migration.id.text))
            }
            let origin = LogicalVolumeReference(group: groupName, name: lv)
            try checkIsRecorded(volume, use.logicalVolume(origin), origin)
            try checkSnapshotNameIsFree(snapshot, groupName, use)
            let group = try await store.group(groupName)
            try await host.runner.run(
                try SnapshotCommands.create(
                    snapshot, of: name, origin: origin, size: group.roundedUp(size), in: group))
            let made = try await host.runner.snapshots()
            guard let found = made.first(where: { $0.group == groupName && $0.name.text == snapshot.text }) else {
                throw Failure(.failed, "the snapshot \(groupName)/\(snapshot) was made but is not there")
            }
            return found
        }
    }
}

extension VolumeManager {
    private func requireActive(_ name: VolumeName, doing verb: String) throws -> Volume {
        guard let volume = try record(of: name) else {
            throw Failure(.notFound, "there is no volume '\(name)'", remedy: "see 'xenlvs volume list'")
        }
        if let objection = volume.objection {
            throw Failure(
                .refused, "cannot \(verb) '\(name)'", why: "it \(objection)", remedy: "see 'xenlvs volume show \(name)'"
            )
        }
        return volume
    }

    private func busy(_ verb: String, _ volume: Volume, _ use: VolumeUse) -> Failure {
        Failure(.busy, "cannot \(verb) '\(volume.name)'", why: use.sentence, remedy: use.remedy)
    }

    /// Neither migration nor replica nor snapshot: each of them counts on the size.
    private func requireAtRest(_ volume: Volume, _ use: HostUse, doing verb: String) throws {
        if let migration = use.migrations(of: volume.name).first {
            throw busy(verb, volume, VolumeUse(.migration, migration.id.text))
        }
        if let replica = use.replica(of: volume.name) {
            throw busy(verb, volume, VolumeUse(.replica, replica.resource))
        }
        if case .replica = volume.switchGoal {
            throw Failure(
                .busy, "cannot \(verb) '\(volume.name)'", why: "its switch leads to a replica",
                remedy: "go back first: xenlvs swap \(volume.name) --to volume")
        }
        if let move = volume.switchGoal?.move {
            throw Failure(
                .busy, "cannot \(verb) '\(volume.name)'", why: "it is on its way to \(move.place)",
                remedy: move.remedy(volume.name))
        }
        // LVM resizes the origin of a snapshot only while it is inactive (`lib/metadata/lv_manip.c`).
        if let snapshot = volume.place.logicalVolume.flatMap({ use.snapshots.of($0).first }) {
            throw busy(verb, volume, VolumeUse(.snapshot, snapshot.name.text))
        }
    }

    private func checkIsRecorded(
        _ volume: Volume, _ found: LogicalVolume?, _ reference: LogicalVolumeReference
    ) throws {
        guard let found else { throw Failure(.notFound, "there is no LV \(reference)", remedy: "see 'lvs' and 'pvs'") }
        if let uuid = volume.logicalVolumeUUID, uuid != found.uuid { try volume.check(found) }
    }

    /// An LV that was extended by a run that died before it could record it, or by hand, is recorded as it is.
    private func extend(
        _ volume: Volume, _ reference: LogicalVolumeReference, to size: ByteCount, _ use: HostUse
    ) async throws -> ByteCount {
        try checkIsRecorded(volume, use.logicalVolume(reference), reference)
        let group = try await store.group(reference.group)
        let wanted = group.roundedUp(size)
        guard let found = use.logicalVolume(reference), wanted > volume.size else { throw notLarger(volume, wanted) }
        if found.size != wanted { try await host.runner.run(try LVMCommands.extend(found, to: wanted, in: group)) }
        guard try await store.find(volume.name, .data, at: volume.place)?.size == wanted else {
            throw Failure(.failed, "\(reference) was extended but has not \(wanted)")
        }
        return wanted
    }

    /// Takes over what the target has grown by.
    private func extend(
        _ volume: Volume, on attachment: VolumeName, _ plain: BlockDevice?, to size: ByteCount
    ) throws -> ByteCount {
        guard size > volume.size else { throw notLarger(volume, size) }
        guard let found = try plain?.size(), found >= size, size.bytes % 512 == 0 else {
            throw Failure(
                .refused, "cannot resize '\(volume.name)' to \(size)",
                why: "the attachment '\(attachment)' has \(try plain?.size().description ?? "no device")",
                remedy: "make its target larger, then 'xenlvs attachments --revalidate \(attachment)'")
        }
        return size
    }

    private func extend(_ volume: Volume, in pool: FilePool, to size: ByteCount) async throws -> ByteCount {
        let path = pool.path(of: volume.name)
        let wanted = size.roundedUp(to: .kibibytes(4))
        guard wanted > volume.size else { throw notLarger(volume, wanted) }
        guard let former = try pool.size(of: volume.name), former >= volume.size, former <= wanted else {
            throw Failure(
                .inconsistent, "\(path) is not what is recorded for volume \(volume.name)",
                why: "it is not there, or its size is not \(volume.size.bytes) bytes")
        }
        let free = try pool.freeSpace()
        guard wanted - volume.size <= free else {
            throw Failure(
                .refused, "cannot extend \(path) to \(wanted)", why: "\(free) are free",
                remedy: "free some space in \(pool.directory)")
        }
        do {
            try await host.runner.run(.mutation(.fallocate, "--length", "\(wanted.bytes)", path))
        } catch {
            // Where the space ran out on the way the file may have grown; nobody has seen that yet.
            truncate(path, off_t(volume.size.bytes))
            throw error
        }
        if let loop = try await store.presentDevice(volume.name, .data, at: volume.place) {
            try await host.runner.run(LoopDevices.refreshSize(loop))
        }
        return wanted
    }

    private func notLarger(_ volume: Volume, _ size: ByteCount) -> Failure {
        Failure(
            .refused, "cannot resize '\(volume.name)' to \(size)", why: "it has \(volume.size)",
            remedy: "a volume can only become larger")
    }

    private func checkSnapshotNameIsFree(_ name: VolumeName, _ group: VolumeGroupName, _ use: HostUse) throws {
        let reference = LogicalVolumeReference(group: group, name: LogicalVolumeName(of: name))
        let isTaken = try record(of: name) != nil || use.logicalVolume(reference) != nil
        guard !isTaken else {
            throw Failure(.refused, "there is something named '\(name)' already", remedy: "choose another name")
        }
    }
}

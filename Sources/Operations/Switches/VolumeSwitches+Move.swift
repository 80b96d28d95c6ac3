import DeviceMapper
import HostModel
import Hosts
import Storage

/// The devices of a move, all of them there.
struct MoveDevices: Sendable {
    var plain: BlockDevice
    var copy: BlockDevice
    /// Where nothing is copied there is no log.
    var log: BlockDevice?
}

extension VolumeSwitches {
    /// Where the log of a copy is: beside the volume, or beside its copy where the volume is no LV.
    func logPlace(_ volume: Volume, _ move: VolumeMove) throws -> VolumePlace {
        let group =
            try volume.place.logicalVolume?.group ?? move.place.logicalVolume?.group
            ?? VolumeGroupName(host.configuration.volumeGroup)
        return .logicalVolume(group: group, name: LogicalVolumeName(copyLogOf: volume.name))
    }

    /// Throws where one of them is not there, or another one than is recorded.
    func devices(_ volume: Volume, _ move: VolumeMove) async throws -> MoveDevices {
        let copy = try await checkedDevice(volume.name, at: move.place, move.logicalVolumeUUID)
        guard try copy.size() >= move.size else {
            throw Failure(
                .failed, "\(copy.path) is smaller than what is recorded of it",
                why: "it has \(try copy.size().bytes) bytes instead of \(move.size.bytes)",
                remedy: "find out what has made it smaller, and stop that; then repeat the swap")
        }
        let plain = try await checkedDevice(volume)
        guard !move.hasSameData else { return MoveDevices(plain: plain, copy: copy) }
        let path = try await VolumeStore(runner: host.runner).device(
            volume.name, .copyLog, at: try logPlace(volume, move))
        return MoveDevices(plain: plain, copy: copy, log: try BlockDevice(at: path))
    }

    /// The table that writes to both, with the first `window` in the mirror.
    func mirrorTable(_ volume: Volume, _ devices: MoveDevices, window: ByteCount) -> MappingTable {
        let region = CopyWindow(size: volume.size).region
        return MappingTable(
            mirroring: MirrorTarget(
                log: devices.log.map { .disk($0.number) } ?? .synced, regionSectors: UInt64(region.sectors),
                source: devices.plain.number, copy: devices.copy.number),
            window: UInt64(window.sectors), sectors: UInt64(volume.size.sectors))
    }

    /// The table that leads to the place that the volume is to have.
    func finalTable(_ move: VolumeMove, _ copy: BlockDevice) -> MappingTable {
        MappingTable(linearTo: copy.number, sectors: UInt64(move.size.sectors))
    }

    /// As `bringUp`, while the volume is on its way to another place.
    ///
    /// After a boot a copy goes on where its log and its target are there. Else the guest is not kept waiting: the volume has
    /// everything, and the copy begins anew when the swap is repeated.
    func bringUp(_ volume: Volume, on move: VolumeMove) async throws -> String {
        let (identity, mapper) = (try identity(volume), host.mapper)
        for _ in 0..<2 {
            let facts = try await facts(volume)
            switch facts.verdict {
            case .right, .copying, .onTarget, .stillOnVolume, .stillOnReplica, .wrongSize, .closed, .migration:
                return identity.path
            case .stillCopying, .copyFailed:
                _ = try await leadBack(volume, move)
                return identity.path
            case .missing, .unfinished:
                let table = try await tableAfterBoot(volume, move)
                try await Blocking.run("device-mapper") { try mapper.create(identity, table) }
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

    private func tableAfterBoot(_ volume: Volume, _ move: VolumeMove) async throws -> MappingTable {
        switch move.stage {
        case .decided:
            return finalTable(
                move, try await checkedDevice(volume.name, at: move.place, move.logicalVolumeUUID))
        case .copying where !move.hasSameData:
            if let devices = try? await devices(volume, move), let window = move.window {
                return mirrorTable(volume, devices, window: window)
            }
        case .copying, .preparing: break
        }
        // Whatever the other place has of it is worth nothing once something is written to the volume alone.
        try host.put(volume.moving(move.at(.preparing)))
        return table(volume, to: try await checkedDevice(volume).number)
    }

    /// Leads the switch to the volume alone; what the other place has is worth nothing from then on. Nil where it led there
    /// already.
    func leadBack(_ volume: Volume, _ move: VolumeMove) async throws -> TableChange? {
        try host.put(volume.moving(move.at(.preparing)))
        let plain = try await checkedDevice(volume)
        // One that is longer than what is recorded stays so: a guest's disk never becomes smaller.
        if let found = try await find(volume), let now = found.table, now.soleDevice == plain.number,
            now.sectors >= UInt64(volume.size.sectors), !found.isSuspended
        {
            try found.require(try identity(volume))
            return nil
        }
        // Writes that are held back because one device has failed are begun anew on the other.
        return try await lead(volume, on: table(volume, to: plain.number), isFlushing: false)
    }
}

extension Volume {
    func moving(_ move: VolumeMove) -> Volume {
        var volume = self
        volume.switchGoal = .move(move)
        return volume
    }
}

extension VolumeMove {
    func at(_ stage: Stage) -> VolumeMove {
        var move = self
        move.stage = stage
        if stage == .preparing { move.window = nil }
        return move
    }
}

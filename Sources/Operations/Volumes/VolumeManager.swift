import HostModel
import Hosts
import Migration
import Replication
import Storage

/// Volumes on this host: made, taken over, listed, changed and removed.
public struct VolumeManager: Sendable {
    let host: HostContext
    let store: VolumeStore

    public init(host: HostContext) {
        self.host = host
        store = VolumeStore(runner: host.runner)
    }

    /// Makes a volume and its link. What was made is taken back where a later part fails.
    /// - Parameter hasSwitch: puts a switch between the two.
    /// - Throws: `.refused` where something of that name is there already or there is no room; `.notFound` for an unknown
    ///   volume group or directory.
    public func create(
        _ name: VolumeName, size: ByteCount, at place: VolumePlace, hasSwitch: Bool = false
    ) async throws -> Volume {
        try await VolumeLock.holding(name, of: host) {
            if hasSwitch, place.logicalVolume == nil {
                throw Failure(
                    .refused, "the volume '\(name)' cannot have a switch",
                    why: "it is a file: its loop device has no identity that lasts", remedy: "keep it in a volume group"
                )
            }
            let exact = try await exactSize(size, at: place)
            try await checkNameIsFree(name, at: place)
            if hasSwitch { try await host.switches.requireFreeName(name) }
            try checkRoom(exact, at: place)
            try await store.create(name, .data, at: place, size: exact, migration: nil)
            do { return try await takeIn(name, at: place, hasSwitch: hasSwitch) } catch {
                throw await takenBack(name, at: place, because: Failure(error, doing: "cannot make '\(name)' a volume"))
            }
        }
    }

    /// Records an LV that was made by other means as the volume of its name, and sets the link.
    ///
    /// The link may be turned only while nothing has what it leads to.
    /// - Throws: `.refused` for anything but an LV of that name, `.busy` where a migration, a replica or a domain has it.
    public func adopt(_ name: VolumeName, path: String) async throws -> Volume {
        try await VolumeLock.holding(name, of: host) {
            try checkIsNoAttachment(name)
            let use = try await host.currentUse(asksLVM: true)
            let number = try BlockDevice(at: path).number
            let found = try checkAdoptable(
                name, path, use.logicalVolumes.first { $0.device == number }, try record(of: name))
            let place = VolumePlace.logicalVolume(group: found.reference.group, name: found.reference.name)
            try checkMayTurn(name, to: number, use)
            try await host.runner.run(LVMCommands.changeTags(found.reference, add: [.ours, .volume(name)]))
            let former = try record(of: name)
            do { return try await takeIn(name, at: place, hasSwitch: false) } catch {
                if let former { try put(former) } else { try host.database.removeVolume(name) }
                throw error
            }
        }
    }

    /// The volume in the journal, or nil.
    public func record(of name: VolumeName) throws -> Volume? {
        try host.recordedVolume(name)
    }

    /// Every volume in the journal.
    public func all() throws -> [Volume] {
        try host.recordedVolumes()
    }

    func put(_ volume: Volume) throws { try host.put(volume) }
}

extension VolumeManager {
    /// What the place makes of `size`: whole extents, or whole blocks.
    private func exactSize(_ size: ByteCount, at place: VolumePlace) async throws -> ByteCount {
        try Self.checkSize(size)
        return switch place {
        case .logicalVolume(let group, _): try await store.group(group).roundedUp(size)
        case .file: size.roundedUp(to: .kibibytes(4))
        case .attachment: size
        }
    }

    /// Throws `.usage` for a size beyond DRBD's limit of 1 PiB (`DRBD_MAX_SECTORS_FLEX`, drbd_int.h), far below any
    /// overflow.
    static func checkSize(_ size: ByteCount) throws(Failure) {
        guard size <= ByteCount(1 << 50) else {
            throw Failure(.usage, "\(size) is too large", why: "DRBD replicates at most 1024 TiB")
        }
    }

    private func checkNameIsFree(_ name: VolumeName, at place: VolumePlace) async throws {
        if try record(of: name) != nil {
            throw Failure(.refused, "there is a volume '\(name)' already", remedy: "see 'xenlvs volume show \(name)'")
        }
        guard try await store.find(name, .data, at: place) == nil else {
            throw Failure(
                .refused, "there is something named '\(name)' at \(place) already",
                remedy: place.logicalVolume == nil
                    ? "choose another name"
                    : "take the LV over with 'xenlvs link set \(name) PATH', or choose another name")
        }
        try checkIsNoAttachment(name)
        guard case .absent = try host.links.read(name) else {
            throw Failure(
                .refused, "there is a link \(host.links.path(of: name)) already",
                remedy: "remove it, or choose another name")
        }
    }

    private func checkIsNoAttachment(_ name: VolumeName) throws {
        guard let attachment = try host.attachments().first(where: { $0.name == name }) else { return }
        throw Failure(
            .refused, "there is an attachment '\(name)' already", why: "it is the target \(attachment.address)",
            remedy: "choose another name, or 'xenlvs detach \(name)' first")
    }

    /// A group is asked by `LVMCommands.create`.
    private func checkRoom(_ size: ByteCount, at place: VolumePlace) throws {
        guard case .file(let directory) = place else { return }
        let free = try FilePool(directory).freeSpace()
        guard size <= free else {
            throw Failure(
                .refused, "cannot make a file of \(size) in \(directory)", why: "\(free) are free",
                remedy: "free some space, or choose another directory")
        }
    }

    /// Records what is there as the volume and sets the link.
    private func takeIn(_ name: VolumeName, at place: VolumePlace, hasSwitch: Bool) async throws -> Volume {
        guard let found = try await store.find(name, .data, at: place) else {
            throw Failure(.failed, "the volume '\(name)' was made but is not there")
        }
        let volume = Volume(
            name: name, place: place, size: found.size, logicalVolumeUUID: found.uuid, state: .active,
            switchGoal: hasSwitch ? .volume : nil)
        let device = try await store.device(name, .data, at: place)
        try put(volume)
        try host.links.set(name, to: hasSwitch ? try await host.switches.bringUp(volume) : device)
        return volume
    }

    /// Undoes a creation. Returns the failure that led here, or what is left for the operator where the undo fails too.
    private func takenBack(_ name: VolumeName, at place: VolumePlace, because cause: Failure) async -> Failure {
        do {
            if case .link = try host.links.read(name) { try host.links.remove(name) }
            if let made = try record(of: name) { try await host.switches.takeAway(made) }
            try await store.remove(name, .data, at: place)
            if try record(of: name) != nil { try host.database.removeVolume(name) }
            return cause
        } catch {
            return Failure(
                .needsRecovery, "the volume '\(name)' was made in part, and that cannot be taken back",
                why: Failure(error, doing: "cannot take it back").description,
                remedy: "when the cause is gone, run 'xenlvs volume remove \(name)'; "
                    + "see also what is left at \(place)", causes: [cause])
        }
    }

    private func checkAdoptable(
        _ name: VolumeName, _ path: String, _ found: LogicalVolume?, _ known: Volume?
    ) throws -> LogicalVolume {
        guard let found else {
            throw Failure(
                .refused, "\(path) is not a logical volume", why: "only an LV can be a volume",
                remedy: "make one with 'xenlvs volume create'")
        }
        guard found.reference.name == LogicalVolumeName(of: name) else {
            throw Failure(
                .refused, "cannot take \(found.reference) over as '\(name)'",
                why: "a volume has the name of its LV on every host",
                remedy: "use the name \(found.reference.name), or rename the LV with lvrename")
        }
        guard !found.role.contains("thicksnapshot") else {
            throw Failure(
                .refused, "cannot take \(found.reference) over",
                why: "it is a snapshot, which is lost when it runs full",
                remedy: "make a volume and copy the snapshot into it")
        }
        if known?.switchGoal != nil {
            throw Failure(
                .refused, "cannot take \(found.reference) over", why: "the volume '\(name)' has a switch",
                remedy: "put its link back with 'xenlvs link repair \(name)'")
        }
        if let known, let reason = known.state.objection {
            throw Failure(
                .refused, "cannot take \(found.reference) over", why: "the volume '\(name)' \(reason)",
                remedy: "see 'xenlvs volume show \(name)'")
        }
        return found
    }

    /// Throws `.busy` where a migration or a replica has the volume, or a domain what its link leads to now.
    private func checkMayTurn(_ name: VolumeName, to number: BlockDeviceNumber, _ use: HostUse) throws {
        var former: BlockDeviceNumber?
        if case .link(_, .device(_, let device)) = try host.links.read(name), device != number { former = device }
        var uses = use.domains(on: [former].compactMap(\.self)).map { VolumeUse(.domain, $0) }
        uses += use.migrations(of: name).map { VolumeUse(.migration, $0.id.text) }
        if let replica = use.replica(of: name) { uses.append(VolumeUse(.replica, replica.resource)) }
        if let first = uses.first {
            throw Failure(
                .busy, "the link \(host.links.path(of: name)) cannot be turned", why: first.sentence,
                remedy: first.remedy)
        }
    }
}

extension VolumeState {
    /// Why nobody may use the volume as a disk, after its name; nil for a guest's disk.
    var objection: String? {
        switch self {
        case .active: nil
        case .incoming(let id): "is a copy that migration \(id) fills"
        case .retired(let id): "is the old copy that migration \(id) left behind"
        case .former(let volume): "is what '\(volume)' was on before a swap"
        case .restoring(let checkpoint): "is being put back to the checkpoint \(checkpoint)"
        }
    }
}

extension Volume {
    /// The same of the volume, also while its guest is being given a switch.
    var objection: String? {
        state.objection
            ?? (adoption == nil
                ? nil
                : "is being given a switch while its guest runs, which has not ended: 'xenlvs link repair \(name)'")
    }
}

import DeviceMapper
import HostModel
import Hosts
import Storage

/// The place to which a volume is put: chosen, made, checked and removed.
struct MoveTarget {
    let host: HostContext
    private var store: VolumeStore { VolumeStore(runner: host.runner) }

    /// What is to be recorded of a move to `place`. Throws why it cannot be. Nothing is made.
    func plan(_ volume: Volume, to place: VolumePlace, _ options: MoveOptions) async throws -> VolumeMove {
        let what = "cannot swap '\(volume.name)' to \(place)"
        guard options.copies != options.hasSameData else {
            throw Failure(
                .usage, what, why: "it is not said whether the data are there already",
                remedy: "copy them with --copy; --same-data is for another way to the same storage")
        }
        let size: ByteCount
        switch place {
        case .logicalVolume(let groupName, let lv):
            guard options.copies else {
                throw Failure(.usage, what, why: "an LV is made anew, and has no data", remedy: "give --copy")
            }
            let group = try await store.group(groupName)
            guard try await store.find(volume.name, .data, at: place) == nil else {
                throw Failure(
                    .refused, what, why: "there is an LV \(groupName)/\(lv) already",
                    remedy: "see whose it is with 'lvs -o +tags \(groupName)/\(lv)'; rename or remove it")
            }
            size = group.roundedUp(volume.size)
            try group.checkRoom(for: size, named: lv)
        case .attachment(let name): size = try await attachmentSize(name, for: volume, options, what)
        case .file: throw Failure(.refused, what, why: "a file has no switch")
        }
        guard size >= volume.size else {
            throw Failure(
                .refused, what, why: "it has \(size.bytes) bytes, the volume \(volume.size.bytes)",
                remedy: "a guest's disk never becomes smaller")
        }
        return VolumeMove(
            place: place, size: size, formerName: try await formerName(volume), hasSameData: options.hasSameData)
    }

    /// A name for the LV that is left: `web1.old`, or with a number. Nil where an attachment is left.
    private func formerName(_ volume: Volume) async throws -> VolumeName? {
        guard let reference = volume.place.logicalVolume else { return nil }
        let volumes = try LVMReport.volumes(
            try await host.runner.run(LVMCommands.listVolumes(in: reference.group)).output)
        let taken = Set(try host.recordedVolumes().map(\.name)).union(try host.attachments().map(\.name))
            .union(try host.links.list())
        for number in 1...100 {
            let name = try VolumeName("\(volume.name).old" + (number == 1 ? "" : "\(number)"))
            let isLV = volumes.contains { $0.reference.name == LogicalVolumeName(of: name) }
            if !isLV, !taken.contains(name) { return name }
        }
        throw Failure(
            .refused, "there is no free name for what '\(volume.name)' is on now",
            remedy: "remove old copies: see 'xenlvs volume list'")
    }

    private func attachmentSize(
        _ name: VolumeName, for volume: Volume, _ options: MoveOptions, _ what: String
    ) async throws -> ByteCount {
        let device = try await host.switches.checkedDevice(volume.name, at: .attachment(name), nil)
        try await checkLeadsThere(name, doing: what)
        let claimants = try host.recordedVolumes().filter {
            $0.place.attachment == name || $0.switchGoal?.move?.place.attachment == name
        }
        if let other = claimants.first {
            throw Failure(.busy, what, why: "the volume '\(other.name)' is on it")
        }
        let uses = try await DeviceUse.lasting(on: host) { try $0.plainUses(of: [device]) }
        if let first = uses.first {
            throw Failure(.busy, what, why: uses.map(\.sentence).joined(separator: "; "), remedy: first.remedy)
        }
        if try device.isClaimed() {
            throw Failure(.busy, what, why: "something has claimed \(device.path)", remedy: "see 'lsblk'")
        }
        if options.copies, !options.overwrites, try await !isBlank(device) {
            throw Failure(
                .refused, what, why: "it is not empty, and would be overwritten",
                remedy: "look at it ('file -s \(device.path)'); if nothing of it is needed, give --overwrite")
        }
        return try device.size()
    }

    /// Throws `.refused` where an iSCSI target leads to another disk by now: that would be written over.
    func checkLeadsThere(_ name: VolumeName, doing what: String) async throws {
        guard case .iscsi(let attachment) = try host.attachment(name) else { return }
        try await ISCSIProbing(host: host).requireRecorded(attachment, doing: what)
    }

    /// Whether its first mebibyte is zeroes. Partition tables, file systems and LVM's labels are there.
    private func isBlank(_ device: BlockDevice) async throws -> Bool {
        let path = device.node
        return try await Blocking.run("first bytes") { try DeviceHead.isZero(path, bytes: 1 << 20) }
    }

    /// Makes the LV where there is none. Returns its UUID; nil for an attachment.
    func make(_ volume: Volume, _ move: VolumeMove) async throws -> String? {
        guard let reference = move.place.logicalVolume else { return nil }
        var found = try await store.find(volume.name, .data, at: move.place)
        if let there = found, !there.tags.contains(LogicalVolumeTag.swap.text) {
            throw Failure(
                .refused, "cannot make \(reference)", why: "there is an LV of that name that no swap has made",
                remedy: "see whose it is with 'lvs -o +tags \(reference)'; rename or remove it")
        }
        if found == nil {
            try await store.create(
                volume.name, .data, at: move.place, size: move.size, migration: nil, isTargetOfSwap: true)
            found = try await store.find(volume.name, .data, at: move.place)
        }
        guard let found, found.size == move.size, let uuid = found.uuid else {
            throw Failure(
                .failed, "cannot make \(reference) of \(move.size)", why: "it has \(found?.size.description ?? "none")",
                remedy: "xenlvs swap \(volume.name) --to volume, then repeat")
        }
        return uuid
    }

    /// Removes what a move that is taken back has made.
    func remove(_ name: VolumeName, _ move: VolumeMove) async throws {
        guard move.place.logicalVolume != nil, let found = try await store.find(name, .data, at: move.place),
            found.tags.contains(LogicalVolumeTag.swap.text)
        else { return }
        try await store.remove(name, .data, at: move.place)
    }

    /// Throws where a guest could not go on with the other device what it has begun with this one.
    func checkGeometry(_ devices: MoveDevices, _ volume: Volume) async throws {
        let what = "cannot swap '\(volume.name)' to \(devices.copy.path)"
        let (former, new) = (try devices.plain.logicalBlockSize(), try devices.copy.logicalBlockSize())
        guard new <= former else {
            throw Failure(
                .refused, what,
                why: "it is written in blocks of \(new) bytes, and what is on '\(volume.name)' counts on \(former)")
        }
        guard let found = try await host.switches.find(volume) else { return }
        let hasCache = try devices.copy.hasVolatileCache()
        for backend in BlockBackend.all() where backend.device == found.number {
            guard let query = backend.flushQuery else { continue }
            let flushes = try await host.runner.run(query).output.filter { !$0.isWhitespace } == "1"
            guard flushes != hasCache else { continue }
            // The backend that is there goes on to take flushes. The one after a save and restore would not.
            throw Failure(
                .refused, what,
                why: hasCache
                    ? "it has a cache that must be flushed, and its guest was told at its start that its disk has none"
                    : "it takes no flushes, and its guest was told at its start to flush: after a save, a checkpoint or a "
                        + "migration each flush would fail",
                remedy: "start the guest anew on it: shut it down, swap, create it"
                    + (hasCache ? "" : "; or attach an AoE disk with --take-flushes"))
        }
    }
}

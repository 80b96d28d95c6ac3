import HostModel
import Hosts
import Migration
import Storage

extension VolumeManager {
    /// Removes a volume with its data, its link and its record, or a snapshot that xenlvs made.
    ///
    /// Refused while anything uses it. What a killed run has left is removed by the next one.
    /// - Parameter force: also a copy that a migration began to fill and does not know any more, and the record of a volume
    ///   whose data are not there. Never anything that is in use or that somebody may still need.
    /// - Returns: what was removed, one line each.
    /// - Throws: `.notFound`, `.busy` with who uses it, `.inconsistent` where the LV is another one than
    ///   the recorded.
    public func remove(_ name: VolumeName, force: Bool) async throws -> [String] {
        try await VolumeLock.holding(name, of: host) {
            guard let volume = try record(of: name) else { return try await removeSnapshot(name) }
            let use = try await host.currentUse(asksLVM: volume.place.logicalVolume != nil)
            try checkState(volume, use, force)
            let keeper = LinkKeeper(host: host)
            let plain = try await keeper.plainDevice(volume)
            let facts = try await keeper.facts(name, volume, use.migrations)
            var found = try self.uses(of: volume, plain, use)
            if let plain {
                found += try await PartitionMapper(host: host).maps(of: plain).map { VolumeUse(.holder, $0) }
            }
            try checkUnused(volume, found, plain, facts)
            return try await remove(volume, use, facts, force)
        }
    }

    private func checkState(_ volume: Volume, _ use: HostUse, _ force: Bool) throws {
        let what = "cannot remove the volume '\(volume.name)'"
        if case .replica = volume.switchGoal {
            throw Failure(
                .busy, what, why: "its switch leads to a replica",
                remedy: "go back first: xenlvs swap \(volume.name) --to volume")
        }
        if let move = volume.switchGoal?.move {
            throw Failure(
                .busy, what, why: "it is on its way to \(move.place)", remedy: move.remedy(volume.name))
        }
        switch volume.state {
        case .active, .retired, .former: break
        case .restoring(let checkpoint):
            throw Failure(
                .busy, what, why: "it \(volume.state.objection ?? "")",
                remedy: "repeat 'xenlvs domain checkpoint restore \(checkpoint)'")
        case .incoming(let id):
            let isKnown = use.migrations.contains { $0.id.text == id }
            guard force, !isKnown else {
                throw Failure(
                    .refused, what, why: "it \(volume.state.objection ?? "")",
                    remedy: isKnown
                        ? "see 'xenlvs migration status \(id)'; resume or abort it first"
                        : "nobody knows that migration any more: remove the volume with --force")
            }
        }
    }

    /// What holds the volume. The migration that has left an old copy behind has no more use for it.
    private func uses(of volume: Volume, _ plain: BlockDevice?, _ use: HostUse) throws -> [VolumeUse] {
        var linked: BlockDeviceNumber?
        if case .link(_, .device(_, let number)) = try host.links.read(volume.name) { linked = number }
        var uses = try use.uses(
            of: volume.name, at: volume.place, plain: plain, linked: linked, own: use.devices(of: volume)
        ).filter { $0.kind != .snapshot }
        if case .retired(let id) = volume.state { uses.removeAll { $0 == VolumeUse(.migration, id) } }
        guard let reference = volume.place.logicalVolume else { return uses }
        // By the UUID of an LV that is there: of one that is lost a checkpoint is of no use, and cannot be removed either.
        let dependants = VolumeDependants(
            of: reference, uuid: use.logicalVolume(reference)?.uuid, among: use.snapshots,
            try CheckpointStore(host.paths).all())
        return uses + dependants.uses
    }

    private func checkUnused(
        _ volume: Volume, _ uses: [VolumeUse], _ plain: BlockDevice?, _ facts: LinkFacts
    ) throws {
        let what = "cannot remove the volume '\(volume.name)'"
        if let first = uses.first {
            throw Failure(.busy, what, why: uses.sentences, remedy: first.remedy)
        }
        if case .file = volume.place, try plain?.isClaimed() == true {
            throw Failure(
                .busy, what, why: "something has claimed its loop device", remedy: "see 'lsblk' and 'losetup'")
        }
        switch facts.verdict {
        case .notALink, .replacedByHand: throw Failure(.refused, what, why: facts.why, remedy: facts.remedy)
        case .right, .onReplica, .migration, .rightlyAbsent, .missing, .dangling, .notRecorded, .mustNotBe:
            break
        }
    }

    /// The link goes first: it must never lead to another's data. It comes back where the data cannot be removed.
    private func remove(
        _ volume: Volume, _ use: HostUse, _ facts: LinkFacts, _ force: Bool
    ) async throws -> [String] {
        let found = try await findRemovable(volume, force)
        var removed: [String] = []
        if try host.links.remove(volume.name) { removed.append(facts.path) }
        do {
            try await host.switches.takeAway(volume)
            removed += try await removeStorage(volume, found)
        } catch {
            if let target = facts.target, facts.verdict == .right {
                if volume.switchGoal != nil { try await host.switches.bringUp(volume) }
                try host.links.set(volume.name, to: target)
            }
            throw error
        }
        try host.database.removeVolume(volume.name)
        return removed
    }

    /// The volume's data, known to be the recorded ones; nil where they are gone and that may be.
    private func findRemovable(_ volume: Volume, _ force: Bool) async throws -> VolumeStore.Found? {
        if volume.place.attachment != nil { return nil }
        guard let found = try await findStorage(volume) else {
            if force { return nil }
            throw Failure(
                .refused, "cannot remove the volume '\(volume.name)'",
                why: "\(volume.place.dataPath(of: volume.name)) is not there",
                remedy: "mount or activate what it lies on; if it is gone for good, forget it with --force")
        }
        if let uuid = volume.logicalVolumeUUID, uuid != found.uuid {
            throw Failure(
                .inconsistent, "\(volume.place) is not what is recorded for volume \(volume.name)",
                why: "its UUID is \(found.uuid ?? "unknown"), recorded is \(uuid)",
                remedy: "somebody made it anew: rename it, then remove the volume again")
        }
        return found
    }

    private func removeStorage(_ volume: Volume, _ found: VolumeStore.Found?) async throws -> [String] {
        let name = volume.name
        if volume.place.attachment != nil { return ["the record of \(name); its data stay on the \(volume.place)"] }
        guard found != nil else {
            let record = "the record of \(name), whose data are not there"
            guard case .file = volume.place, let loop = try? await store.presentDevice(name, .data, at: volume.place)
            else { return [record] }
            try await store.remove(name, .data, at: volume.place)
            return [record, loop]
        }
        var removed: [String] = []
        if let metadata = try await store.find(name, .metadata, at: volume.place), metadata.isOurs {
            try await store.remove(name, .metadata, at: volume.place)
            removed.append("the DRBD metadata of \(name)")
        }
        try await store.remove(name, .data, at: volume.place)
        return removed + ["\(volume.place.dataPath(of: name))"]
    }

    /// The volume's data; nil also where its volume group or directory is not there.
    private func findStorage(_ volume: Volume) async throws -> VolumeStore.Found? {
        do { return try await store.find(volume.name, .data, at: volume.place) } catch {
            switch volume.place {
            case .logicalVolume(let group, _):
                let groups = try LVMReport.groups(try await host.runner.run(LVMCommands.listGroups()).output)
                if !groups.contains(where: { $0.name == group }) { return nil }
            case .file: if Failure(error, doing: "cannot look at the pool").code == .notFound { return nil }
            case .attachment: break
            }
            throw error
        }
    }

    private func removeSnapshot(_ name: VolumeName) async throws -> [String] {
        let use = try await host.currentUse(asksLVM: true)
        guard let snapshot = use.snapshots.first(where: { $0.name == LogicalVolumeName(of: name) }),
            let found = use.logicalVolume(LogicalVolumeReference(group: snapshot.group, name: snapshot.name)),
            found.isOurs
        else {
            throw Failure(
                .notFound, "there is no volume or snapshot '\(name)'", remedy: "see 'xenlvs volume list'")
        }
        let what = "cannot remove the snapshot \(found.reference)"
        let worker = HostWorker(host: host, version: Version.text)
        if let checkpoint = try CheckpointManager(worker: worker).checkpoint(withSnapshot: found.reference) {
            throw Failure(
                .busy, what, why: "it belongs to the checkpoint '\(checkpoint.name)' of \(checkpoint.domain)",
                remedy: "xenlvs domain checkpoint remove \(checkpoint.name)")
        }
        let device = try? BlockDevice(at: found.reference.devicePath)
        let uses = try use.uses(
            of: name, at: .logicalVolume(group: snapshot.group, name: snapshot.name), plain: device, linked: nil)
        if let first = uses.first {
            throw Failure(.busy, what, why: uses.sentences, remedy: first.remedy)
        }
        try await host.runner.run(LVMCommands.remove(found))
        let output = try await host.runner.run(LVMCommands.findVolume(found.reference)).output
        guard try LVMReport.volumes(output).isEmpty else { throw Failure(.failed, what, why: "it is still there") }
        return ["\(found.reference), a snapshot of \(snapshot.origin)"]
    }
}

extension VolumePlace {
    /// What holds the volume's data, for people: `vg0/web1`, `/srv/pool/web1.img`.
    func dataPath(of name: VolumeName) -> String {
        switch self {
        case .logicalVolume: description
        case .file(let directory): "\(directory)/\(name)\(FilePool.Role.data.rawValue)"
        case .attachment: description
        }
    }
}

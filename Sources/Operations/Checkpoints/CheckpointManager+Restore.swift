import Domains
import HostModel
import Hosts
import Storage

extension CheckpointManager {
    /// Puts the disks back to a checkpoint and restores the domain from it. The checkpoint stays, and can be restored again.
    ///
    /// What the disks have held since is lost. While they are put back they are nobody's: their links are away.
    /// - Throws: `.busy` where the domain is there, unless an earlier run has restored it, or something has a disk;
    ///   `.refused` where a snapshot is lost or a disk is another one than that of the checkpoint.
    public func restore(_ name: VolumeName, say: @Sendable (String) -> Void = { _ in }) async throws -> Checkpoint {
        let domain = try store.find(name).domain
        return try await holding(domain) {
            var checkpoint = try store.find(name)
            guard checkpoint.stage != .making else {
                throw Failure(
                    .refused, "cannot restore '\(name)'", why: "it is not finished", remedy: Self.remedy(checkpoint))
            }
            if let other = try store.all().first(where: {
                $0.domain == domain && $0.name != name && ($0.stage == .rollingBack || $0.stage == .starting)
            }) {
                throw Failure(
                    .busy, "cannot restore '\(name)'", why: "the restore of '\(other.name)' has not ended",
                    remedy: Self.remedy(other))
            }
            return try await holding(checkpoint.disks.map(\.volume)) {
                do {
                    try await revive(&checkpoint, say)
                    host.effects.pass(.start, .before)
                    try await handle(checkpoint).start(checkpoint.disks.map { ($0.device, $0.volume) })
                    host.effects.pass(.start, .after)
                } catch let failure as Failure {
                    throw failure.outsideMigrations(next: Self.remedy(checkpoint))
                }
                (checkpoint.stage, checkpoint.revival) = (.whole, nil)
                try store.save(checkpoint)
                return checkpoint
            }
        }
    }

    /// Restores the domain, unless an earlier run has, and records its number.
    private func revive(_ checkpoint: inout Checkpoint, _ say: (String) -> Void) async throws {
        var restored = try await restoredEarlier(checkpoint)
        if restored == nil {
            try await rollBack(&checkpoint, say)
            host.effects.pass(.revive, .before)
            try await handle(checkpoint).restorePaused(from: store.image(checkpoint.name).path)
            host.effects.pass(.revive, .after)
            restored = try await handle(checkpoint).find()?.id
        }
        guard let id = restored else {
            throw Failure(.failed, "the domain \(checkpoint.domain) was restored but is not there")
        }
        checkpoint.revival = Checkpoint.Revival(machine: try MachineIdentity.read(), id: id)
        try store.save(checkpoint)
    }

    /// The domain that an earlier run has restored. An `xl restore` that goes on by itself is waited for.
    /// - Throws: `.busy` for a domain that is there for another reason: its disks need not be as at the checkpoint.
    private func restoredEarlier(_ checkpoint: Checkpoint) async throws -> DomainID? {
        let machine = try MachineIdentity.read()
        let isStarting = checkpoint.stage == .starting
        // Of an earlier boot there is no `xl restore`, and nothing that one has left half made.
        let mayBeUnfinished = isStarting && (checkpoint.revival?.machine ?? machine) == machine
        let found = try await mayBeUnfinished ? settled(checkpoint) : handle(checkpoint).find()
        guard let (id, state) = found else { return nil }
        let isRecorded = checkpoint.revival == Checkpoint.Revival(machine: machine, id: id)
        if isStarting {
            if isRecorded, state == .paused || state == .active { return id }
            // A run that was killed has not recorded what it restored; `xl restore` stays for as long as that lives.
            if state == .paused, try ProcessTable.isRestoring([store.image(checkpoint.name).path]) { return id }
        }
        let doubt = isStarting && !isRecorded ? ", and is not known to be what was restored from it" : ""
        let choice = isStarting ? "; to keep it as it is: xenlvs domain checkpoint remove \(checkpoint.name)" : ""
        throw Failure(
            .busy, "cannot restore '\(checkpoint.name)'",
            why: "the domain \(checkpoint.domain) is there (\(state.rawValue))" + doubt,
            remedy: "end it first: xl shutdown \(checkpoint.domain), or xl destroy \(checkpoint.domain)" + choice)
    }

    private func settled(_ checkpoint: Checkpoint) async throws -> (id: DomainID, state: DomainState)? {
        do {
            return try await handle(checkpoint).clearUnfinished(store.image(checkpoint.name).path)
        } catch var failure as Failure where failure.code == .needsRecovery {
            // Not for `recover`, which restores no checkpoint.
            failure.remedy = "look at 'xl list' and at the processes named xl, then \(Self.remedy(checkpoint))"
            throw failure
        }
    }

    private func rollBack(_ checkpoint: inout Checkpoint, _ say: (String) -> Void) async throws {
        var volumes: [Volume] = []
        for disk in checkpoint.disks { volumes.append(try await checkRestorable(disk, checkpoint)) }
        try store.image(checkpoint.name).seal()
        (checkpoint.stage, checkpoint.revival) = (.rollingBack, nil)
        host.effects.pass(.rollBack, .before)
        try store.save(checkpoint)
        for (disk, volume) in zip(checkpoint.disks, volumes) {
            var held = volume
            held.state = .restoring(checkpoint: checkpoint.name)
            try host.put(held)
            try host.links.remove(volume.name)
            let written = try await putBack(disk)
            say("\(volume.name): \(written) of \(disk.size) had changed, and are put back")
        }
        for volume in volumes {
            var active = volume
            active.state = .active
            try host.put(active)
            let target =
                active.switchGoal == nil
                ? try await host.switches.checkedDevice(active).path : try await host.switches.bringUp(active)
            try host.links.set(active.name, to: target)
        }
        checkpoint.stage = .starting
        checkpoint.revival = Checkpoint.Revival(machine: try MachineIdentity.read())
        try store.save(checkpoint)
        host.effects.pass(.rollBack, .after)
    }

    /// The volume of a disk, where it is the one of the checkpoint and nobody has it.
    private func checkRestorable(_ disk: Checkpoint.Disk, _ checkpoint: Checkpoint) async throws -> Volume {
        let what = "cannot restore '\(checkpoint.name)'"
        let volume = try host.recordedVolume(disk.volume)
        let objection = checkpoint.objection(to: volume, for: disk)
        guard let volume, objection == nil else {
            throw Failure(
                .refused, what, why: objection, remedy: "see 'xenlvs volume show \(disk.volume)'")
        }
        switch volume.switchGoal {
        case .volume, nil: break
        case .replica, .move:
            throw Failure(
                .busy, what, why: "the switch of '\(disk.volume)' leads elsewhere",
                remedy: "go back first: xenlvs swap \(disk.volume) --to volume")
        }
        let use = try await host.currentUse(asksLVM: true)
        guard
            let snapshot = use.snapshots.first(where: {
                $0.group == disk.snapshot.group && $0.name == disk.snapshot.name
            }),
            snapshot.origin.text == disk.volume.text, !snapshot.isInvalid
        else {
            throw Failure(
                .refused, what, why: "the snapshot \(disk.snapshot) is lost: it ran full, or was removed",
                remedy: "xenlvs domain checkpoint remove \(checkpoint.name)")
        }
        let plain = try await LinkKeeper(host: host).plainDevice(volume)
        let uses = try use.uses(
            of: volume.name, at: volume.place, plain: plain, linked: nil, own: use.devices(of: volume)
        ).filter { $0.kind != .snapshot }
        if let first = uses.first {
            throw Failure(.busy, what, why: uses.map(\.sentence).joined(separator: "; "), remedy: first.remedy)
        }
        return volume
    }

    private func putBack(_ disk: Checkpoint.Disk) async throws -> ByteCount {
        if (try? BlockDevice(at: disk.snapshot.devicePath)) == nil {
            try await host.runner.run(LVMCommands.activate(disk.snapshot))
        }
        let rollback = DiskRollback(
            from: disk.snapshot.devicePath,
            to: LogicalVolumeReference(group: disk.snapshot.group, name: LogicalVolumeName(of: disk.volume)).devicePath,
            size: disk.size)
        return try await Blocking.run("roll back") { try rollback.run() }
    }

    /// Removes a checkpoint: its snapshots, its image, its record. The domain and its disks stay as they are.
    public func remove(_ name: VolumeName) async throws -> [String] {
        let domain = try store.find(name).domain
        return try await holding(domain) {
            let checkpoint = try store.find(name)
            switch checkpoint.stage {
            case .whole, .starting: break
            case .making:
                let wasStopped = try await undo(checkpoint)
                return ["what was made of \(name)" + (wasStopped ? "; the domain runs on" : "")]
            case .rollingBack:
                throw Failure(
                    .refused, "cannot remove '\(name)'", why: "disks are being put back to it, and have nothing else",
                    remedy: Self.remedy(checkpoint))
            }
            for disk in checkpoint.disks { try await removeSnapshot(disk) }
            try store.remove(name)
            return checkpoint.disks.map { "the snapshot \($0.snapshot)" } + ["\(store.image(name).path)"]
        }
    }
}

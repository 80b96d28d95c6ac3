import Domains
import HostModel
import Hosts
import Migration
import Storage

/// Keeps a domain's memory and disks as they are at one moment, while it runs on, and brings it back to them.
///
/// `xl save -p` leaves the domain paused once its memory is written, with its disks as they are: nothing it has not seen
/// answered is lost, because a restored guest puts the requests that were under way to its disks again. The snapshots are
/// taken inside that pause, so they belong to the image; then the domain runs on. A run that is killed inside leaves the
/// domain paused: that is recorded first, and `recover` lets it run on.
public struct CheckpointManager: Sendable {
    let worker: HostWorker
    let store: CheckpointStore
    /// How long an `lvcreate` that is past its deadline, or of a killed run, is waited for. Another one for tests.
    var patience = Duration.seconds(60)
    var host: HostContext { worker.host }

    public init(worker: HostWorker) {
        self.worker = worker
        store = CheckpointStore(worker.host.paths)
    }

    /// Makes a checkpoint of a running domain.
    /// - Parameter room: for what changes on each disk from now on; by default a fifth of the disk.
    /// - Throws: `.refused` where a disk is on no LV or there is no room, `.busy` where a migration, a swap or another
    ///   checkpoint has it.
    public func create(_ name: DomainName, room: ByteCount?) async throws -> Checkpoint {
        try await holding(name) {
            // First: a run that was killed may have left the domain paused.
            if let open = try store.all().first(where: { $0.domain == name && $0.stage != .whole }) {
                throw Failure(
                    .busy, "cannot make a checkpoint of '\(name)'",
                    why: "the checkpoint '\(open.name)' is not finished",
                    remedy: Self.remedy(open))
            }
            let description = try await MigrationStarter(worker: worker).describe(name)
            guard let id = description.id else {
                throw Failure(.refused, "cannot make a checkpoint of Domain-0")
            }
            let volumes = DiskCheck.assign(description)
            if let finding = volumes.findings.first {
                throw Failure(
                    .refused, "cannot make a checkpoint of '\(name)'", why: finding.what, remedy: finding.remedy)
            }
            return try await holding(volumes.volumes.map(\.volume)) {
                try await make(try await plan(description, volumes.volumes, room), id, room)
            }
        }
    }

    /// Only one command at a time has a domain's checkpoints. A killed one leaves no lock behind.
    func holding<Value>(_ name: DomainName, _ body: () async throws -> Value) async throws -> Value {
        let lock = try host.lockStopping(name, purpose: "a checkpoint of the domain '\(name)'")
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    func holding<Value>(_ volumes: [VolumeName], _ body: () async throws -> Value) async throws -> Value {
        guard let first = volumes.first else { return try await body() }
        return try await VolumeLock.holding(first, of: host, patience: .seconds(10)) {
            try await holding(Array(volumes.dropFirst()), body)
        }
    }

    static func remedy(_ checkpoint: Checkpoint) -> String {
        switch checkpoint.stage {
        case .making: "run 'xenlvs recover': the domain runs on, and what was begun is removed"
        case .rollingBack, .starting: "repeat 'xenlvs domain checkpoint restore \(checkpoint.name)'"
        case .whole: "see 'xenlvs domain checkpoint list'"
        }
    }

    // MARK: - Making one

    private func plan(
        _ description: DomainDescription, _ volumes: [(device: String, volume: VolumeName)], _ room: ByteCount?
    ) async throws -> Checkpoint {
        let domain = try DomainName(description.name)
        let what = "cannot make a checkpoint of '\(domain)'"
        try host.database.requireNoOpenMigration(of: domain)
        let use = try await host.currentUse(asksLVM: true)
        let number = try freeNumber(domain, volumes.map(\.volume), use)
        var disks: [Checkpoint.Disk] = []
        for (device, name) in volumes {
            let volume = try requireAtRest(name, use, doing: what)
            guard let reference = volume.place.logicalVolume, let uuid = volume.logicalVolumeUUID else {
                throw Failure(
                    .refused, what, why: "\(device) is on '\(name)', which is no LV: it has no snapshots",
                    remedy: "keep it in a volume group")
            }
            let snapshot = try Checkpoint.snapshotName(of: name, number)
            disks.append(
                Checkpoint.Disk(
                    device: device, volume: name, logicalVolumeUUID: uuid, size: volume.size,
                    snapshot: LogicalVolumeReference(group: reference.group, name: LogicalVolumeName(of: snapshot))))
        }
        let name = try VolumeName("\(domain)-\(number)")
        try store.prepare()
        try store.image(name).checkRoom(for: description, doing: what)
        return Checkpoint(
            name: name, domain: domain, uuid: description.uuid ?? "",
            memory: max(description.targetMemory, description.maximumMemory), stage: .making,
            created: HostContext.now(),
            disks: disks)
    }

    /// The volume where nothing but its domain and its snapshots has it.
    private func requireAtRest(_ name: VolumeName, _ use: HostUse, doing what: String) throws -> Volume {
        guard let volume = try host.recordedVolume(name) else {
            throw Failure(.notFound, what, why: "there is no volume '\(name)'", remedy: "see 'xenlvs volume list'")
        }
        if let objection = volume.objection { throw Failure(.refused, what, why: "'\(name)' \(objection)") }
        if let migration = use.migrations(of: name).first {
            let held = VolumeUse(.migration, migration.id.text)
            throw Failure(.busy, what, why: held.sentence, remedy: held.remedy)
        }
        switch volume.switchGoal {
        case .volume, nil: return volume
        case .replica:
            throw Failure(
                .busy, what, why: "'\(name)' is on a replica", remedy: "go back first: xenlvs swap \(name) --to volume")
        case .move(let move):
            throw Failure(
                .busy, what, why: "'\(name)' is on its way to \(move.place)", remedy: move.remedy(name))
        }
    }

    private func freeNumber(_ domain: DomainName, _ volumes: [VolumeName], _ use: HostUse) throws -> Int {
        let known = Set(try store.all().map(\.name))
        let lvs = Set(use.logicalVolumes.map(\.reference.name))
        for number in 1...1000 {
            let names = try volumes.map { LogicalVolumeName(of: try Checkpoint.snapshotName(of: $0, number)) }
            if !known.contains(try VolumeName("\(domain)-\(number)")), lvs.isDisjoint(with: names) { return number }
        }
        throw Failure(.refused, "there are too many checkpoints of '\(domain)'", remedy: "remove some")
    }

    private func make(_ planned: Checkpoint, _ id: DomainID, _ room: ByteCount?) async throws -> Checkpoint {
        host.effects.pass(.note, .before)
        try store.save(planned)
        host.effects.pass(.note, .after)
        do {
            var made = planned
            made.freezeMilliseconds = try await take(planned, id, room).milliseconds
            try store.image(planned.name).seal()
            made.stage = .whole
            host.effects.pass(.seal, .before)
            try store.save(made)
            host.effects.pass(.seal, .after)
            return made
        } catch {
            throw await givenUp(
                planned, because: Failure(error, doing: "cannot make a checkpoint of \(planned.domain)"))
        }
    }

    /// Saves, takes the snapshots and lets the domain run on. Returns how long it was stopped at most.
    private func take(_ checkpoint: Checkpoint, _ id: DomainID, _ room: ByteCount?) async throws -> Duration {
        let image = try store.image(checkpoint.name).create()
        // Asked for before the pause: LVM is slow.
        let snapshots = try await snapshotCommands(checkpoint, room)
        let began = ContinuousClock.now
        host.effects.pass(.memory, .before)
        try await handle(checkpoint).save(id, to: image, then: .keepPaused)
        host.effects.pass(.memory, .after)
        try await takeSnapshots(of: checkpoint, snapshots)
        host.effects.pass(.goOn, .before)
        try await host.runner.run(XLCommands.unpause(id))
        host.effects.pass(.goOn, .after)
        return ContinuousClock.now - began
    }

    /// Each command holds a lock for as long as it lives: what it makes after its deadline, or after this run was
    /// killed, has to be found by whoever removes what was begun.
    private func takeSnapshots(of checkpoint: Checkpoint, _ commands: [Command]) async throws {
        let lock = try FileLock(path: snapshotLock(checkpoint), purpose: "taking snapshots for '\(checkpoint.name)'")
        do {
            for command in commands {
                host.effects.pass(.snapshot, .before)
                try await host.runner.run(command, holding: lock)
                host.effects.pass(.snapshot, .after)
            }
        } catch let failure as Failure where failure.code == .outcomeUnknown {
            lock.leave()
            throw failure
        }
    }

    private func snapshotCommands(_ checkpoint: Checkpoint, _ room: ByteCount?) async throws -> [Command] {
        var commands: [Command] = []
        var taken: [VolumeGroupName: ByteCount] = [:]
        for disk in checkpoint.disks {
            var group = try await VolumeStore(runner: host.runner).group(disk.snapshot.group)
            group.free = group.free - (taken[group.name] ?? ByteCount(0))
            let wanted = room ?? max(.mebibytes(16), ByteCount(disk.size.bytes / 5))
            let size = group.roundedUp(min(wanted, disk.size))
            commands.append(
                try SnapshotCommands.create(
                    VolumeName(disk.snapshot.name.text), of: disk.volume,
                    origin: LogicalVolumeReference(
                        group: disk.snapshot.group, name: LogicalVolumeName(of: disk.volume)), size: size, in: group))
            taken[group.name, default: ByteCount(0)] = (taken[group.name] ?? ByteCount(0)) + size
        }
        return commands
    }

    /// The domain runs on, and nothing is left of what was begun. So it is too where a command has passed its deadline: a
    /// guest may run while LVM takes a snapshot of its disk, and what is recorded as being made is never restored.
    private func givenUp(_ checkpoint: Checkpoint, because cause: Failure) async -> Failure {
        let what = "cannot make a checkpoint of '\(checkpoint.domain)'"
        var state = "the domain may stand still"
        do {
            let wasStopped = try await handle(checkpoint).letGo()
            state = wasStopped ? "the domain was stopped, and runs on" : "the domain is not stopped"
            try await discard(checkpoint)
        } catch {
            return Failure(
                .needsRecovery, what, why: "\(state); what was begun of '\(checkpoint.name)' is not removed",
                remedy: "run 'xenlvs recover'; see 'xl list'",
                causes: [cause, Failure(error, doing: "cannot take it back")].map { $0.outsideMigrations() })
        }
        guard cause.code == .outcomeUnknown else { return cause }
        return cause.dealtWith(doing: what, "\(state), and nothing is left of '\(checkpoint.name)'")
    }
}

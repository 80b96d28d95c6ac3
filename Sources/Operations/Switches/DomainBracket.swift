import Domains
import HostModel
import Hosts
import Migration
import Storage

/// A domain that is saved and restored once, on the same host, so that it opens what its links lead to by now.
///
/// It stays in Xen, paused, until its image is whole and recorded: up to then it can run on as if nothing had been. From then
/// on, until it is there again, the image is all that there is of its memory. How far it has come is recorded before anything
/// is done, so that the next run, or `recover`, brings it back. An image of an earlier boot is never restored, nor one whose
/// disks were written to since: somebody has started the guest from them meanwhile, or has changed them.
public struct DomainBracket: Sendable {
    let worker: HostWorker
    private let store: RecordDirectory<Record>
    /// Throws where the kernel does not count what is written to a device. Another one for tests.
    let requireCount: @Sendable (BlockDevice, DeviceTree) throws -> Void
    var host: HostContext { worker.host }

    public init(worker: HostWorker) {
        self.init(worker: worker) { device, tree in try WriteCount.require(device, in: tree) }
    }

    init(worker: HostWorker, requireCount: @escaping @Sendable (BlockDevice, DeviceTree) throws -> Void) {
        self.worker = worker
        self.requireCount = requireCount
        store = RecordDirectory(path: worker.host.paths.state + "/brackets") { $0.domain.text }
    }

    func image(_ name: DomainName) -> SavedImageFile { SavedImageFile(path: "\(store.path)/\(name).image") }

    /// Saves and restores a running domain, after bringing it back where an earlier run has left it away. Returns how long it
    /// stood still at most.
    /// - Throws: `.refused` for a domain that cannot be saved, or whose disks are not all on links; `.busy` where a migration
    ///   has it; `.needsRecovery` where it was saved and is not back.
    public func perform(_ name: DomainName) async throws -> Duration {
        try await holding(name) {
            try await finish(name)
            let description = try await MigrationStarter(worker: worker).describe(name)
            guard let id = description.id else { throw Failure(.refused, "Domain-0 cannot be saved") }
            let record = try check(description, name, id)
            try store.save(record)
            host.effects.pass(.bracket, .before)
            let began = ContinuousClock.now
            let away: Record
            do { away = try await takeMemory(record, id) } catch {
                throw await letGo(record, because: Failure(error, doing: "cannot save \(name)"))
            }
            host.effects.pass(.bracket, .after)
            let outcome: Outcome
            do { outcome = try await bringBack(away) } catch {
                throw Failure(
                    .needsRecovery, "the domain \(name) was saved, and is not back",
                    why: Failure(error, doing: "cannot restore it").outsideMigrations().description,
                    remedy: "run 'xenlvs recover'; its memory is in \(image(name).path)")
            }
            try requireBack(name, outcome)
            return ContinuousClock.now - began
        }
    }

    /// Puts switches before a domain's disks, of all or of one, and, where it has not opened them yet, has it do so. Returns
    /// the disks, and how long it stood still: nil where it did not have to, or where a volume was named.
    public func prepare(
        _ name: String, device: String?
    ) async throws -> (disks: [(device: String?, volume: VolumeName)], stoodStill: Duration?) {
        let domain = try DomainName(name)
        // One that a run has left away has no disks to be seen.
        if try isAway(domain) { try await holding(domain) { try await finish(domain) } }
        let disks = try await SwapManager(worker: worker).disks(of: name, device: device)
        var isOpen = false
        for disk in disks {
            let prepared = try await DomainPreparer(worker: worker).prepare(disk.volume, device: disk.device)
            isOpen = isOpen || prepared.takesEffectAtNextStart
        }
        return (disks, isOpen ? try await perform(domain) : nil)
    }

    /// Whether a run that has saved the domain has not ended: it may not be there.
    func isAway(_ name: DomainName) throws -> Bool { try record(name) != nil }

    /// Goes on with what an earlier run has left of it. Throws where it is lost.
    private func finish(_ name: DomainName) async throws {
        guard let open = try record(name) else { return }
        do { try requireBack(name, try await goOn(open)) } catch let failure as Failure {
            throw failure.outsideMigrations(next: "run 'xenlvs recover'")
        }
    }

    private func requireBack(_ name: DomainName, _ outcome: Outcome) throws {
        guard outcome.isLost else { return }
        throw Failure(
            .failed, "the domain \(name) was saved, and was not restored", why: outcome.words,
            remedy: "repeat this once it runs")
    }

    func holding<Value>(_ name: DomainName, _ body: () async throws -> Value) async throws -> Value {
        let lock = try host.lockStopping(name, purpose: "saving the domain '\(name)'")
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    private func handle(_ record: Record) -> DomainHandle {
        DomainHandle(worker: worker, name: record.domain, uuid: record.uuid, memory: record.memory)
    }

    private func check(_ description: DomainDescription, _ name: DomainName, _ id: DomainID) throws -> Record {
        let what = "cannot save and restore '\(name)'"
        if let obstacle = description.obstacles.first { throw Failure(.refused, what, why: obstacle) }
        let assigned = DiskCheck.assign(description)
        if let finding = assigned.findings.first {
            throw Failure(.refused, what, why: finding.what, remedy: finding.remedy)
        }
        // By its domain, too: one on shared disks has no volumes.
        try host.database.requireNoOpenMigration(of: name)
        for (_, volume) in assigned.volumes {
            try SwapManager.requireNoMigration(of: volume, try OpenMigration.all(in: host.database))
        }
        try store.prepare()
        try image(name).checkRoom(for: description, doing: what)
        return Record(
            domain: name, uuid: description.uuid ?? "", id: id,
            memory: max(description.targetMemory, description.maximumMemory),
            disks: assigned.volumes.map { Record.Disk(device: $0.device, volume: $0.volume) },
            machine: try MachineIdentity.read(), stage: .saving)
    }

    /// Saves it and leaves it paused. Returns what is recorded then: that the image is whole, and how the disks are.
    private func takeMemory(_ record: Record, _ id: DomainID) async throws -> Record {
        let image = image(record.domain)
        try await handle(record).save(id, to: try image.create(), then: .keepPaused)
        try image.seal()
        var away = record
        away.stage = .away
        away.disks = try await counted(record.disks)
        try store.save(away)
        return away
    }

    /// The domain runs on: what is in Xen is what it was, and so is what is below it. An `xl save` that has passed its
    /// deadline is waited for once more.
    private func letGo(_ record: Record, because cause: Failure) async -> Failure {
        do {
            let outcome = try await goOn(record)
            // Also that it was stopped, and by whomever: it runs on now.
            guard cause.code != .outcomeUnknown else {
                return cause.dealtWith(doing: "cannot save \(record.domain)", outcome.words)
            }
            var failure = cause
            failure.why = [cause.why, outcome.words].compactMap(\.self).joined(separator: "; ")
            return failure
        } catch {
            return Failure(
                .needsRecovery, "cannot save \(record.domain), and it may stand still",
                remedy: "run 'xenlvs recover'; see 'xl list'",
                causes: [cause, Failure(error, doing: "cannot let it run on")].map { $0.outsideMigrations() })
        }
    }

    /// Restores a domain whose record says that it is away, unless an earlier run has, and lets it run.
    private func bringBack(_ record: Record) async throws -> Outcome {
        let (handle, image) = (handle(record), image(record.domain))
        while true {
            let found = try await handle.clearUnfinished(image.path)
            if let found, found.state != .paused {
                return try giveUp(record, "somebody has let the domain run; its image is removed", isLost: false)
            }
            // By an earlier run.
            if let found, found.id != record.id { break }
            if try isWritten(record) { return try giveUp(record, Self.written) }
            guard let found else {
                host.effects.pass(.bracketBack, .before)
                try await handle.restorePaused(from: image.path)
                break
            }
            // The one that was saved, whose memory is that of the image.
            try await handle.destroy(found.id)
        }
        let restored = try await handle.checkDisks(record.places)
        var record = record
        record.stage = .back
        try store.save(record)
        try await handle.unpause(restored)
        host.effects.pass(.bracketBack, .after)
        try remove(record.domain)
        return Outcome(words: "the domain is restored")
    }

    private static let written =
        "its disks were written to since it was saved, so its image was of no use and is removed; see 'xl list'"

    /// Goes on with what a run has left.
    func goOn(_ record: Record) async throws -> Outcome {
        guard try record.machine == MachineIdentity.read() else {
            return try giveUp(record, "the domain was lost when this host was restarted; start it with 'xl create'")
        }
        if record.stage == .away {
            guard image(record.domain).size != nil else {
                return try giveUp(record, "its image was removed; see 'xl list', 'xl create'")
            }
            // Before anything is asked of whoever has the domain's name by now.
            if try isWritten(record) { return try giveUp(record, Self.written) }
            return try await bringBack(record)
        }
        let handle = handle(record)
        guard let found = try await handle.look(), found.isOurs else {
            return try giveUp(record, "the domain has ended since", isLost: record.stage == .saving)
        }
        if record.stage == .back {
            // Its disks were looked at before that was recorded.
            try await handle.unpause((found.id, found.state))
            try remove(record.domain)
            return Outcome(words: "the domain runs")
        }
        let wasStopped = try await handle.letGo()
        guard try await handle.find() != nil else { return try giveUp(record, "the domain has ended since") }
        try remove(record.domain)
        return Outcome(words: wasStopped ? "the domain was stopped, and runs on" : "the domain runs on")
    }

    private func giveUp(_ record: Record, _ words: String, isLost: Bool = true) throws -> Outcome {
        try remove(record.domain)
        return Outcome(words: words, isLost: isLost)
    }

    func records() throws -> [Record] { try store.all() }

    func record(_ name: DomainName) throws -> Record? { try records().first { $0.domain == name } }

    private func remove(_ name: DomainName) throws { try image(name).remove(with: store.file(of: name.text)) }
}

import Domains
import HostModel
import Hosts
import Migration
import Storage

/// A domain that is saved and restored once, on the same host, so that it opens what its links lead to by now.
///
/// While it is away its image is all that there is of its memory. How far it has come is recorded before anything is done,
/// so that the next run, or `recover`, brings it back; an image of an earlier boot is never restored, as the guest may have
/// been started from its disks since.
public struct DomainBracket: Sendable {
    struct Record: Sendable, Equatable, Codable {
        enum Stage: String, Sendable, Codable {
            /// It is being saved, and may run on.
            case saving
            /// It is away; its image is whole.
            case away
            /// It is there again: the image is spent.
            case back
        }

        struct Disk: Sendable, Equatable, Codable {
            var device: String
            var volume: VolumeName
        }

        var domain: DomainName
        var uuid: String
        var memory: ByteCount
        var disks: [Disk]
        /// The boot of this host in which it was saved.
        var machine: String
        var stage: Stage
    }

    let worker: HostWorker
    private let store: RecordDirectory<Record>
    private var host: HostContext { worker.host }

    public init(worker: HostWorker) {
        self.worker = worker
        store = RecordDirectory(path: worker.host.paths.state + "/brackets") { $0.domain.text }
    }

    private func image(_ name: DomainName) -> SavedImageFile { SavedImageFile(path: "\(store.path)/\(name).image") }

    /// Saves and restores a running domain, or brings one back that an earlier run has left away. Returns how long it stood
    /// still at most.
    /// - Throws: `.refused` for a domain that cannot be saved, or whose disks are not all on links; `.busy` where a migration
    ///   has it.
    public func perform(_ name: DomainName) async throws -> Duration {
        try await holding(name) {
            let began = ContinuousClock.now
            if let open = try record(name) { _ = try await goOn(open) }
            let description = try await MigrationStarter(worker: worker).describe(name)
            let record = try check(description, name)
            guard let id = description.id else { throw Failure(.refused, "Domain-0 cannot be saved") }
            try store.save(record)
            host.effects.pass(.bracket, .before)
            let handle = handle(record)
            do { try await handle.save(id, to: try image(name).create(), then: .destroy) } catch {
                throw try await afterFailedSave(record, Failure(error, doing: "cannot save \(name)"))
            }
            host.effects.pass(.bracket, .after)
            try await bringBack(record)
            return ContinuousClock.now - began
        }
    }

    /// Puts switches before a domain's disks and, where it has not opened them yet, has it do so. Returns how long it stood
    /// still; nil where it did not have to, or where a volume was named.
    public func prepare(
        _ name: String, _ disks: [(device: String?, volume: VolumeName)]
    ) async throws -> Duration? {
        let domain = try DomainName(name)
        // One that a run has left away has no disks to be seen.
        if let open = try record(domain) { _ = try await holding(domain) { try await goOn(open) } }
        var isOpen = false
        for disk in disks {
            let prepared = try await DomainPreparer(worker: worker).prepare(disk.volume, device: disk.device)
            isOpen = isOpen || prepared.takesEffectAtNextStart
        }
        return isOpen ? try await perform(domain) : nil
    }

    private func holding<Value>(_ name: DomainName, _ body: () async throws -> Value) async throws -> Value {
        try PrivateDirectory.prepare(host.paths.run)
        // The same as a checkpoint's: neither saves a domain that the other has stopped.
        let lock = try FileLock(
            path: "\(host.paths.run)/checkpoint-\(name).lock", purpose: "saving the domain '\(name)'")
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    private func handle(_ record: Record) -> DomainHandle {
        DomainHandle(worker: worker, name: record.domain, uuid: record.uuid, memory: record.memory)
    }

    private func check(_ description: DomainDescription, _ name: DomainName) throws -> Record {
        let what = "cannot save and restore '\(name)'"
        if let obstacle = description.obstacles.first { throw Failure(.refused, what, why: obstacle) }
        let assigned = DiskCheck.assign(description)
        if let finding = assigned.findings.first {
            throw Failure(.refused, what, why: finding.what, remedy: finding.remedy)
        }
        for (_, volume) in assigned.volumes {
            try SwapManager.requireNoMigration(of: volume, try OpenMigration.all(in: host.database))
        }
        try store.prepare()
        try image(name).checkRoom(for: description, doing: what)
        return Record(
            domain: name, uuid: description.uuid ?? "",
            memory: max(description.targetMemory, description.maximumMemory),
            disks: assigned.volumes.map { Record.Disk(device: $0.device, volume: $0.volume) },
            machine: try MachineIdentity.read(), stage: .saving)
    }

    /// A failed `xl save` lets the domain run on; anything else is for the next run.
    private func afterFailedSave(_ record: Record, _ failure: Failure) async throws -> Failure {
        if failure.code == .outcomeUnknown { return failure }
        guard try await handle(record).find() != nil else {
            return Failure(
                .needsRecovery, failure.what, why: failure.why, remedy: "run 'xenlvs recover'; see 'xl list'")
        }
        _ = try await handle(record).letGo()
        try remove(record.domain)
        return failure
    }

    private func bringBack(_ record: Record) async throws {
        try image(record.domain).seal()
        var record = record
        record.stage = .away
        try store.save(record)
        host.effects.pass(.bracketBack, .before)
        if try await handle(record).find() == nil {
            try await handle(record).restorePaused(from: image(record.domain).path)
        }
        record.stage = .back
        try store.save(record)
        try await handle(record).start(record.disks.map { ($0.device, $0.volume) })
        host.effects.pass(.bracketBack, .after)
        try remove(record.domain)
    }

    /// Goes on with what a run has left. Returns what is to be said.
    private func goOn(_ record: Record) async throws -> String {
        let isThere = try await handle(record).find() != nil
        switch (record.stage, isThere) {
        case (.saving, true):
            let wasStopped = try await handle(record).letGo()
            // The save may have come to its end while it was waited for.
            if try await handle(record).find() != nil {
                try remove(record.domain)
                return wasStopped ? "the domain was stopped, and runs on" : "the domain runs on"
            }
            fallthrough
        case (.saving, false), (.away, _):
            guard try record.machine == MachineIdentity.read() else {
                try remove(record.domain)
                return "the domain was lost when this host was restarted; start it with 'xl create'"
            }
            try await bringBack(record)
            return "the domain is restored"
        case (.back, true):
            try await handle(record).start(record.disks.map { ($0.device, $0.volume) })
            try remove(record.domain)
            return "the domain runs"
        case (.back, false):
            try remove(record.domain)
            return "the domain has run and ended since"
        }
    }

    // MARK: - What a killed run has left

    /// Brings back what killed runs have left away. One line for each.
    func recover() async throws -> [DomainRepair] {
        var repairs: [DomainRepair] = []
        for record in try records() {
            do {
                let words = try await holding(record.domain) { try await goOn(record) }
                repairs.append(DomainRepair(domain: record.domain, words: words, needsOperator: false))
            } catch let failure as Failure where failure.code == .busy {
                repairs.append(
                    DomainRepair(domain: record.domain, words: "another command is at work on it", needsOperator: false)
                )
            } catch {
                let failure = Failure(error, doing: "cannot bring it back")
                repairs.append(
                    DomainRepair(
                        domain: record.domain,
                        words: failure.description + "; its memory is in \(image(record.domain).path)",
                        needsOperator: true))
            }
        }
        return repairs
    }

    func records() throws -> [Record] { try store.all() }

    private func record(_ name: DomainName) throws -> Record? { try records().first { $0.domain == name } }

    private func remove(_ name: DomainName) throws { try image(name).remove(with: store.file(of: name.text)) }
}

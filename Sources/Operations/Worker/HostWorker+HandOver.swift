import Domains
import HostModel
import Hosts
import ImageStream
import Migration
import Storage

extension HostWorker {
    /// Bytes of another host's history that are kept of one migration: a run has some hundred events of about 100 bytes.
    private static let longestHistory = 16 << 20

    /// Takes a migration into the target's journal. A second time, after a lost answer, it finds itself there.
    func reserve(_ order: StepOrder) async throws -> StepResult {
        let spec = order.spec
        guard spec.target.name != spec.source.name, order.role == .target else {
            throw Failure(.refused, "a migration must have two hosts")
        }
        if let known = try? recorded(spec.id) {
            guard known.spec == spec, known.role == .target else {
                throw Failure(.refused, "the target has another migration of the name \(spec.id)")
            }
            _ = try checkedSpec(of: spec.id, epoch: order.epoch, role: .target)
            return StepResult()
        }
        guard try await observe(spec) == .absent, try await arrivals(spec).isEmpty else {
            throw Failure(
                .refused, "the target has a domain '\(spec.domain)' already", host: host.name.text,
                remedy: "rename or destroy it")
        }
        if spec.plan.method == .cold { _ = try await checkedConfiguration(spec) }
        // Two migrations that name the same volume must not pass the checks side by side.
        let turn = try await HostTurn.start(on: host)
        defer { withExtendedLifetime(turn) {} }
        try checkReservable(spec)
        try await checkSharedHere(spec)
        let now = HostContext.now()
        try host.database.insert(
            MigrationRecord(
                id: spec.id.text, domain: spec.domain.text, role: .target, epoch: order.epoch,
                spec: try JSONText.encode(spec), machine: try JSONText.encode(MigrationMachine(plan: spec.plan)),
                decided: false, isOpen: true, created: now, updated: now),
            minors: spec.volumes.map(\.targetMinor), ports: spec.volumes.map(\.port))
        return StepResult()
    }

    /// The coordinator's journal, copied. A closed migration and a decision are never opened or taken back by a copy.
    func mirror(_ update: MirrorUpdate) throws {
        let known = try recorded(update.id)
        guard known.role == .target else {
            throw Failure(.refused, "this host keeps the journal of migration \(update.id) itself")
        }
        let events = try update.events.map { (sequence: $0.sequence, body: try JSONText.encode($0)) }
        let length = try events.reduce(host.database.historyLength(of: update.id.text)) { $0 + $1.body.utf8.count }
        guard length <= Self.longestHistory else {
            throw Failure(.refused, "the history of migration \(update.id) is too long to be kept here")
        }
        try requireNotResolved(known, epoch: update.epoch)
        try host.database.raiseEpoch(of: update.id.text, to: update.epoch)
        guard known.record.isOpen || update.machine.hasEnded || known.record.decided else {
            throw Failure(.notFound, "migration \(update.id) has ended on this host already", host: host.name.text)
        }
        try host.database.update(
            update.id.text, machine: try JSONText.encode(update.machine), decided: false, isOpen: known.record.isOpen,
            at: HostContext.now(), events: events)
    }

    /// The domain must be there and paused before the decision may be made.
    func confirmPaused(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        guard case .present(let id, .paused) = try await observe(spec) else {
            throw Failure(.failed, "the domain \(spec.domain) is not there, paused", host: host.name.text)
        }
        try await checkSizes(spec, role)
        try await checkDisks(spec, id)
        memory.remember(id, of: spec.id)
        return StepResult()
    }

    /// From here on the target's volumes are the guest's disks, also after a reboot: both in one commit.
    func acknowledgeDecision(_ spec: MigrationSpec) async throws -> StepResult {
        let disks = try spec.volumes.map { volume in
            let uuid = try recordedVolume(volume.name)?.logicalVolumeUUID
            return try host.record(of: targetVolume(volume, spec, state: .active, uuid: uuid))
        }
        try host.database.decide(spec.id.text, volumes: disks, at: HostContext.now())
        return StepResult()
    }

    /// Lets the domain run, only with the decision in this host's own journal. Where the domain was lost before it ever ran,
    /// the kept image brings it back.
    func startAfterDecision(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        guard try recorded(spec.id).record.decided else {
            throw Failure(
                .refused, "cannot start \(spec.domain)", host: host.name.text, why: "no decision is recorded here")
        }
        if spec.plan.method == .cold {
            if try await observe(spec) == .absent { try await linkAfterRestart(spec, role) }
            return try await boot(spec)
        }
        var notes: [String] = []
        if let id = try takeArrivalNote(spec.id) { memory.remember(id, of: spec.id) }
        if !memory.knowsDomain(of: spec.id), try await observe(spec) == .absent {
            try await linkAfterRestart(spec, role)
            try await restoreReceived(spec, role)
            notes.append("the domain was restored from the image that the target kept")
        }
        var result = try await letRun(spec, .received)
        result.notes += notes
        return result
    }

    /// A restart before this host knew of the decision took replicas and links away, and nobody put links back: the volumes were
    /// no guest's disks yet. Whoever starts the domain, this migration or its operator, needs them.
    private func linkAfterRestart(_ spec: MigrationSpec, _ role: Role) async throws {
        guard spec.plan.storage == .replicas, try await replicas(of: spec).allSatisfy({ $0.status == nil }) else {
            return
        }
        _ = try await linkToVolumes(spec, role)
    }

    /// Restores the domain from the compressed image that was kept when it arrived.
    private func restoreReceived(_ spec: MigrationSpec, _ role: Role) async throws {
        let path = host.images.path(spec.id, .received)
        guard host.images.exists(spec.id, .received) else {
            throw Failure(
                .failed, "the domain \(spec.domain) is gone, and its image too", host: host.name.text,
                remedy: "start it from its configuration with 'xl create'; its disks are as it left them")
        }
        try await checkSizes(spec, role)
        let deadline = XLCommands.deadline(memory: spec.memory)
        let restore = try ChildChannel(
            XLCommands.restorePaused(from: .stream, deadline: deadline), purpose: "the restore of \(spec.domain)")
        do {
            let scrutiny = ImageScrutiny(spec, self)
            let base = host.images.exists(spec.id, .base) ? try PageBase(path: host.images.path(spec.id, .base)) : nil
            try await Blocking.run("kept image") {
                try KeptImage.unpack(path, base: base, into: restore.input, scrutiny)
            }
            restore.closeInput()
            guard await restore.exitCode(limit: deadline) == 0 else {
                throw Failure(
                    .failed, "cannot restore \(spec.domain) from \(path)", host: host.name.text, why: restore.lastWords)
            }
        } catch {
            await restore.end(within: .seconds(60))
            throw error
        }
    }

    /// Freeze 3 begins. A domain that runs on its volumes already has nothing to settle; one that an earlier run has restored
    /// and not let run is saved already.
    func saveForSettlement(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        switch try await clearUnfinished(spec) {
        case .present(let id, .active): if try await usesVolumes(id, spec, role) { return StepResult() }
        case .present(let id, .paused):
            switch try host.images.state(spec.id, .settlement) {
            case .whole: try await host.runner.run(XLCommands.destroy(id))
            case .spent: try await host.runner.run(XLCommands.unpause(id))
            case .absent, .partial: break
            }
        case .absent, .present: break
        }
        return try await save(spec, .settlement)
    }

    /// Puts a saved domain back on whatever is there: its replica where that is up, its volume otherwise.
    func restoreAsLinked(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        if try await observe(spec) != .absent { return StepResult() }
        if try await areReplicasPrimary(spec, role) {
            _ = try await linkToReplicas(spec, role)
        } else {
            _ = try await takeDownReplicas(spec, role)
            _ = try await linkToVolumes(spec, role)
        }
        return try await restore(spec, role, .settlement)
    }

    /// Whether the domain runs and its disks are the plain volumes.
    func runsOnVolumes(_ spec: MigrationSpec, _ role: Role) async throws -> Bool {
        guard case .present(let id, .active) = try await observe(spec) else { return false }
        return try await usesVolumes(id, spec, role)
    }
}

import HostModel
import Hosts
import Migration
import Storage

/// Acts on this host: the coordinator's hands on the source, the agent's on the target.
///
/// Every step is *observe → already so? → do → check*. Nothing here decides what comes next.
public struct HostWorker: Sendable {
    public let host: HostContext
    /// xenlvs's version, told to the other side.
    public let version: String
    /// What the key of the host that is served here allows; nil for everything.
    public let restriction: AgentRestriction?
    /// What one step has found out for the next; only ever a shortcut, a new process does without.
    let memory = WorkerMemory()

    public init(host: HostContext, version: String, restriction: AgentRestriction? = nil) {
        self.host = host
        self.version = version
        self.restriction = restriction
    }

    /// Answers one request. Throws what becomes a `.failed` reply.
    public func handle(_ request: HostRequest) async throws -> HostReply {
        switch request {
        case .hello(let theirs, let name):
            guard theirs == AgentProtocol.version else {
                throw Failure(
                    .refused, "\(name) speaks version \(theirs) of the agent's protocol",
                    why: "this host, xenlvs \(version), speaks version \(AgentProtocol.version)",
                    remedy: "install the same version of xenlvs on both hosts")
            }
            return .hello(
                HelloReply(
                    protocolVersion: AgentProtocol.version, version: version, host: host.name.text,
                    machine: try MachineIdentity.read()))
        case .survey(let query): return .survey(try await survey(query))
        case .perform(let order):
            // Before anything is locked: what is not known here leaves no lock behind either.
            if order.step != .reserveTarget, try isNothingToUndo(order) { return .performed(StepResult()) }
            if order.step != .reserveTarget { _ = try recorded(order.spec.id) }
            let result = try await HostTurn.take(.step, of: order.spec.id, on: host, limit: .seconds(120)) {
                try await perform(order)
            }
            return .performed(result)
        case .replicas(let id): return .replicas(try await replicas(of: try recorded(id).spec))
        case .verify(let id, let volume, let wholly):
            try await verify(volume, of: try recorded(id), wholly: wholly)
            return .done
        case .reconnect(let id, let volume, let secret):
            try await reconnect(volume, of: try recorded(id), secret: secret)
            return .done
        case .explain(let id, let volume):
            _ = try recorded(id)
            return .explanation(try await explain(volume))
        case .checksum(let id, let volume): return .checksum(try await checksum(volume, of: try recorded(id)))
        case .mirror(let update):
            try mirror(update)
            try await requireNotRunning(update.id)
            return .done
        case .share(let order, let peer): return .share(try await share(order, for: peer))
        }
    }

    /// Performs one step on this side of the migration.
    public func perform(_ order: StepOrder) async throws -> StepResult {
        let (spec, role) = (order.spec, order.role)
        guard order.step.side == (role == .source ? .source : .target) else {
            throw Failure(.refused, "the step '\(order.step.rawValue)' is not one of the \(role.rawValue)'s")
        }
        host.effects.enter(order.step)
        if order.step == .reserveTarget { return try await reserve(order) }
        if try isNothingToUndo(order) { return StepResult() }
        // What the journal took in at the beginning counts, not what an order says now.
        let known = try checkedSpec(of: spec.id, epoch: order.epoch, role: role)
        guard known == spec else {
            throw Failure(.refused, "an order for migration \(spec.id) differs from what was agreed on")
        }
        try checkTurn(order.step, try recorded(spec.id))
        switch order.step {
        case .reserveTarget: return try await reserve(order)
        case .makeTargetVolumes: return try await makeVolumes(spec)
        case .makeTargetReplica, .makeSourceReplica: return try await makeReplicas(spec, role)
        case .saveForReplica: return try await save(spec, .substitution)
        case .shutDown: return try await shutDown(spec)
        case .promoteSource: return try await promoteFresh(spec, role)
        case .linkSourceToReplica, .linkTargetToReplica: return try await linkToReplicas(spec, role)
        case .linkTargetToSwitch: return try await linkToClosedSwitches(spec, role)
        case .leadSourceToReplica: return try await leadToReplicas(spec, role)
        case .leadTargetToVolume: return try await leadToVolumes(spec, role)
        case .leadSourceToVolume: return try await leadBack(spec, role)
        case .restoreOnReplica: return try await restore(spec, role, .substitution)
        case .continueOnReplica: return try await letRun(spec, .substitution)
        case .connectTarget: return try await connectTarget(order)
        case .connectSource: return try await connect(order)
        case .demoteSource: return try await demote(spec, role)
        case .promoteTarget: return try await promoteSynchronised(order)
        case .releaseTargetVolume: return try await releaseVolumes(order)
        case .finishRestore: return try await confirmPaused(spec, role)
        case .clearTarget: return try await clearTarget(spec)
        case .recallOnSource: return try await recall(spec)
        case .openWindow: return try await allowTwoPrimaries(spec)
        case .quietSource:
            return try await spec.plan.storage == .shared ? waitUntilQuiet(spec) : closeForTarget(spec)
        case .acknowledgeDecision: return try await acknowledgeDecision(spec)
        case .startOnTarget: return try await startAfterDecision(spec, role)
        case .restoreOnSource where spec.plan.method == .cold: return StepResult()
        case .continueOnSource where spec.plan.method == .cold: return try await bootAgain(spec)
        case .saveForVolume: return try await saveForSettlement(spec, role)
        case .takeDownTargetReplica: return try await takeDownReplicas(spec, role)
        case .takeDownSourceReplica: return try await takeDownForRollback(spec)
        case .linkTargetToVolumeEarly, .linkTargetToVolume, .linkSourceToVolume:
            return try await linkToVolumes(spec, role)
        case .restoreOnVolume: return try await restore(spec, role, .settlement)
        case .continueOnVolume: return try await letRun(spec, .settlement)
        case .cleanSource: return try await cleanSource(spec)
        case .cleanTarget: return try await cleanTarget(spec)
        case .discardOnTarget: return try await discard(spec)
        case .saveForRollback: return try await saveForRollback(spec)
        case .restoreOnSource: return try await restoreNewest(spec, role)
        case .continueOnSource:
            return try await spec.plan.method == .live ? letRunOn(spec) : letRunNewest(spec)
        case .cleanSourceAfterRollback: return try await cleanAfterRollback(spec, .source)
        case .cleanTargetAfterRollback: return try await cleanAfterRollback(spec, .target)
        case .closeTarget, .closeTargetAfterRollback: return try close(spec)
        case .restoreAsLinked: return try await restoreAsLinked(spec, role)
        case .continueAsLinked: return try await letRun(spec, .settlement)
        case .reclaimSource: return try await reclaim(spec)
        case .linkReclaimed: return try await linkReclaimed(spec)
        case .claimTarget: return try await claim(spec)
        case .retireTargetCopies: return try await retireCopies(spec)
        case .seedCopies, .synchronise, .verifyCopies, .transferImage, .compareCopies, .decide, .checkSharedDisks,
            .moveLive:
            throw Failure(.refused, "the step '\(order.step.rawValue)' is not performed by one host")
        }
    }
}

/// A migration as this host's journal has it, decoded.
struct RecordedMigration: Sendable {
    var record: MigrationRecord
    var spec: MigrationSpec
    var role: Role
}

extension HostWorker {
    /// Whether a step finds its migration closed here already, as after a lost answer, or not even begun.
    private func isNothingToUndo(_ order: StepOrder) throws -> Bool {
        switch order.step {
        case .closeTarget, .cleanTarget: return try isClosed(order)
        case .discardOnTarget, .retireTargetCopies, .cleanTargetAfterRollback, .closeTargetAfterRollback:
            do { return try isClosed(order) } catch let failure as Failure {
                guard failure.code == .notFound else { throw failure }
                return true
            }
        default: return false
        }
    }

    private func isClosed(_ order: StepOrder) throws -> Bool {
        let migration = try recorded(order.spec.id)
        try requireNotResolved(migration, epoch: order.epoch)
        return !migration.record.isOpen
    }

    /// Refuses what a source orders that was declared dead here and has come back. Where nothing here was worth keeping the
    /// source may have its guest back: it finds the migration closed.
    func requireNotResolved(_ migration: RecordedMigration, epoch: Int64) throws {
        let (record, spec) = (migration.record, migration.spec)
        guard ResolutionEpoch.isOne(record.epoch), !ResolutionEpoch.isOne(epoch) else { return }
        if record.decided {
            throw Failure(
                .takenOver, "the domain \(spec.domain) belongs to \(host.name) for good", host: host.name.text,
                why: "\(spec.source.name) was declared dead there, and migration \(spec.id) was ended without it",
                remedy: "start the domain nowhere else; when 'xenlvs migration status \(spec.id)' on \(host.name) says "
                    + "that it has ended, tidy \(spec.source.name) up with 'xenlvs migration resume \(spec.id)'")
        }
        if record.isOpen {
            throw Failure(
                .busy, "migration \(spec.id) is being ended on \(host.name)", host: host.name.text,
                why: "\(spec.source.name) was declared dead there",
                remedy: "type there once more: xenlvs migration resolve \(spec.id) --fenced \(spec.source.name)")
        }
    }

    /// The migration from this host's journal. Throws `.notFound`.
    func recorded(_ id: MigrationID) throws -> RecordedMigration {
        let record = try host.database.migration(id.text)
        let spec = try JSONText.decode(MigrationSpec.self, from: record.spec, what: "migration \(id) in the journal")
        return RecordedMigration(record: record, spec: spec, role: record.role == .source ? .source : .target)
    }

    /// The migration that an order is for, after checking that this host is on that side of it and that the order is
    /// not of an older run.
    func checkedSpec(of id: MigrationID, epoch: Int64, role: Role) throws -> MigrationSpec {
        let migration = try recorded(id)
        guard migration.role == role else {
            throw Failure(.refused, "this host is the \(migration.role.rawValue) of migration \(id)")
        }
        try requireNotResolved(migration, epoch: epoch)
        guard migration.record.isOpen else {
            throw Failure(
                .refused, "migration \(id) has ended on this host already", host: host.name.text,
                remedy: "see 'xenlvs migration status \(id)' there; where the domain was not kept, abort it here")
        }
        try host.database.raiseEpoch(of: id.text, to: epoch)
        return migration.spec
    }
}

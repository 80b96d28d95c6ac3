import HostModel
import Hosts
import Migration
import Replication
import Reporting
import Synchronization

/// Drives one migration from the source: *journal the machine → perform → tell the machine*. There is one for a migration at
/// a time; a lock file sees to that.
public final class Coordinator {
    /// How a run ended.
    public enum End: Sendable, Equatable {
        case migrated
        case rolledBack(because: Failure)
        case lost(because: Failure)
        case suspended(MigrationMachine.Suspension)
    }

    let worker: HostWorker
    let target: RemoteHost
    let spec: MigrationSpec
    let epoch: Int64
    var journal: CoordinatorJournal
    let report: @Sendable (ProgressUpdate) -> Void
    /// Set by Ctrl-C.
    let interruption: Interruption
    var sender: ImageSender?
    var live: LiveHandOver?
    /// When the target last said that it has the restored guest; nil before, and where it arrives in another way.
    var restored: ContinuousClock.Instant?
    /// Sends the memory of the first freeze ahead, while the guest runs.
    var baseSender: BaseSender?
    /// Some replica was attached again, in this run or an earlier one: only a comparison of every block is trusted.
    var attachedAgain: Bool
    /// For the connection that is being made; nil where the replicas are connected.
    var connectionSecret: SharedSecret?
    private var openFreeze: (freeze: Freeze, since: Int64)?
    private var hasFrozen: Bool
    /// Declared dead in an earlier run, it has answered in this one.
    var targetIsBack = false

    var host: HostContext { worker.host }

    /// - Parameter journal: the migration's journal, with the machine that is to be driven.
    public init(
        worker: HostWorker, spec: MigrationSpec, journal: CoordinatorJournal, interruption: Interruption,
        report: @escaping @Sendable (ProgressUpdate) -> Void
    ) {
        self.worker = worker
        self.spec = spec
        self.journal = journal
        self.interruption = interruption
        self.report = report
        epoch = journal.epoch
        target = RemoteHost(spec.target.name, from: worker.host, version: worker.version)
        openFreeze = journal.openFreeze
        hasFrozen = journal.hasFrozen
        attachedAgain = journal.hasAttachedAgain
    }

    /// Runs until the migration has ended or must stop. `event` is nil for a new migration; `.resumed`, `.abortRequested` or
    /// `.peerFenced` for one that was begun before. Throws only where the event is refused or nothing could be recorded.
    public func run(_ event: MigrationMachine.Event?) async throws -> End {
        let started = ContinuousClock.now
        let activeBefore = host.activity.total
        // Recorded at once: a run that dies in its first step has been one, too.
        journal.note(.runBegan(epoch: epoch, resumed: event != nil))
        if event == nil { try journal.flush() }
        var action = try await begin(event)
        defer {
            baseSender?.stop()
            target.close()
        }
        while true {
            switch action {
            case .perform(let step): action = try await take(step)
            case .refuse(let failure): throw failure
            case .stop(let suspension):
                await end(.suspended(suspension.reason, needsRecovery: suspension.needsRecovery), started, activeBefore)
                return .suspended(suspension)
            case .finish(let outcome):
                await end(.finished(outcome), started, activeBefore)
                if journal.isBehind { throw endIsNotRecorded }
                switch outcome {
                case .migrated: return .migrated
                case .rolledBack(let failure): return .rolledBack(because: failure)
                case .lost(let failure): return .lost(because: failure)
                }
            }
        }
    }

    /// Takes one step and returns what follows.
    private func take(_ step: Step) async throws -> MigrationMachine.Action {
        if interruption.isRequested, let way = try interrupted() { return way }
        report(.stepBegan(step))
        journal.note(.stepBegan(step))
        host.effects.enter(step)
        announceFreeze(before: step)
        let event: MigrationMachine.Event
        do {
            host.effects.pass(step, .before)
            try await perform(step)
            host.effects.pass(step, .after)
            journal.note(.stepEnded(step))
            report(.stepEnded(step))
            event = .done
        } catch {
            let failure = await tellingOfBothSides(Failure(error, doing: "cannot \(step.title)"))
            if failure.code == .interrupted, interruption.isRequested, let way = try interrupted() { return way }
            journal.note(.stepFailed(step, failure))
            report(.stepFailed(step, failure))
            event =
                failure.code == .takenOver
                ? .takenOver(failure) : failure.leavesOutcomeOpen ? .unknown(failure) : .failed(failure)
            if step.phase == .handOver { await giveImageUp() }
        }
        let action = try advance(event)
        await mirrorBetweenPhases(step, action)
        return action
    }

    /// Records what follows `event`. A way back goes on even where it cannot be recorded: each of its steps finds what is
    /// already so, and a guest must not stay frozen because a file system is full.
    private func advance(_ event: MigrationMachine.Event) throws -> MigrationMachine.Action {
        do { return try journal.advance(event, []) } catch {
            let failure = Failure(error, doing: "cannot write the journal")
            if journal.machine.isCommitted {
                throw Failure(
                    .outcomeUnknown, "migration \(spec.id) has stopped", why: failure.why ?? failure.what,
                    remedy: "put that right, then run 'xenlvs migration resume \(spec.id)'", causes: [failure])
            }
            report(.note("the journal cannot be written: \(failure)"))
            return journal.advanceUnrecorded(journal.machine.isGoingBack ? event : .failed(failure))
        }
    }

    private var endIsNotRecorded: Failure {
        Failure(
            .outcomeUnknown, "the end of migration \(spec.id) could not be recorded",
            why: "\(spec.domain) is back on \(spec.source.name), but the journal says otherwise",
            remedy: "put the journal right, then run 'xenlvs migration resume \(spec.id)'")
    }

    /// Ctrl-C: back to the source while that is possible; otherwise the run says so and goes on. Nil where it goes on.
    private func interrupted() throws -> MigrationMachine.Action? {
        interruption.acknowledge()
        switch journal.machine.state {
        case .rollingBack, .reclaiming: return nil
        case .forward, .rescuing, .suspended, .finished: break
        }
        if journal.machine.isCommitted {
            report(.note("interrupted, but the domain belongs to \(spec.target.name) already: finishing"))
            return nil
        }
        report(.note("interrupted: going back to the source"))
        return try journal.advance(.abortRequested, [.note("interrupted by the operator")])
    }

    func giveImageUp() async {
        baseSender?.stop()
        await sender?.cancel()
        sender = nil
        await giveLiveUp()
    }

    /// The display is told when the step begins; the journal gets the moment at which the domain was really stopped.
    private func announceFreeze(before step: Step) {
        guard openFreeze == nil, step.startsFreeze, let freeze = spec.plan.freeze(during: step) else { return }
        report(.freezeBegan(number: spec.plan.number(of: freeze)))
    }

    /// Notes what a step says of the domain's being stopped and let run.
    func takeFreezes(_ result: StepResult, of step: Step) {
        // An earlier run that stopped the domain, or let it run, and died before it could tell, did so in its last step.
        let began = result.freezeBegan.map { HostContext.now() - $0.millisecondsAgo }
        if openFreeze == nil, let time = began ?? (result.foundSaved ? journal.lastTime : nil) {
            // A way back has no freeze of its own: it is the first where an earlier run died in that, otherwise the second.
            let hadFirst = hasFrozen || spec.plan.method != .threeFreeze
            let freeze = spec.plan.freeze(during: step) ?? (hadFirst ? .handOver : .substitution)
            openFreeze = (freeze, time)
            hasFrozen = true
            journal.note(.freezeBegan(freeze), at: time)
        }
        let ended = result.freezeEnded.map { HostContext.now() - $0.millisecondsAgo }
        if let open = openFreeze, let time = ended ?? (step.endsFreeze ? max(open.since, journal.lastTime) : nil) {
            openFreeze = nil
            journal.note(.freezeEnded(open.freeze), at: time)
            report(.freezeEnded(number: spec.plan.number(of: open.freeze), milliseconds: time - open.since))
        }
    }

    private func end(_ kind: MigrationEvent.Kind, _ started: ContinuousClock.Instant, _ activeBefore: Duration) async {
        let total = started.duration(to: .now)
        let active = host.activity.total - activeBefore
        journal.note(
            .accounted(total: total.milliseconds, own: max(0, (total - active).milliseconds)))
        journal.note(kind)
        do { try journal.flush() } catch { report(.note("the end could not be recorded: \(error)")) }
        await mirror()
    }

    /// The target's copy of the journal is refreshed where no freeze waits for it.
    private func mirrorBetweenPhases(_ step: Step, _ action: MigrationMachine.Action) async {
        guard openFreeze == nil, case .perform(let next) = action, next.phase != step.phase else { return }
        await mirror()
    }

    /// A target that cannot be told now is told at the next phase; its copy is for the operator, nothing depends on it.
    private func mirror() async {
        if journal.hasDeclaredTargetDead, !targetIsBack { return }
        let update = mirrorUpdate()
        do { _ = try await target.ask(.mirror(update), limit: .seconds(15)) } catch {
            journal.returnUnmirrored(update.events)
        }
    }

    func mirrorUpdate() -> MirrorUpdate {
        MirrorUpdate(id: spec.id, epoch: epoch, machine: journal.machine, events: journal.takeUnmirrored())
    }
}

/// The operator's Ctrl-C, set by a signal handler and read between steps.
public final class Interruption: Sendable {
    private let count = Mutex((requested: false, acknowledged: false))

    public init() {}

    public func request() { count.withLock { $0 = (true, $0.acknowledged) } }

    /// There is a request that the run has not reacted to.
    public var isRequested: Bool { count.withLock { $0.requested && !$0.acknowledged } }

    /// The run was interrupted at some time.
    public var wasRequested: Bool { count.withLock { $0.requested } }

    func acknowledge() { count.withLock { $0.acknowledged = true } }

    /// Throws where the operator has asked for the end.
    func check() throws {
        if isRequested { throw Failure(.interrupted, "interrupted by the operator") }
    }
}

extension Failure {
    /// Whether what was asked for may have happened all the same.
    var leavesOutcomeOpen: Bool {
        switch code {
        case .outcomeUnknown, .unreachable: true
        case .usage, .notFound, .refused, .busy, .failed, .inconsistent, .needsRecovery, .takenOver, .runsUndecided,
            .interrupted:
            false
        }
    }
}

extension Step {
    /// The domain stops during this step.
    var startsFreeze: Bool {
        switch self {
        case .saveForReplica, .transferImage, .saveForVolume, .shutDown: true
        default: false
        }
    }

    /// The domain runs again after this step.
    var endsFreeze: Bool {
        switch self {
        case .continueOnReplica, .startOnTarget, .continueOnVolume, .continueOnSource, .continueAsLinked: true
        default: false
        }
    }
}

import HostModel

/// What decides: which step a migration takes next, and what follows when one fails.
///
/// Pure. The coordinator is its only driver: *journal the machine → perform the action → tell it what came of it*. The
/// journaled value is the whole memory of a migration; a coordinator that died is continued by decoding it and sending
/// `.resumed` or `.abortRequested`.
///
/// What holds:
/// - Before the decision (`Step.decide` done) every failure leads back to the source, after it only forwards.
/// - The way back does not wait for a target that cannot be reached: a target never starts a domain without the
///   decision, so the guest is put back first and the target is tidied up when it answers again. For a guest that a live
///   hand-over may have suspended no target is waited for at all.
/// - A target that says that the domain runs there without a decision stops everything: gone back, two of it would run, and
///   which one goes on only the operator can say.
/// - An outcome that is not known is never treated as a failure of a step that could have let the domain run.
/// - What follows once a host is declared dead is in `MigrationMachine+Fenced.swift`.
public struct MigrationMachine: Sendable, Codable, Hashable {
    public enum State: Sendable, Codable, Hashable {
        /// Performing, or about to perform, a step of the plan.
        case forward(Step)
        /// Going back to the source. `left` are the steps still to take, the first one next.
        case rollingBack(left: [Step], because: Failure)
        /// Putting a guest back that a failed settlement left saved on the target.
        case rescuing(Step, from: Step, because: Failure)
        /// Making the source's copies plain volumes again: the target, to which the guest belonged, is dead for good. `left` as
        /// above.
        case reclaiming(left: [Step], because: Failure)
        /// Stopped where it can be resumed; the guest is as `Suspension` says.
        case suspended(Suspension)
        case finished(Outcome)
    }

    /// A stop that waits for the operator.
    public struct Suspension: Sendable, Codable, Hashable {
        /// Where `.resumed` goes on: a forward step, or the rest of a way back or of a reclamation.
        public var resumesAt: ResumePoint
        public var reason: Failure
        /// An undo failed: exit code 4, and nothing but resume or abort may touch the volumes.
        public var needsRecovery: Bool
    }

    public enum ResumePoint: Sendable, Codable, Hashable {
        case forward(Step)
        case rollback(left: [Step], because: Failure)
        case reclaim(left: [Step], because: Failure)
    }

    public enum Outcome: Sendable, Codable, Hashable {
        /// The domain runs on the target; nothing is left to do.
        case migrated
        /// The domain runs on the source as before; nothing is left to do.
        case rolledBack(because: Failure)
        /// The domain went with a host that was declared dead, and runs nowhere; notes say what is left of its disks.
        case lost(because: Failure)
    }

    /// What the driver reports.
    public enum Event: Sendable, Equatable {
        /// The step's effect was observed.
        case done
        /// The step's effect is known not to be there, or only in part; the cause says why.
        case failed(Failure)
        /// Whether the step took effect is not known.
        case unknown(Failure)
        /// A new run continues a stopped or dead one.
        case resumed
        /// The operator wants the domain back on the source.
        case abortRequested
        /// The operator knows that the target is dead for good.
        case peerFenced(Failure)
        /// The target has decided by itself that the domain is its own: its operator had declared this host dead.
        case takenOver(Failure)
    }

    /// What the driver does next.
    public enum Action: Sendable, Equatable {
        case perform(Step)
        case stop(Suspension)
        case finish(Outcome)
        /// The request cannot be met; the state is unchanged.
        case refuse(Failure)
    }

    public let plan: MigrationPlan
    public internal(set) var state: State
    /// Nil for no; journals of earlier versions have no such key.
    var takenOver: Bool?

    /// A migration that has not begun: its first action performs the plan's first step.
    public init(plan: MigrationPlan) {
        self.plan = plan
        state = .forward(plan.steps[0])
    }

    /// A migration that was brought to its end without this machine, on a target whose source is dead.
    public init(plan: MigrationPlan, endedWith outcome: Outcome) {
        self.plan = plan
        state = .finished(outcome)
    }

    /// The action that the state calls for.
    public var action: Action {
        switch state {
        case .forward(let step): .perform(step)
        case .rollingBack(let left, let cause): left.first.map(Action.perform) ?? .finish(.rolledBack(because: cause))
        case .rescuing(let step, _, _): .perform(step)
        case .reclaiming(let left, let cause): left.first.map(Action.perform) ?? .finish(.lost(because: cause))
        case .suspended(let suspension): .stop(suspension)
        case .finished(let outcome): .finish(outcome)
        }
    }

    /// Whether the domain belongs to the target for good.
    public var isCommitted: Bool {
        switch state {
        case .forward(let step): plan.isCommitted(at: step)
        case .rollingBack, .reclaiming: false
        case .rescuing: true
        case .suspended(let suspension):
            switch suspension.resumesAt {
            case .forward(let step): plan.isCommitted(at: step)
            case .rollback, .reclaim: false
            }
        case .finished(let outcome): outcome == .migrated
        }
    }

    /// Whether the target has decided by itself, without this side's word. What is here may then be newer than what it had.
    public var wasTakenOver: Bool { takenOver == true }

    /// Whether there is nothing left to do.
    public var hasEnded: Bool { if case .finished = state { true } else { false } }

    /// Whether the guest is on its way back to the source.
    public var isGoingBack: Bool { if case .rollingBack = state { true } else { false } }

    /// Takes an event and returns the next action.
    public mutating func handle(_ event: Event) -> Action {
        switch state {
        case .forward(let step): forward(step, event)
        case .rollingBack(let left, let cause): rollingBack(left, cause, event)
        case .rescuing(let step, let origin, let cause): rescuing(step, origin, cause, event)
        case .reclaiming(let left, let cause): reclaiming(left, cause, event)
        case .suspended(let suspension): suspended(suspension, event)
        case .finished(let outcome): finished(outcome, event)
        }
    }

    private mutating func forward(_ step: Step, _ event: Event) -> Action {
        switch event {
        case .done:
            if let next = plan.step(after: step) { return enter(.forward(next)) }
            return enter(.finished(.migrated))
        case .failed(let failure): return failed(step, failure, isUnknown: false)
        case .unknown(let failure): return failed(step, failure, isUnknown: true)
        case .resumed: return enter(.forward(plan.resumption(of: step)))
        case .abortRequested: return abort(at: step)
        case .peerFenced(let failure): return fenced(at: step, failure)
        case .takenOver(let failure): return takenOver(at: step, failure)
        }
    }

    /// What follows a failed or unknown forward step, by what it could have done to the guest.
    private mutating func failed(_ step: Step, _ failure: Failure, isUnknown: Bool) -> Action {
        if plan.isCommitted(at: step) { return failedAfterDecision(step, failure, isUnknown: isUnknown) }
        if failure.code == .runsUndecided { return suspend(at: .forward(step), failure, needsRecovery: true) }
        switch step.phase {
        // Of a cold migration the guest is off meanwhile: it does not wait for the operator.
        case .synchronise where !step.mayFindGuestSuspended && plan.method != .cold:
            // The guest runs on the source, untouched; going back would cost it a freeze that resuming does not. Where the
            // source has no replicas any more it does not run on them, and there is nothing to resume.
            if step == .connectTarget, failure.host == nil, failure.code == .inconsistent {
                return goBack(from: step, failure, isUnknown: isUnknown)
            }
            return suspend(at: .forward(step), failure)
        case .prepare, .substitute, .synchronise, .handOver, .settle, .tidyUp, .rollBack, .rescue:
            // An unknown outcome on the source itself means that a command still runs there: nothing may be built on it.
            if isUnknown, step.side == .source { return suspend(at: .forward(step), failure) }
            return goBack(from: step, failure, isUnknown: isUnknown)
        }
    }

    private mutating func goBack(from step: Step, _ failure: Failure, isUnknown: Bool) -> Action {
        // A target that has not answered will hardly do so now, and the guest may be frozen.
        let way = wayBack(from: step)
        return enter(.rollingBack(left: isUnknown ? Self.guestFirst(way) : way, because: failure))
    }

    /// The way back from a forward step. Whom a live hand-over has suspended runs on with what the source has; that the target
    /// answers, or takes long to, must not keep it waiting.
    private func wayBack(from step: Step) -> [Step] {
        let way = plan.rollback(from: step)
        let mayBeSuspended = step.mayFindGuestSuspended || step.mayLeaveGuestSuspended
        return plan.method == .live && mayBeSuspended ? Self.guestFirst(way) : way
    }

    /// The guest's way back, and after it what needs the target. The two are independent: a target never starts a domain
    /// without the decision.
    private static func guestFirst(_ way: [Step]) -> [Step] {
        way.filter { $0.side == .source } + way.filter { $0.side == .target }
    }

    private mutating func failedAfterDecision(_ step: Step, _ failure: Failure, isUnknown: Bool) -> Action {
        // In the third freeze the guest is saved: a definite failure puts it back on what it ran on. A switch is led elsewhere
        // below the running guest, which stays where it is.
        if step.phase == .settle, plan.settlesInFreeze, !isUnknown {
            return enter(.rescuing(.restoreAsLinked, from: .saveForVolume, because: failure))
        }
        return suspend(at: .forward(step), failure)
    }

    private mutating func abort(at step: Step) -> Action {
        if plan.isCommitted(at: step) { return .refuse(Self.pastDecision) }
        let asked = Failure(.interrupted, "the migration was aborted", why: "the operator asked for it")
        return enter(.rollingBack(left: wayBack(from: step), because: asked))
    }

    private mutating func rollingBack(_ left: [Step], _ cause: Failure, _ event: Event) -> Action {
        guard let step = left.first else { return enter(.finished(.rolledBack(because: cause))) }
        switch event {
        case .done:
            let rest = Array(left.dropFirst())
            return rest.isEmpty
                ? enter(.finished(.rolledBack(because: cause))) : enter(.rollingBack(left: rest, because: cause))
        case .failed(let failure), .unknown(let failure):
            let runsThere = failure.code == .runsUndecided
            if step == .discardOnTarget, !runsThere, left.contains(where: { $0 != step && $0.side == .source }) {
                // The guest's way back does not wait for the target; the step is taken again after it.
                return enter(.rollingBack(left: Self.guestFirst(left), because: cause))
            }
            return suspend(
                at: .rollback(left: left, because: cause), failure, needsRecovery: step.side == .source || runsThere)
        case .resumed, .abortRequested: return action
        case .peerFenced(let failure): return fenced(left, cause, failure)
        case .takenOver(let failure): return handedOver(failure)
        }
    }

    private mutating func rescuing(_ step: Step, _ origin: Step, _ cause: Failure, _ event: Event) -> Action {
        switch event {
        case .done:
            if step == .restoreAsLinked { return enter(.rescuing(.continueAsLinked, from: origin, because: cause)) }
            return suspend(at: .forward(origin), cause)
        case .failed(let failure), .unknown(let failure):
            var undo = cause
            undo.causes.append(failure)
            return suspend(at: .forward(origin), undo, needsRecovery: true)
        // The settlement finds the guest wherever the killed run had got to with it: one command leads to the end.
        case .resumed: return enter(.forward(plan.resumption(of: origin)))
        case .abortRequested: return .refuse(Self.pastDecision)
        case .peerFenced(let failure): return fenced(at: origin, failure)
        case .takenOver(let failure): return takenOver(at: origin, failure)
        }
    }

    private mutating func suspended(_ suspension: Suspension, _ event: Event) -> Action {
        switch (event, suspension.resumesAt) {
        case (.resumed, .forward(let step)): enter(.forward(plan.resumption(of: step)))
        case (.resumed, .rollback(let left, let cause)), (.abortRequested, .rollback(let left, let cause)):
            enter(.rollingBack(left: left, because: cause))
        case (.abortRequested, .forward(let step)): abort(at: step)
        case (.peerFenced(let failure), .forward(let step)): fenced(at: step, failure)
        case (.peerFenced(let failure), .rollback(let left, let cause)): fenced(left, cause, failure)
        case (.resumed, .reclaim(let left, let cause)), (.abortRequested, .reclaim(let left, let cause)),
            (.peerFenced, .reclaim(let left, let cause)):
            enter(.reclaiming(left: left, because: cause))
        case (.takenOver(let failure), .forward(let step)): takenOver(at: step, failure)
        case (.takenOver(let failure), .rollback): handedOver(failure)
        case (.takenOver(let failure), .reclaim): suspend(at: suspension.resumesAt, failure, needsRecovery: true)
        case (.done, _), (.failed, _), (.unknown, _): .refuse(Self.nothingUnderWay)
        }
    }

    private mutating func finished(_ outcome: Outcome, _ event: Event) -> Action {
        switch (event, outcome) {
        case (.resumed, _), (.peerFenced, _), (.abortRequested, .rolledBack), (.abortRequested, .lost): .finish(outcome)
        case (.abortRequested, .migrated): .refuse(Self.pastDecision)
        case (.done, _), (.failed, _), (.unknown, _), (.takenOver, _): .refuse(Self.nothingUnderWay)
        }
    }

    mutating func suspend(
        at point: ResumePoint, _ reason: Failure, needsRecovery: Bool = false
    ) -> Action {
        enter(.suspended(Suspension(resumesAt: point, reason: reason, needsRecovery: needsRecovery)))
    }

    mutating func enter(_ next: State) -> Action {
        state = next
        return action
    }

    static let pastDecision = Failure(
        .refused, "the migration cannot be aborted", why: "the domain already belongs to the target",
        remedy: "finish it with 'xenlvs migration resume', then migrate the domain back")
    static let nothingUnderWay = Failure(.inconsistent, "a step was reported while none was under way")
}

extension Step {
    /// Before these a hand-over that was cut off may have left the guest suspended: nothing of them may stop for long.
    fileprivate var mayFindGuestSuspended: Bool {
        self == .clearTarget || self == .recallOnSource || self == .checkSharedDisks
    }

    /// In these a live hand-over suspends the guest, or has suspended it.
    fileprivate var mayLeaveGuestSuspended: Bool { self == .moveLive || self == .quietSource || self == .decide }
}

extension MigrationPlan {
    func step(after step: Step) -> Step? {
        guard let index = steps.firstIndex(of: step), index + 1 < steps.count else { return nil }
        return steps[index + 1]
    }
}

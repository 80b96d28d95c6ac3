import HostModel

@testable import Migration

/// How a command ended.
enum ModelEnd: Equatable {
    case finished(MigrationMachine.Outcome)
    case stopped(MigrationMachine.Suspension)
    case died
    case refused
}

/// What a coordinator has in its memory.
struct ModelRun {
    var id: Int
    var source: HostID
    var epoch: Int64
    var machine: MigrationMachine

    var target: HostID { source.other }
}

/// Drives the machine as the product's coordinator does: *journal → perform → tell the machine*.
extension ModelWorld {
    static let failure = Failure(.failed, "simulated")
    static let fenced = Failure(.unreachable, "the other host was declared dead")

    /// One command on the source of a migration.
    mutating func drive(_ id: Int, on source: HostID, _ event: MigrationMachine.Event?) -> ModelEnd {
        guard let record = self[source].record(id) else { return .refused }
        begin(on: source)
        defer { endCommand() }
        do throws(Break) {
            let epoch = record.epoch + 1
            try commit("begin run \(epoch)") { $0.change(id) { $0.epoch = epoch } }
            var run = ModelRun(id: id, source: source, epoch: epoch, machine: record.machine)
            let end = try goOn(&run, from: try begin(&run, event))
            guard case .finished(let outcome) = end else { return end }
            if self[source].record(id)?.isOpen == true { return .died }
            judgeEnd(id, outcome, source: source, survivors: survivors(run))
            return end
        } catch {
            // What cannot be recorded after the decision ends the run as a kill does.
            return error == .coordinatorDied || isCoordinatorDead || isJournalFull ? .died : .refused
        }
    }

    private func survivors(_ run: ModelRun) -> [HostID] {
        let target = self[run.target].record(run.id)
        let goesAlone =
            self[run.source].record(run.id)?.hasDeclaredPeerDead == true || target?.hasDeclaredPeerDead == true
        return goesAlone && target?.isOpen != false ? [run.source] : HostID.allCases
    }

    mutating func begin(on host: HostID) {
        coordinator = host
        (isCoordinatorDead, isAnswerLost, isInterrupted, isJournalFull) = (false, false, false, false)
        (hasSender, secret, word, effects) = (false, nil, nil, 0)
    }

    mutating func endCommand() {
        faults = []
        hasSender = false
        for id in HostID.allCases { self[id].pendingRestore = nil }
    }

    private mutating func goOn(
        _ run: inout ModelRun, from first: MigrationMachine.Action
    ) throws(Break) -> ModelEnd {
        var action = first
        while true {
            switch action {
            case .perform(let step): action = try take(step, &run)
            case .refuse: return .refused
            case .stop(let suspension): return .stopped(suspension)
            case .finish(let outcome): return .finished(outcome)
            }
        }
    }

    private mutating func begin(
        _ run: inout ModelRun, _ event: MigrationMachine.Event?
    ) throws(Break) -> MigrationMachine.Action {
        guard let event else { return run.machine.action }
        if case .peerFenced = event { return try record(event, &run) }
        if sabotage == .abortsAfterDecision, event == .abortRequested, run.machine.isCommitted {
            let way = run.machine.plan.rollback(from: .decide)
            run.machine.state = .rollingBack(left: way.filter { $0.side == .source }, because: Self.failure)
            return run.machine.action
        }
        if sabotage == .restsInRescue, case .rescuing = run.machine.state { return run.machine.action }
        let action = try record(try newsFromTarget(run, event) ?? event, &run)
        if self[run.source].record(run.id)?.hasDeclaredPeerDead == true, case .finish(let outcome) = action {
            tidyLateTarget(outcome, run)
        }
        return action
    }

    private mutating func newsFromTarget(
        _ run: ModelRun, _ event: MigrationMachine.Event
    ) throws(Break) -> MigrationMachine.Event? {
        if run.machine.isCommitted || self[run.source].record(run.id)?.hasDeclaredPeerDead == true { return nil }
        if case .finished = run.machine.state { return nil }
        guard canReach(run.target), let record = self[run.target].record(run.id) else { return nil }
        do throws(Break) { try checkNotResolved(record, run.epoch) } catch {
            if error == .takenOver { return .takenOver(Failure(.takenOver, "the guest belongs to the target")) }
            throw error
        }
        if !record.isOpen, !record.isDecided, !ResolutionEpoch.isOne(record.epoch) {
            let isReserving = run.machine.state == .forward(.reserveTarget)
            return event == .resumed && !isReserving ? .abortRequested : nil
        }
        let (id, epoch) = (run.id, run.epoch)
        self[run.target].change(id) { $0.epoch = max($0.epoch, epoch) }
        return nil
    }

    private mutating func tidyLateTarget(_ outcome: MigrationMachine.Outcome, _ run: ModelRun) {
        let steps: [Step] =
            switch outcome {
            case .migrated: [.cleanTarget, .closeTarget]
            case .rolledBack, .lost: [.retireTargetCopies, .closeTargetAfterRollback]
            }
        for step in steps where (try? performAnywhere(step, run)) == nil { return }
    }

    func canReach(_ host: HostID) -> Bool { isLinked && self[host].isUp }

    private mutating func take(_ step: Step, _ run: inout ModelRun) throws(Break) -> MigrationMachine.Action {
        if isInterrupted {
            isInterrupted = false
            if case .rollingBack = run.machine.state {
            } else if case .reclaiming = run.machine.state {
            } else if !run.machine.isCommitted {
                return try record(.abortRequested, &run)
            }
        }
        note("— \(step)")
        let event = try outcome(of: step, run)
        if event == .done { judgeStep(step) }
        if event != .done, step.phase == .handOver {
            hasSender = false
            self[run.target].pendingRestore = nil
        }
        return try advance(event, step, &run)
    }

    private mutating func outcome(of step: Step, _ run: ModelRun) throws(Break) -> MigrationMachine.Event {
        do throws(Break) {
            try performAnywhere(step, run)
            if isCoordinatorDead { throw .coordinatorDied }
        } catch {
            if isCoordinatorDead { throw .coordinatorDied }
            isAnswerLost = false
            switch error {
            case .failed: return .failed(Self.failure)
            case .inconsistent: return .failed(Failure(.inconsistent, "the replicas are gone"))
            case .unknown: return .unknown(Self.failure)
            case .takenOver: return .takenOver(Failure(.takenOver, "the guest belongs to the target"))
            case .coordinatorDied: throw error
            }
        }
        defer { isAnswerLost = false }
        return isAnswerLost ? .unknown(Self.failure) : .done
    }

    private mutating func advance(
        _ event: MigrationMachine.Event, _ step: Step, _ run: inout ModelRun
    ) throws(Break) -> MigrationMachine.Action {
        do throws(Break) { return try record(event, &run, deciding: step == .decide) } catch {
            if error == .coordinatorDied || run.machine.isCommitted { throw error }
            self[run.source].change(run.id) { $0.isBehind = true }
            let goesOn = run.machine.isGoingBack && sabotage != .stopsWithoutJournal
            return run.machine.handle(goesOn ? event : .failed(Self.failure))
        }
    }

    /// Tells the machine and records where that leads before anything is done about it.
    private mutating func record(
        _ event: MigrationMachine.Event, _ run: inout ModelRun, deciding: Bool = false
    ) throws(Break) -> MigrationMachine.Action {
        var next = run.machine
        let action = next.handle(event)
        if case .refuse = action { return action }
        if case .finish(.rolledBack) = action, run.machine != next { judgeRollbackTwice(run) }
        if !(deciding && sabotage == .decisionIsNotRecorded) {
            let (id, machine) = (run.id, next)
            try commit("journal \(next.state.title)") { host in
                host.change(id) { record in
                    record.machine = machine
                    if case .peerFenced = event { record.hasDeclaredPeerDead = true }
                    if machine.isCommitted { record.isDecided = true }
                    if case .finished = machine.state { record.isOpen = false }
                }
            }
        }
        if isCoordinatorDead { throw .coordinatorDied }
        run.machine = next
        return action
    }

    /// The whole way back is taken a second time, on a copy: nothing may change by it.
    private mutating func judgeRollbackTwice(_ run: ModelRun) {
        let target = self[run.target].record(run.id)
        guard self[run.source].record(run.id)?.hasDeclaredPeerDead == false, canReach(run.target),
            target?.hasDeclaredPeerDead != true
        else { return }
        // From its preparation a cold migration goes back without a guest that was lost.
        if run.machine.plan.method == .cold, self[run.source].domain == nil { return }
        var copy = self
        (copy.faults, copy.trail) = ([], nil)
        for step in run.machine.plan.rollback(from: .transferImage) {
            do throws(Break) { try copy.performAnywhere(step, run) } catch {
                complain("the way back cannot be taken twice")
            }
        }
        for id in HostID.allCases where copy[id].withoutGuestsWrites != self[id].withoutGuestsWrites {
            complain("the way back taken twice is not the same as once")
        }
    }
}

extension ModelHost {
    fileprivate var withoutGuestsWrites: ModelHost {
        var host = self
        host.domain?.memory = 0
        for index in host.volumes.indices { (host.volumes[index].body, host.volumes[index].tail) = (0, 0) }
        return host
    }
}

extension MigrationMachine.State {
    fileprivate var title: String {
        switch self {
        case .forward(let step): "forward \(step)"
        case .rollingBack(let left, _): "back \(left.first?.rawValue ?? "")"
        case .rescuing(let step, _, _): "rescue \(step)"
        case .reclaiming(let left, _): "reclaim \(left.first?.rawValue ?? "")"
        case .suspended: "suspended"
        case .finished: "finished"
        }
    }
}

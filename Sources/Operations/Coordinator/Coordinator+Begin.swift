import HostModel
import Migration
import Reporting

/// How a run begins that continues another one: what became of the other host is asked first.
extension Coordinator {
    /// Tells the machine why this run was begun.
    func begin(_ event: MigrationMachine.Event?) async throws -> MigrationMachine.Action {
        guard let event else { return journal.machine.action }
        if case .peerFenced = event {
            let word = journal.hasDeclaredTargetDead ? [] : [MigrationEvent.Kind.declaredDead(spec.target.name)]
            let action = try journal.advance(event, word)
            if action == .finish(.migrated) {
                journal.note(.note("the domain and its disks were on \(spec.target.name); only old copies can be here"))
            }
            return action
        }
        let action = try journal.advance(try await newsFromTarget(event) ?? event, [])
        if journal.hasDeclaredTargetDead, case .finish(let outcome) = action {
            await tidyLateTarget(outcome)
        }
        return action
    }

    /// A target that was declared dead and has come back still has the migration open. What it holds is not the guest's any
    /// more, but where the guest had settled there already.
    private func tidyLateTarget(_ outcome: MigrationMachine.Outcome) async {
        let steps: [Step]
        switch outcome {
        case .migrated: steps = [.cleanTarget, .closeTarget]
        case .rolledBack, .lost: steps = [.retireTargetCopies, .closeTargetAfterRollback]
        }
        do {
            for step in steps { try await perform(step) }
            journal.note(.note("\(spec.target.name) has come back, and was tidied up"))
            targetIsBack = true
        } catch {
            let failure = Failure(error, doing: "cannot tidy \(spec.target.name) up")
            report(.note("\(spec.target.name) is not tidied up: \(failure)"))
        }
    }

    /// What a target has decided by itself meanwhile, asked before anything can let the guest run here. A target that does not
    /// answer has to be gone without: what it was told last is in this journal. Throws where somebody has let the guest run
    /// there.
    private func newsFromTarget(_ event: MigrationMachine.Event) async throws -> MigrationMachine.Event? {
        if journal.machine.isCommitted || journal.hasDeclaredTargetDead { return nil }
        if case .finished = journal.machine.state { return nil }
        let update = mirrorUpdate()
        do { _ = try await target.ask(.mirror(update), limit: .seconds(30)) } catch {
            journal.returnUnmirrored(update.events)
            let failure = Failure(error, doing: "cannot ask \(spec.target.name)")
            if failure.code == .busy { throw failure }
            // Whatever were done now, two of it might run.
            if failure.code == .runsUndecided { throw await tellingOfBothSides(failure) }
            if failure.code == .takenOver { return .takenOver(failure) }
            // Gone back already, by a run that could not record it.
            if failure.code == .notFound, event == .resumed, journal.machine.state != .forward(.reserveTarget) {
                journal.note(.note("\(spec.target.name) has ended the migration already: going back"))
                return .abortRequested
            }
        }
        return nil
    }
}

import HostModel

/// What follows once one of the two hosts is declared dead, by the only one who can know it: the operator.
extension MigrationMachine {
    /// The target is dead. Before the decision the guest goes back to the source, which needs nobody else. After it the guest
    /// was the target's and died with it: what the source holds of its memory may be older than the disk, which the target
    /// may have written, and is never restored.
    mutating func fenced(at step: Step, _ failure: Failure) -> Action {
        guard plan.isCommitted(at: step) else { return goBackAlone(plan.rollback(from: step), failure) }
        if plan.hasCleanedSource(at: step) { return enter(.finished(.migrated)) }
        return enter(.reclaiming(left: MigrationPlan.reclamation, because: failure))
    }

    /// The same on a way back that has begun.
    mutating func fenced(_ left: [Step], _ cause: Failure, _ failure: Failure) -> Action {
        // Typed a second time, it is the cause already.
        if cause.what == failure.what { return goBackAlone(left, cause) }
        var failure = failure
        failure.causes.append(cause)
        return goBackAlone(left, failure)
    }

    private mutating func goBackAlone(_ way: [Step], _ cause: Failure) -> Action {
        let left = way.filter { $0.side == .source }
        return left.isEmpty
            ? enter(.finished(.rolledBack(because: cause))) : enter(.rollingBack(left: left, because: cause))
    }

    mutating func reclaiming(_ left: [Step], _ cause: Failure, _ event: Event) -> Action {
        switch event {
        case .done:
            let rest = Array(left.dropFirst())
            return rest.isEmpty
                ? enter(.finished(.lost(because: cause))) : enter(.reclaiming(left: rest, because: cause))
        case .failed(let failure), .unknown(let failure), .takenOver(let failure):
            return suspend(at: .reclaim(left: left, because: cause), failure, needsRecovery: true)
        case .resumed, .abortRequested, .peerFenced: return action
        }
    }

    /// The target has ended the migration by itself. What is left of this side's part is to tidy up.
    mutating func takenOver(at step: Step, _ failure: Failure) -> Action {
        plan.hasCleanedSource(at: step) ? enter(.finished(.migrated)) : handedOver(failure)
    }

    /// This side takes the target's decision for its own: from here on it stands in this host's journal as well, so nothing
    /// can start the guest here. It stops all the same: whoever comes back late is to be looked at before it is tidied up.
    mutating func handedOver(_ failure: Failure) -> Action {
        takenOver = true
        return suspend(at: .forward(.cleanSource), failure, needsRecovery: true)
    }
}

extension MigrationPlan {
    /// The steps that make the source's copies plain volumes again after the target, which had the guest, is lost. No memory
    /// can be restored before anything else is changed.
    static let reclamation: [Step] = [
        .reclaimSource, .takeDownSourceReplica, .linkReclaimed, .cleanSourceAfterRollback,
    ]

    /// Whether the source has nothing left of the guest once `step` is the next one to take.
    func hasCleanedSource(at step: Step) -> Bool {
        guard let cleaning = steps.firstIndex(of: .cleanSource), let index = steps.firstIndex(of: step) else {
            return false
        }
        return index > cleaning
    }
}

/// The order of a migration's steps: forwards, and back to the source.
public struct MigrationPlan: Sendable, Codable, Hashable {
    /// When DRBD is taken off the target's volume.
    public enum Settlement: String, Sendable, Codable, CaseIterable {
        /// In a third freeze; until then the source's copy stays current, so a target that dies loses nothing.
        case late
        /// Within the second freeze, as in the original procedure.
        case early
    }

    public var settlement: Settlement
    /// Compare the copies' checksums while nothing writes to them.
    public var comparesCopies: Bool

    public init(settlement: Settlement, comparesCopies: Bool) {
        self.settlement = settlement
        self.comparesCopies = comparesCopies
    }

    /// Every step of a migration that meets no trouble.
    public var steps: [Step] {
        let prepare: [Step] = [.reserveTarget, .makeTargetVolumes, .makeTargetReplica, .makeSourceReplica]
        let substitute: [Step] = [
            .saveForReplica, .promoteSource, .linkSourceToReplica, .restoreOnReplica, .continueOnReplica,
        ]
        let synchronise: [Step] = [.connectTarget, .connectSource, .synchronise, .verifyCopies]
        // The link must exist before the transfer: `xl restore` looks at the path early and opens it at the stream's end.
        let link: Step = settlement == .late ? .linkTargetToReplica : .linkTargetToVolumeEarly
        let compare: [Step] = comparesCopies ? [.compareCopies] : []
        let open: Step = settlement == .late ? .promoteTarget : .releaseTargetVolume
        let handOver: [Step] =
            [link, .transferImage, .demoteSource] + compare + [open, .finishRestore, .decide]
            + [.acknowledgeDecision, .startOnTarget]
        let settle: [Step] =
            settlement == .late
            ? [.saveForVolume, .takeDownTargetReplica, .linkTargetToVolume, .restoreOnVolume, .continueOnVolume]
            : []
        return prepare + substitute + synchronise + handOver + settle + [.cleanSource, .cleanTarget, .closeTarget]
    }

    /// The way back to the source from the forward step `step`, which may have been done in part.
    ///
    /// The guest comes first: nothing before `continueOnSource` needs the target but `discardOnTarget`, and that may
    /// fail for want of a connection, because a target never starts a domain without the decision.
    public func rollback(from step: Step) -> [Step] {
        switch step.phase {
        case .prepare:
            [
                .discardOnTarget, .takeDownSourceReplica, .cleanSourceAfterRollback, .cleanTargetAfterRollback,
                .closeTargetAfterRollback,
            ]
        case .substitute, .synchronise, .handOver, .settle, .tidyUp, .rollBack, .rescue:
            [
                .discardOnTarget, .saveForRollback, .takeDownSourceReplica, .linkSourceToVolume, .restoreOnSource,
                .continueOnSource, .cleanSourceAfterRollback, .cleanTargetAfterRollback, .closeTargetAfterRollback,
            ]
        }
    }

    /// Whether the decision stands once `step` is the next one to take.
    public func isCommitted(at step: Step) -> Bool {
        guard let decision = steps.firstIndex(of: .decide), let index = steps.firstIndex(of: step) else { return false }
        return index > decision
    }

    /// Where a run that ended during `step` goes on. The other host may have been through a reboot and the stream of an
    /// image dies with the run that fed it: before the decision the replicas are connected and found in step again, and
    /// everything from there on finds what is already so.
    public func resumption(of step: Step) -> Step {
        switch step {
        case .connectSource, .synchronise, .verifyCopies, .linkTargetToReplica, .linkTargetToVolumeEarly,
            .transferImage,
            .demoteSource, .compareCopies, .promoteTarget, .releaseTargetVolume, .finishRestore, .decide:
            .connectTarget
        default: step
        }
    }

    /// The freeze that is open while `step` is performed, if any.
    public func freeze(during step: Step) -> Freeze? {
        switch step {
        case .saveForReplica, .promoteSource, .linkSourceToReplica, .restoreOnReplica, .continueOnReplica: .substitution
        case .transferImage, .demoteSource, .compareCopies, .promoteTarget, .releaseTargetVolume, .finishRestore,
            .decide,
            .acknowledgeDecision, .startOnTarget:
            .handOver
        case .saveForVolume, .takeDownTargetReplica, .linkTargetToVolume, .restoreOnVolume, .continueOnVolume:
            .settlement
        default: nil
        }
    }
}

import HostModel

/// What a target finds of a migration whose source is dead for good.
public struct TargetFacts: Sendable, Hashable {
    public enum Guest: Sendable, Hashable, CaseIterable {
        case absent
        /// Not there, but its image came whole, is of this boot and not spent.
        case received
        /// Restored to its end, and has not run here.
        case paused
        case running
        /// Saved in the third freeze, in a whole image.
        case saved
        /// As `saved`, restored to its end and not let run.
        case pausedInSettlement
    }

    /// The worst of the volumes.
    public enum Copies: Sendable, Hashable, CaseIterable {
        case upToDate
        /// DRBD says that some of the data are missing, or does not say that they are all there.
        case incomplete
        /// DRBD knows nothing of them, not even on disk.
        case unknown
    }

    /// The decision stands in this host's journal.
    public var isDecided: Bool
    public var guest: Guest
    public var copies: Copies

    public init(isDecided: Bool, guest: Guest, copies: Copies) {
        self.isDecided = isDecided
        self.guest = guest
        self.copies = copies
    }
}

/// What a target does with what it has, once its operator knows that the source is dead for good. Pure.
///
/// Without a decision here nobody can tell what the source did last; that it does nothing more is the operator's word. Each
/// way can be taken again from its beginning after a crash: what was done shows in the facts. The journal is closed after the
/// last step, together with the outcome.
public enum TargetResolution: Sendable, Equatable {
    /// The guest runs here at the end.
    case finish([Step])
    /// The guest is lost; its disks are here.
    case diskAlone([Step])
    /// There is nothing to run the guest from.
    case incomplete([Step])
    case refuse(Failure)

    public init(_ facts: TargetFacts, _ plan: MigrationPlan) {
        self = facts.isDecided ? .decided(facts, plan) : .undecided(facts, plan)
    }

    private static func decided(_ facts: TargetFacts, _ plan: MigrationPlan) -> TargetResolution {
        switch (facts.guest, facts.copies) {
        case (.absent, .incomplete): .incomplete([.retireTargetCopies])
        case (_, .incomplete):
            .refuse(
                Failure(
                    .needsRecovery, "the guest's disks are not complete on this host",
                    why: "they were when it was handed over: a disk has failed since",
                    remedy: "see 'xenlvs replica status' and 'dmesg'; save what can be read from within the guest"))
        // Settled and tidied up replicas are known to nobody any more; with the decision they were complete.
        case (.absent, .upToDate), (.absent, .unknown): .diskAlone(claiming)
        case (.received, .upToDate), (.received, .unknown), (.paused, .upToDate), (.paused, .unknown):
            .finish([.startOnTarget] + settling(plan))
        case (.pausedInSettlement, .upToDate), (.pausedInSettlement, .unknown):
            .finish([.continueAsLinked] + settling(plan))
        case (.running, .upToDate), (.running, .unknown), (.saved, .upToDate), (.saved, .unknown):
            .finish(settling(plan))
        }
    }

    private static func undecided(_ facts: TargetFacts, _ plan: MigrationPlan) -> TargetResolution {
        switch (facts.guest, facts.copies) {
        case (.paused, .upToDate) where !plan.leavesTargetInStep: .diskAlone([.discardOnTarget] + claiming)
        // A guest that somebody has let run by hand is no worse than one that is let run now.
        case (.paused, .upToDate), (.running, .upToDate):
            .finish([.acknowledgeDecision, .startOnTarget] + settling(plan))
        case (.absent, .upToDate), (.received, .upToDate): .diskAlone(claiming)
        case (.absent, .incomplete), (.absent, .unknown), (.received, .incomplete), (.received, .unknown),
            (.paused, .incomplete), (.paused, .unknown):
            .incomplete([.retireTargetCopies])
        case (.running, .incomplete), (.running, .unknown):
            .refuse(contradiction("it runs on a copy that is not complete"))
        case (.saved, _), (.pausedInSettlement, _):
            .refuse(contradiction("it has been through the third freeze without a decision"))
        }
    }

    private static let claiming: [Step] = [
        .claimTarget, .takeDownTargetReplica, .linkTargetToVolume, .cleanTarget,
    ]

    /// What is left once the guest runs, or is saved in the third freeze. Each step finds what is already so.
    private static func settling(_ plan: MigrationPlan) -> [Step] {
        plan.steps.filter { $0.phase == .settle } + [.cleanTarget]
    }

    private static func contradiction(_ why: String) -> Failure {
        Failure(
            .inconsistent, "the guest cannot be on this host as it is", why: why,
            remedy: "nothing was changed: find out who started it, and where it was before")
    }
}

/// The epochs of runs that follow the operator's word on a target. A source counts up from 1 and never gets there, so
/// whatever it orders when it comes back after all is of an older run.
public enum ResolutionEpoch {
    public static let first: Int64 = 1 << 40

    /// The epoch of the next such run.
    public static func next(after epoch: Int64) -> Int64 { max(epoch, first - 1) + 1 }

    public static func isOne(_ epoch: Int64) -> Bool { epoch >= first }
}

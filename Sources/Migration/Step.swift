/// One step of a migration: the unit that is journaled, performed on one host, observed and repeated.
///
/// Every step is written as *observe → already so? → do → check*, so performing a step a second time, after a crash or a
/// lost answer, is always safe. The order in which steps are taken is `MigrationPlan`'s; what follows a failure is
/// `MigrationMachine`'s.
public enum Step: String, Sendable, Codable, CaseIterable {
    // A, prepare: nothing that a guest could notice.
    /// Target: takes the migration into its journal; refuses a second one of the same domain and a lower epoch.
    case reserveTarget
    /// Target: volumes of exactly the source's sizes.
    case makeTargetVolumes
    /// Target: metadata, resource, minor, attach. The copy is Inconsistent.
    case makeTargetReplica
    /// Source: metadata, resource, minor, attach below the running guest's feet; not connected, not promoted.
    case makeSourceReplica

    // B, substitute: freeze 1.
    /// Source: the domain is saved and gone.
    case saveForReplica
    /// Source, cold: the domain is shut down and gone.
    case shutDown
    /// Source: DRBD is Primary over the volume, for the first and only time by force.
    case promoteSource
    case linkSourceToReplica
    /// Source: the switches lead to the replicas, below the running domain.
    case leadSourceToReplica
    /// Source: the domain is restored and paused.
    case restoreOnReplica
    /// Source: the saved image is spent, the domain runs.
    case continueOnReplica

    // C, synchronise.
    /// Both: the target gets what the volumes hold past DRBD, which notes only what is written meanwhile.
    case seedCopies
    case connectTarget
    case connectSource
    /// Both: until every volume is UpToDate on both hosts.
    case synchronise
    /// Both: the tail, or everything where that is required or wanted, is compared block by block.
    case verifyCopies

    // D, hand over: freeze 2.
    case linkTargetToReplica
    case linkTargetToVolumeEarly
    /// Target: the links lead to switches that refuse every request until this side is Primary.
    case linkTargetToSwitch
    /// Both: the domain is saved on the source and its image sent; the target has restored all but the held-back tail.
    case transferImage
    /// Source: Secondary. From here on nothing can write to the source's copy.
    case demoteSource
    /// Both: checksums of the two copies, while nothing writes.
    case compareCopies
    /// Target: Primary; only with every volume connected and UpToDate on both hosts.
    case promoteTarget
    /// Target, settling early: DRBD is taken down, the volume is plain again.
    case releaseTargetVolume
    /// Target: the tail is let go, the domain exists there, paused.
    case finishRestore
    /// Both, shared disks: both hosts see the same disks, of the same size and with the same bytes.
    case checkSharedDisks
    /// Target, live: nothing is left of a hand-over that was broken off.
    case clearTarget
    /// Source, live: the domain runs here; one that a hand-over has left suspended is let run on.
    case recallOnSource
    /// Source, live: both sides may be Primary, now that both copies are UpToDate.
    case openWindow
    /// Both, live: the domain is suspended on the source, under another name, and there on the target, complete and paused.
    case moveLive
    /// Source: none of the domain's requests is under way any more, and none can follow.
    case quietSource
    /// Source: the durable commit decision. Performed by journaling alone.
    case decide
    /// Target: the decision stands in the target's journal as well.
    case acknowledgeDecision
    /// Target: the domain runs.
    case startOnTarget

    // E, settle: freeze 3, on the target.
    case saveForVolume
    /// Target: the switches lead to the volumes, below the running domain.
    case leadTargetToVolume
    case takeDownTargetReplica
    case linkTargetToVolume
    case restoreOnVolume
    case continueOnVolume

    // Tidy up.
    case cleanSource
    case cleanTarget
    case closeTarget

    // Rolling back, before the decision.
    /// Target: the receiver is stopped and the paused domain destroyed, DRBD taken down.
    case discardOnTarget
    /// Source: a domain that runs on the replica is saved; one that is saved already stays so.
    case saveForRollback
    /// Source: the switches lead to the volumes again, below the domain if it runs.
    case leadSourceToVolume
    case takeDownSourceReplica
    case linkSourceToVolume
    case restoreOnSource
    case continueOnSource
    case cleanSourceAfterRollback
    case cleanTargetAfterRollback
    case closeTargetAfterRollback

    // Putting a guest back that a failed settlement left saved, after the decision.
    /// Target: the domain is restored on whatever its links point to.
    case restoreAsLinked
    case continueAsLinked

    // One host alone, the other one being dead for good.
    /// Source: no saved image of the migration can be restored any more, and the decision is taken back here.
    case reclaimSource
    /// Source: the copies are the guest's disks again, with links to them; incomplete ones are kept without.
    case linkReclaimed
    /// Target: no image can be restored any more, and the volumes are the guest's disks.
    case claimTarget
    /// Target: copies that are not complete are kept, without links.
    case retireTargetCopies

    /// The host whose state the step changes.
    public enum Side: String, Sendable, Codable { case source, target, both }

    public enum Phase: String, Sendable, Codable, CaseIterable {
        case prepare, substitute, synchronise, handOver, settle, tidyUp, rollBack, rescue
    }

    public var side: Side {
        switch self {
        case .makeSourceReplica, .saveForReplica, .shutDown, .promoteSource, .linkSourceToReplica,
            .leadSourceToReplica, .restoreOnReplica, .continueOnReplica, .connectSource, .demoteSource, .decide,
            .cleanSource, .saveForRollback,
            .leadSourceToVolume, .takeDownSourceReplica, .linkSourceToVolume, .restoreOnSource, .continueOnSource,
            .cleanSourceAfterRollback, .reclaimSource, .linkReclaimed, .recallOnSource, .openWindow, .quietSource:
            .source
        case .reserveTarget, .makeTargetVolumes, .makeTargetReplica, .connectTarget, .linkTargetToReplica,
            .linkTargetToVolumeEarly, .linkTargetToSwitch, .promoteTarget, .releaseTargetVolume, .finishRestore,
            .acknowledgeDecision,
            .startOnTarget, .saveForVolume, .leadTargetToVolume, .takeDownTargetReplica, .linkTargetToVolume,
            .restoreOnVolume,
            .continueOnVolume, .cleanTarget, .closeTarget, .discardOnTarget, .cleanTargetAfterRollback,
            .closeTargetAfterRollback, .restoreAsLinked, .continueAsLinked, .claimTarget, .retireTargetCopies,
            .clearTarget:
            .target
        case .seedCopies, .synchronise, .verifyCopies, .transferImage, .compareCopies, .checkSharedDisks, .moveLive:
            .both
        }
    }

    public var phase: Phase {
        switch self {
        case .reserveTarget, .makeTargetVolumes, .makeTargetReplica, .makeSourceReplica: .prepare
        case .saveForReplica, .shutDown, .promoteSource, .linkSourceToReplica, .leadSourceToReplica,
            .restoreOnReplica, .continueOnReplica:
            .substitute
        case .seedCopies, .clearTarget, .recallOnSource, .checkSharedDisks, .connectTarget, .connectSource,
            .synchronise,
            .verifyCopies:
            .synchronise
        case .linkTargetToReplica, .linkTargetToVolumeEarly, .linkTargetToSwitch, .transferImage, .demoteSource,
            .compareCopies, .promoteTarget, .releaseTargetVolume, .finishRestore, .openWindow, .moveLive, .quietSource,
            .decide, .acknowledgeDecision, .startOnTarget:
            .handOver
        case .saveForVolume, .leadTargetToVolume, .takeDownTargetReplica, .linkTargetToVolume, .restoreOnVolume,
            .continueOnVolume:
            .settle
        case .cleanSource, .cleanTarget, .closeTarget: .tidyUp
        case .discardOnTarget, .saveForRollback, .leadSourceToVolume, .takeDownSourceReplica, .linkSourceToVolume,
            .restoreOnSource, .continueOnSource, .cleanSourceAfterRollback, .cleanTargetAfterRollback,
            .closeTargetAfterRollback:
            .rollBack
        case .restoreAsLinked, .continueAsLinked, .reclaimSource, .linkReclaimed, .claimTarget, .retireTargetCopies:
            .rescue
        }
    }

    /// What the step does, for a plan, a journal listing or a message: "save the domain …".
    public var title: String {
        switch self {
        case .reserveTarget: "take the migration into the target's journal"
        case .makeTargetVolumes: "create the target's volumes"
        case .makeTargetReplica: "prepare the target's replicas"
        case .makeSourceReplica: "prepare the source's replicas"
        case .saveForReplica: "save the domain"
        case .shutDown: "shut the domain down"
        case .promoteSource: "make the source's replicas Primary"
        case .linkSourceToReplica: "turn the source's links to the replicas"
        case .leadSourceToReplica: "lead the source's switches to the replicas"
        case .restoreOnReplica: "restore the domain on its replicas"
        case .continueOnReplica: "let the domain run on its replicas"
        case .seedCopies: "send what the volumes hold, past DRBD"
        case .connectTarget: "let the target's replicas connect"
        case .connectSource: "let the source's replicas connect"
        case .synchronise: "synchronise"
        case .verifyCopies: "verify the copies"
        case .linkTargetToReplica: "set the target's links to the replicas"
        case .linkTargetToVolumeEarly: "set the target's links to the volumes"
        case .linkTargetToSwitch: "set the target's links to its switches, closed"
        case .transferImage: "save the domain and send its image"
        case .demoteSource: "make the source's replicas Secondary"
        case .compareCopies: "compare the copies' checksums"
        case .promoteTarget: "make the target's replicas Primary"
        case .releaseTargetVolume: "take the target's replicas down"
        case .finishRestore: "finish the restore, paused"
        case .checkSharedDisks: "see that both hosts have the same disks"
        case .clearTarget: "see that nothing is left on the target of a broken off hand-over"
        case .recallOnSource: "see that the domain runs on the source"
        case .openWindow: "let the replicas be Primary on both hosts"
        case .moveLive: "hand the running domain over to the target, where it stays paused"
        case .quietSource: "wait until nothing of the domain is under way on the source"
        case .decide: "decide: the domain belongs to the target"
        case .acknowledgeDecision: "record the decision on the target"
        case .startOnTarget: "let the domain run on the target"
        case .saveForVolume: "save the domain on the target"
        case .leadTargetToVolume: "lead the target's switches to the volumes"
        case .takeDownTargetReplica: "take the target's replicas down"
        case .linkTargetToVolume: "turn the target's links to the volumes"
        case .restoreOnVolume: "restore the domain on its volumes"
        case .continueOnVolume: "let the domain run on its volumes"
        case .cleanSource: "tidy up the source"
        case .cleanTarget: "tidy up the target"
        case .closeTarget: "close the target's journal"
        case .discardOnTarget: "discard what the target holds of the domain"
        case .saveForRollback: "save the domain for the way back"
        case .leadSourceToVolume: "lead the source's switches back to the volumes"
        case .takeDownSourceReplica: "take the source's replicas down"
        case .linkSourceToVolume: "turn the source's links back to the volumes"
        case .restoreOnSource: "restore the domain on the source"
        case .continueOnSource: "let the domain run on the source"
        case .cleanSourceAfterRollback: "remove what the migration made on the source"
        case .cleanTargetAfterRollback: "remove what the migration made on the target"
        case .closeTargetAfterRollback: "close the target's journal"
        case .restoreAsLinked: "restore the domain as its links stand"
        case .continueAsLinked: "let the domain run as its links stand"
        case .reclaimSource: "take the source's copies back"
        case .linkReclaimed: "turn the source's links back to its copies"
        case .claimTarget: "take the target's copies as the domain's disks"
        case .retireTargetCopies: "keep the target's incomplete copies without links"
        }
    }
}

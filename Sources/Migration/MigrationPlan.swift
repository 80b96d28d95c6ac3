import HostModel

/// The order of a migration's steps: forwards, and back to the source.
public struct MigrationPlan: Sendable, Codable, Hashable {
    /// How DRBD comes below the guest and from below it again.
    public enum Method: String, Sendable, Codable, CaseIterable {
        /// Each time the guest is saved and restored.
        case threeFreeze = "three-freeze"
        /// By the switches of its disks, while it runs; only the hand-over freezes it: it is saved, sent and restored.
        case oneFreeze = "one-freeze"
        /// The same, and the hand-over is Xen's own: its memory is sent while it runs, and it stops for the rest of it.
        case live
        /// It is shut down, its disks are copied, and it is started on the target.
        case cold
    }

    /// Where the guest's disks are.
    public enum Storage: String, Sendable, Codable, CaseIterable {
        /// On the source alone: they are copied, and the copies are the target's afterwards.
        case replicas
        /// Both hosts have them already: the guest moves alone.
        case shared
    }

    /// When DRBD is taken off the target's volume.
    public enum Settlement: String, Sendable, Codable, CaseIterable {
        /// After the hand-over; until then the source's copy stays current, so a target that dies loses nothing.
        case late
        /// Within the second freeze, as in the original procedure.
        case early
    }

    public let method: Method
    public let storage: Storage
    public let settlement: Settlement
    /// Compare the copies' checksums while nothing writes to them.
    public var comparesCopies: Bool
    /// The bulk of the volumes is sent past DRBD, compressed and without what is empty; DRBD copies what changes meanwhile.
    public let seeds: Bool

    /// - Precondition: `objection` has nothing against it.
    public init(
        method: Method = .threeFreeze, storage: Storage = .replicas, settlement: Settlement, comparesCopies: Bool,
        seeds: Bool = false
    ) {
        self.method = method
        self.storage = storage
        self.settlement = settlement
        self.comparesCopies = comparesCopies
        self.seeds = seeds
        precondition(objection == nil, objection ?? "")
    }

    /// Why there is no such plan; nil where there is.
    private var objection: String? {
        if method != .threeFreeze, settlement == .early {
            return "a \(method.rawValue) migration does not settle early"
        }
        switch storage {
        case .replicas:
            return method == .live && comparesCopies ? "a live hand-over leaves no time to compare the copies" : nil
        case .shared:
            if method == .cold { return "shared disks need no copy: the guest is shut down and started by hand" }
            if method == .threeFreeze { return "shared disks need no replicas to be put below the guest" }
            if seeds { return "shared disks are not copied" }
            return comparesCopies ? "shared disks are no copies to be compared" : nil
        }
    }

    private enum CodingKeys: CodingKey { case method, storage, settlement, comparesCopies, seeds }

    /// Reads what another host sends, or the journal has; a plan without a method, or without storage, is of a version that
    /// knew only one. Throws `.usage` for a plan that cannot be.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        method = try values.decodeIfPresent(Method.self, forKey: .method) ?? .threeFreeze
        storage = try values.decodeIfPresent(Storage.self, forKey: .storage) ?? .replicas
        settlement = try values.decode(Settlement.self, forKey: .settlement)
        comparesCopies = try values.decode(Bool.self, forKey: .comparesCopies)
        seeds = try values.decodeIfPresent(Bool.self, forKey: .seeds) ?? false
        if let objection { throw Failure(.usage, objection) }
    }

    /// What earlier versions take for granted is left out: they read such a plan as well.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        if method != .threeFreeze { try values.encode(method, forKey: .method) }
        if storage != .replicas { try values.encode(storage, forKey: .storage) }
        try values.encode(settlement, forKey: .settlement)
        try values.encode(comparesCopies, forKey: .comparesCopies)
        if seeds { try values.encode(seeds, forKey: .seeds) }
    }

    /// Every disk has a switch, on both hosts, and it is that which leads elsewhere.
    public var usesSwitches: Bool { storage == .replicas && (method == .oneFreeze || method == .live) }

    /// Whether a guest that is there, paused, on a target without a decision has the memory that belongs to its disks. Where
    /// the disks are shared, or the source's kept in step, it may have run on at the source since.
    public var leavesTargetInStep: Bool { storage == .replicas && method != .live }

    /// The guest is saved while DRBD is taken from below it on the target.
    var settlesInFreeze: Bool { method == .threeFreeze }

    /// Every step of a migration that meets no trouble.
    public var steps: [Step] {
        switch storage {
        case .replicas:
            let prepare: [Step] = [.reserveTarget, .makeTargetVolumes, .makeTargetReplica, .makeSourceReplica]
            return switch method {
            case .live:
                prepare + substitution + seeding + broughtBack + synchronise + [.linkTargetToSwitch] + liveHandOver
                    + decision + [.demoteSource] + settling + tidyUp
            case .cold: prepare + shutDown + decision + tidyUp
            case .threeFreeze, .oneFreeze:
                prepare + substitution + seeding + synchronise + handOver + decision + settling + tidyUp
            }
        case .shared:
            return method == .live
                ? [.reserveTarget] + broughtBack + [.checkSharedDisks] + liveHandOver + decision + tidyUp
                : [.reserveTarget, .checkSharedDisks, .transferImage, .quietSource, .finishRestore] + decision + tidyUp
        }
    }

    private var synchronise: [Step] { [.connectTarget, .connectSource, .synchronise, .verifyCopies] }

    /// What a cold migration does while the guest is off. Whoever starts it on the source meanwhile does so on the replica: what
    /// it writes is copied too, and the source stays Primary as long as it runs.
    var shutDown: [Step] {
        substitution + seeding + synchronise + [.demoteSource] + (comparesCopies ? [.compareCopies] : [])
            + [.releaseTargetVolume, .linkTargetToVolumeEarly]
    }

    var decision: [Step] { [.decide, .acknowledgeDecision, .startOnTarget] }
    private var seeding: [Step] { seeds ? [.seedCopies] : [] }
    private var tidyUp: [Step] { [.cleanSource, .cleanTarget, .closeTarget] }

    private var substitution: [Step] {
        switch method {
        case .threeFreeze:
            [.saveForReplica, .promoteSource, .linkSourceToReplica, .restoreOnReplica, .continueOnReplica]
        case .oneFreeze, .live: [.promoteSource, .leadSourceToReplica]
        case .cold: [.shutDown, .promoteSource, .linkSourceToReplica]
        }
    }

    private var handOver: [Step] {
        // The link must exist before the transfer: `xl restore` looks at the path early and opens it at the stream's end.
        let (link, open): (Step, Step) =
            switch (method, settlement) {
            case (.threeFreeze, .late): (.linkTargetToReplica, .promoteTarget)
            case (.threeFreeze, .early): (.linkTargetToVolumeEarly, .releaseTargetVolume)
            case (.oneFreeze, _), (.live, _), (.cold, _): (.linkTargetToSwitch, .promoteTarget)
            }
        return [link, .transferImage, .demoteSource] + (comparesCopies ? [.compareCopies] : []) + [
            open, .finishRestore,
        ]
    }

    /// What a run that was cut off has got to is taken back, and its guest let run, before anything else.
    private var broughtBack: [Step] { [.clearTarget, .recallOnSource] }

    /// Both sides are Primary from `openWindow` to `demoteSource`; nobody can write on the source from `quietSource` on, nor on
    /// the target up to `startOnTarget`.
    private var liveHandOver: [Step] {
        storage == .shared ? [.moveLive, .quietSource] : [.openWindow, .promoteTarget, .moveLive, .quietSource]
    }

    private var settling: [Step] {
        switch (method, settlement) {
        case (.threeFreeze, .late):
            [.saveForVolume, .takeDownTargetReplica, .linkTargetToVolume, .restoreOnVolume, .continueOnVolume]
        case (.threeFreeze, .early): []
        case (.oneFreeze, _), (.live, _): [.leadTargetToVolume, .takeDownTargetReplica]
        case (.cold, _): []
        }
    }

    /// The way back to the source from the forward step `step`, which may have been done in part.
    ///
    /// The guest comes first: nothing before `continueOnSource` needs the target but `discardOnTarget`, and that may
    /// fail for want of a connection, or be left for later, because a target never starts a domain without the decision.
    /// By switches it does not wait for DRBD to be taken down either, which fails where something holds the replica open: it
    /// runs past it, as a guest does that is led back while it runs.
    public func rollback(from step: Step) -> [Step] {
        let clean: [Step] = [.cleanSourceAfterRollback, .cleanTargetAfterRollback, .closeTargetAfterRollback]
        switch step.phase {
        case .prepare: return [.discardOnTarget, .takeDownSourceReplica] + clean
        case .substitute, .synchronise, .handOver, .settle, .tidyUp, .rollBack, .rescue:
            // A guest that runs is led back as it runs; only one that is saved is restored.
            let back: [Step] = [.restoreOnSource, .continueOnSource]
            let way: [Step] =
                switch (storage, method) {
                case (.replicas, .threeFreeze): [.saveForRollback, .takeDownSourceReplica, .linkSourceToVolume] + back
                case (.replicas, .oneFreeze), (.replicas, .live):
                    [.leadSourceToVolume] + back + [.takeDownSourceReplica]
                case (.replicas, .cold): [.takeDownSourceReplica, .linkSourceToVolume] + back
                case (.shared, _): back
                }
            return [.discardOnTarget] + way + clean
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
            .linkTargetToSwitch, .transferImage, .demoteSource, .compareCopies, .promoteTarget, .releaseTargetVolume,
            .finishRestore, .checkSharedDisks, .clearTarget, .recallOnSource, .openWindow, .moveLive, .quietSource,
            .decide:
            // After the decision a live hand-over still has the source's copies to demote.
            if method == .live {
                isCommitted(at: step) ? step : .clearTarget
            } else {
                storage == .shared ? .checkSharedDisks : .connectTarget
            }
        // A host that was restarted meanwhile knows nothing of what a killed hand-over had left.
        case .connectTarget: method == .live ? .clearTarget : step
        default: step
        }
    }
}

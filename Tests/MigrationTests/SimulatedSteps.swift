import HostModel

@testable import Migration

extension SimulatedWorld {
    /// The stream of an image and the restore that it feeds die with the run that held them.
    mutating func coordinatorDies() { target.restorePending = false }

    private var isGuestLostOnSource: Bool { isSourceRestarted && source.domain == .none }

    /// Performs one step completely, or throws without having done anything.
    mutating func perform(_ step: Step, plan: MigrationPlan) throws {
        try require(!isDeaf(to: step))
        switch step {
        case .reserveTarget: target.isReserved = true
        case .makeTargetVolumes: target.hasVolume = true
        case .makeTargetReplica:
            if target.replica == .down { target.replica = .secondary }
        case .makeSourceReplica:
            if source.replica == .down { source.replica = .secondary }
        case .saveForReplica: try saveForReplica()
        case .shutDown:
            if source.domain == .none { return }
            try require(source.domain == .running)
            (source.domain, source.domainUses) = (.none, .none)
        case .promoteSource:
            try require(source.replica != .down && target.replica != .primary)
            source.replica = .primary
        case .linkSourceToReplica: source.link = .replica
        case .leadSourceToReplica:
            try require(source.domain == .running && source.domainUses == .deviceSwitch && source.replica == .primary)
            source.table = .replica
        case .restoreOnReplica: try restore(\.source)
        case .continueOnReplica: try self.continue(\.source)
        case .connectTarget: try connect(\.target)
        case .connectSource: try connect(\.source)
        // Whatever comes of it, the copy is not whole before it was synchronised.
        case .seedCopies: if !isTargetDead { (target.isComplete, target.isCurrent) = (false, false) }
        case .synchronise:
            try require(isConnected)
            isSynchronised = true
            target.isCurrent = source.isCurrent
            target.isComplete = true
        case .verifyCopies: try require(isConnected && isSynchronised)
        case .linkTargetToReplica: target.link = .replica
        case .linkTargetToVolumeEarly: target.link = .volume
        case .linkTargetToSwitch:
            if target.table != .replica { target.table = .closed }
            target.link = .deviceSwitch
        case .transferImage: try transferImage()
        case .demoteSource where isLive:
            if source.replica == .primary { source.replica = .secondary }
            isWindowOpen = false
        case .demoteSource:
            try require(source.domain == .none)
            if plan.usesSwitches { source.table = .closed }
            if source.replica == .primary { source.replica = .secondary }
        case .compareCopies: try require(source.replica == .secondary && source.isCurrent == target.isCurrent)
        case .promoteTarget:
            try promoteTarget()
            if plan.usesSwitches { target.table = .replica }
        case .releaseTargetVolume: try releaseTargetVolume()
        case .finishRestore:
            if target.domain != .none { return }
            try require(target.restorePending)
            try open(\.target)
            target.restorePending = false
        case .checkSharedDisks: try require(isShared)
        case .clearTarget: try clearTarget()
        case .recallOnSource:
            if plan.usesSwitches, source.domain == .away {
                try require(source.replica == .primary)
                source.table = .replica
            }
            try recall()
            try require(source.domain == .running)
        case .openWindow:
            try require(isConnected && isSynchronised && target.isComplete)
            isWindowOpen = true
        case .moveLive:
            try require(source.domain == .running && target.domain == .none)
            try require(isShared || source.reach == .replica && target.replica == .primary)
            (source.domain, source.hasRequests) = (.away, true)
            try open(\.target, whileMatching: true)
        case .quietSource:
            try require(source.domain == .away || source.domain == .none)
            try require(isShared || isConnected && isSynchronised)
            source.hasRequests = false
            if plan.usesSwitches { source.table = .closed }
        case .decide: break
        case .acknowledgeDecision:
            if isShared, source.image == .whole { source.image = .spent }
            target.knowsDecision = true
        case .startOnTarget where isCold:
            try require(target.knowsDecision)
            try boot(\.target)
        case .startOnTarget:
            try require(target.knowsDecision)
            // The image that was kept brings a guest back that never ran.
            if target.domain == .none, target.image == .whole { try open(\.target) }
            try self.continue(\.target)
        case .saveForVolume: try saveForVolume()
        case .leadTargetToVolume:
            try require(target.domain == .running)
            target.table = .volume
        case .takeDownTargetReplica: try takeDown(\.target)
        case .linkTargetToVolume: target.linkToVolume(plan)
        case .restoreOnVolume: try restore(\.target)
        case .continueOnVolume: try self.continue(\.target)
        case .cleanSource:
            // Restored on a way back and never let run: the target has decided meanwhile.
            if source.domain == .paused, source.image == .whole {
                (source.domain, source.domainUses) = (.none, .none)
            }
            if source.domain == .away { (source.domain, source.domainUses) = (.none, .none) }
            try require(source.domain == .none)
            try takeDown(\.source)
            if !isShared { (source.link, source.table) = (.none, .none) }
            source.image = .none
        case .cleanTarget:
            try takeDown(\.target)
            target.image = .none
        case .closeTarget, .closeTargetAfterRollback: target.isReserved = false
        case .discardOnTarget: try discardOnTarget()
        case .saveForRollback:
            if isGuestLostOnSource { return }
            if source.domain == .running, source.domainUses == .volume { return }
            if source.domain == .paused { return }
            try save(\.source)
        case .leadSourceToVolume: source.table = .volume
        case .takeDownSourceReplica: try takeDownForRollback()
        case .linkSourceToVolume: source.linkToVolume(plan)
        case .restoreOnSource where isCold: break
        case .continueOnSource where isCold: try boot(\.source)
        case .restoreOnSource:
            if isGuestLostOnSource || plan.method == .live { return }
            try restore(\.source)
        case .continueOnSource:
            if isGuestLostOnSource { return }
            if plan.method == .live { try recall() } else { try self.continue(\.source) }
        case .cleanSourceAfterRollback:
            try takeDown(\.source)
            source.image = .none
        case .cleanTargetAfterRollback:
            target.image = .none
            if isShared { return }
            (target.link, target.table) = (.none, .none)
            target.hasVolume = false
            target.isCurrent = false
            target.isComplete = false
            target.image = .none
        case .restoreAsLinked: try restoreAsLinked()
        case .continueAsLinked: try self.continue(\.target)
        case .reclaimSource:
            if source.domain == .away { (source.domain, source.domainUses) = (.none, .none) }
            try require(source.domain == .none)
            if source.image == .whole { source.image = .spent }
        case .linkReclaimed:
            try require(source.replica == .down)
            source.linkToVolume(plan)
        case .claimTarget:
            if target.image == .whole { target.image = .spent }
            target.knowsDecision = true
        case .retireTargetCopies:
            try takeDown(\.target)
            if !isShared { (target.link, target.table) = (.none, .none) }
            target.image = .none
        }
    }

    /// The stream's end is lost behind the target's last word: `xl` lets the guest run on at the source.
    mutating func breakOff() {
        guard source.domain == .running, target.domain == .none else { return }
        try? open(\.target, whileMatching: true)
    }

    /// A guest that was shut down is started, on whatever the link leads to.
    private mutating func boot(_ host: WritableKeyPath<SimulatedWorld, SimulatedHost>) throws {
        if self[keyPath: host].domain == .running { return }
        self[keyPath: host].imageMatches = true
        try open(host)
        try self.continue(host)
        self[keyPath: host].image = .none
    }

    /// A guest that was let go runs on as if nothing had been.
    private mutating func recall() throws {
        guard source.domain == .away else { return }
        if !source.imageMatches { violation = "a guest was let run whose memory is older than its disk" }
        (source.domain, source.hasRequests) = (.running, false)
    }

    private mutating func clearTarget() throws {
        try requireWaitingTarget()
        try require(!target.knowsDecision)
        (target.domain, target.domainUses) = (.none, .none)
        isWindowOpen = false
        guard target.replica == .primary else { return }
        target.table = .closed
        target.replica = .secondary
    }

    private mutating func saveForReplica() throws {
        if source.domain == .running, source.domainUses == .replica { return }
        if source.domain == .paused { return }
        try save(\.source)
    }

    /// A guest that was put back and never let run has its whole image still.
    private mutating func saveForVolume() throws {
        if target.domain == .running, target.domainUses == .volume { return }
        if target.domain == .paused, target.image == .whole { (target.domain, target.domainUses) = (.none, .none) }
        try save(\.target)
    }

    private mutating func connect(_ host: WritableKeyPath<SimulatedWorld, SimulatedHost>) throws {
        // The target's replica may have been taken down, by a reboot or to settle early: it is attached again.
        if host == \.target, target.replica == .down {
            target.replica = .secondary
            if target.domain == .paused { (target.domain, target.domainUses) = (.none, .none) }
        }
        try require(self[keyPath: host].replica != .down)
        self[keyPath: host].connects = true
        // What has changed since is copied, and until it is the copy is not whole.
        if isConnected, !isSynchronised { target.isComplete = false }
    }

    private mutating func transferImage() throws {
        if target.domain == .paused { return }
        try require(isShared || isConnected && isSynchronised)
        if source.domain != .none, !isShared { try require(source.reach == .replica) }
        if source.domain == .running { source.hasRequests = true }
        try save(\.source)
        target.image = .whole
        target.imageMatches = source.imageMatches
        target.restorePending = true
    }

    private mutating func promoteTarget() throws {
        if target.replica == .primary { return }
        try require(isConnected && isSynchronised && (source.replica == .secondary || isWindowOpen))
        target.replica = .primary
    }

    private mutating func releaseTargetVolume() throws {
        if target.replica == .down { return }
        try require(isConnected && isSynchronised && source.replica == .secondary)
        try takeDown(\.target)
    }

    private mutating func discardOnTarget() throws {
        try requireWaitingTarget()
        try require(!target.knowsDecision)
        target.restorePending = false
        target.domain = .none
        target.domainUses = .none
        target.image = .none
        try takeDown(\.target)
    }

    /// A paused domain on the replica is one that was never continued; its image is whole.
    private mutating func takeDownForRollback() throws {
        if source.domain == .paused, source.domainUses == .replica, source.image == .whole {
            source.domain = .none
            source.domainUses = .none
        }
        try takeDown(\.source)
    }

    private mutating func restoreAsLinked() throws {
        if target.domain != .none { return }
        if target.replica == .down { target.link = .volume }
        try restore(\.target)
    }
}

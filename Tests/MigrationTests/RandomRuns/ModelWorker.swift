@testable import Migration

/// What an order says besides its step.
struct ModelOrder {
    var id: Int
    var epoch: Int64
    var isSource: Bool
    var plan: MigrationPlan
    var mayAttachAgain = false
    var secret: Int?
    /// Both kernels said before the order was given that the source is Secondary.
    var isSourceQuiet = false

    var usesSwitches: Bool { plan.usesSwitches }
}

/// One host's part of the steps, written as the hosts do them: *observe → already so? → do → check*, one effect after the
/// other.
extension ModelWorld {
    mutating func perform(_ step: Step, _ order: ModelOrder, on host: HostID) throws(Break) {
        finishLate(host)
        if step != .reserveTarget, try isNothingToUndo(step, order, host) { return }
        if step != .reserveTarget { try checkTurn(step, order, host) }
        let id = order.id
        switch step {
        case .reserveTarget: try reserve(order, host)
        case .makeTargetVolumes: try makeVolumes(order, host)
        case .leadSourceToReplica: try leadToReplicas(host)
        case .linkTargetToSwitch: try linkToClosedSwitches(host)
        case .leadTargetToVolume: try leadToVolumes(host)
        case .leadSourceToVolume: try leadBack(order, host)
        case .makeTargetReplica, .makeSourceReplica: try makeReplicas(host)
        case .saveForReplica: try save(id, .substitution, host)
        case .shutDown: try shutDown(host)
        case .promoteSource: try promoteFresh(host)
        case .linkSourceToReplica, .linkTargetToReplica: try link(to: .replica, host)
        case .linkSourceToVolume, .linkTargetToVolume, .linkTargetToVolumeEarly: try link(to: .volume, host)
        case .restoreOnReplica: try restore(id, .substitution, host)
        case .continueOnReplica: try letRun(id, .substitution, host)
        case .connectTarget, .connectSource: try connect(order, host)
        case .demoteSource: try demote(order, host)
        case .promoteTarget:
            try promoteInStep(order, host)
            if order.usesSwitches { try openSwitches(host) }
        case .releaseTargetVolume: try release(order, host)
        case .finishRestore: try confirmPaused(host)
        case .clearTarget: try clearTarget(host)
        case .recallOnSource: try recall(host)
        case .openWindow: try openWindow(host)
        case .quietSource: try quiet(host)
        case .acknowledgeDecision: try acknowledge(id, host)
        case .startOnTarget: try startAfterDecision(order, host)
        case .saveForVolume: try saveForSettlement(id, host)
        case .takeDownTargetReplica, .takeDownSourceReplica: try takeDown(order, host)
        case .restoreOnVolume: try restore(id, .settlement, host)
        case .continueOnVolume, .continueAsLinked: try letRun(id, .settlement, host)
        case .cleanSource: try cleanSource(order, host)
        case .cleanTarget:
            try takeDown(order, host)
            try removeMetadata(host)
            try removeImages(id, host)
        case .closeTarget, .closeTargetAfterRollback:
            try effect(host, "close") { $0.change(id) { $0.isOpen = false } }
        case .discardOnTarget: try discard(order, host)
        case .saveForRollback: try saveForRollback(id, host)
        case .restoreOnSource: try restoreOnSource(order, host)
        case .continueOnSource: try continueOnSource(order, host)
        case .cleanSourceAfterRollback, .cleanTargetAfterRollback: try cleanAfterRollback(order, host)
        case .restoreAsLinked: try restoreAsLinked(order, host)
        case .reclaimSource: try reclaim(id, host)
        case .linkReclaimed: try linkReclaimed(id, host)
        case .claimTarget:
            try spendAll(id, host)
            try acknowledge(id, host)
        case .retireTargetCopies: try retireCopies(order, host)
        // Disks that are shared are not modelled here.
        case .seedCopies, .synchronise, .verifyCopies, .transferImage, .compareCopies, .moveLive, .decide,
            .checkSharedDisks:
            throw .failed
        }
    }

    // MARK: Who may order what

    private func isNothingToUndo(_ step: Step, _ order: ModelOrder, _ host: HostID) throws(Break) -> Bool {
        switch step {
        case .closeTarget, .cleanTarget, .discardOnTarget, .retireTargetCopies, .cleanTargetAfterRollback,
            .closeTargetAfterRollback:
            guard let record = self[host].record(order.id) else {
                if step == .closeTarget || step == .cleanTarget { throw .failed }
                return true
            }
            try checkNotResolved(record, order.epoch)
            return !record.isOpen
        default: return false
        }
    }

    func checkNotResolved(_ record: ModelRecord, _ epoch: Int64) throws(Break) {
        guard ResolutionEpoch.isOne(record.epoch), !ResolutionEpoch.isOne(epoch) else { return }
        if sabotage == .forgetsEpochs { return }
        if record.isDecided { throw .takenOver }
        if record.isOpen { throw .failed }
    }

    private mutating func checkTurn(_ step: Step, _ order: ModelOrder, _ host: HostID) throws(Break) {
        guard let record = self[host].record(order.id), record.isSource == order.isSource else { throw .failed }
        try checkNotResolved(record, order.epoch)
        guard record.isOpen, record.epoch <= order.epoch else { throw .failed }
        self[host].change(order.id) { $0.epoch = order.epoch }
        guard !record.isSource else { return }
        let undoes: Set<Step> = [
            .reserveTarget, .makeTargetVolumes, .discardOnTarget, .cleanTargetAfterRollback, .closeTargetAfterRollback,
            .closeTarget, .retireTargetCopies,
        ]
        let either: Set<Step> = [.acknowledgeDecision, .claimTarget, .retireTargetCopies, .closeTargetAfterRollback]
        let before: Set<Step> = [
            .makeTargetVolumes, .makeTargetReplica, .connectTarget, .linkTargetToReplica, .linkTargetToVolumeEarly,
            .linkTargetToSwitch, .promoteTarget, .releaseTargetVolume, .finishRestore, .clearTarget,
            .discardOnTarget, .cleanTargetAfterRollback,
        ]
        if !either.contains(step), before.contains(step) == record.isDecided { throw .failed }
        if !undoes.contains(step), !disks.allSatisfy({ isOwn($0, order.id, host) }) { throw .failed }
    }

    func isOwn(_ disk: Int, _ id: Int, _ host: HostID) -> Bool {
        switch self[host].volumes[disk].standing {
        case .incoming(id): true
        case .active: self[host].record(id)?.isDecided == true
        case .incoming, .retired, .unknown: false
        }
    }

    // MARK: The guest

    mutating func save(_ id: Int, _ purpose: ModelImage.Purpose, _ host: HostID) throws(Break) {
        guard let domain = self[host].domain else {
            if self[host].wholeImage(id, purpose) == nil { throw .failed }
            return
        }
        guard domain.isRunning else { throw .failed }
        try effect(host, "save") { host in
            guard let domain = host.domain else { return }
            host.images.removeAll { $0.migration == id && $0.purpose == purpose && $0.boot == host.boot }
            host.images.append(
                ModelImage(migration: id, purpose: purpose, boot: host.boot, memory: domain.memory))
            host.domain = nil
        }
    }

    mutating func restore(_ id: Int, _ purpose: ModelImage.Purpose, _ host: HostID) throws(Break) {
        if self[host].domain == nil {
            guard let image = self[host].wholeImage(id, purpose) else { throw .failed }
            try open(image.memory, host)
        }
        try checkDisks(host)
    }

    /// Xen's backend opens what the links lead to, if it can be opened.
    mutating func open(_ memory: Int, _ host: HostID) throws(Break) {
        let uses = try openedByLinks(host)
        try effect(host, "restore") { host in
            if host.domain == nil { host.domain = ModelDomain(isRunning: false, memory: memory, uses: uses) }
        }
    }

    func openedByLinks(_ host: HostID) throws(Break) -> [ModelVolume.Backing] {
        for volume in self[host].volumes {
            switch volume.link {
            case .volume?: if !volume.exists || volume.replica != nil { throw .failed }
            case .replica?: if volume.replica?.isPrimary != true { throw .failed }
            // The kernel lets any switch be opened.
            case .deviceSwitch?: if volume.table == nil { throw .failed }
            case nil: throw .failed
            }
        }
        return self[host].volumes.map { $0.link ?? .volume }
    }

    func checkDisks(_ host: HostID) throws(Break) {
        guard let domain = self[host].domain, domain.uses == self[host].volumes.map(\.link) else { throw .failed }
    }

    mutating func letRun(_ id: Int, _ purpose: ModelImage.Purpose, _ host: HostID) throws(Break) {
        guard let domain = self[host].domain else { throw .failed }
        if !domain.isRunning { try checkDisks(host) }
        if sabotage != .sparesImages { try spend(id, purpose, host) }
        if !domain.isRunning { try unpause(host) }
    }

    mutating func unpause(_ host: HostID) throws(Break) {
        try effect(host, "unpause") { host in
            host.domain?.isRunning = true
            host.domain?.hasArrived = false
        }
    }

    private mutating func spend(_ id: Int, _ purpose: ModelImage.Purpose, _ host: HostID) throws(Break) {
        guard self[host].wholeImage(id, purpose) != nil else { return }
        try effect(host, "spend the image") { host in
            for index in host.images.indices
            where host.images[index].migration == id && host.images[index].purpose == purpose {
                host.images[index].isSpent = true
            }
        }
    }

    func runsOnVolumes(_ host: HostID) -> Bool {
        self[host].domain?.isRunning == true && self[host].domain?.uses.contains(.replica) == false
    }

    mutating func destroy(_ host: HostID) throws(Break) {
        try effect(host, "destroy the paused guest") { $0.domain = nil }
    }

    // MARK: Links

    mutating func link(to backing: ModelVolume.Backing, _ host: HostID) throws(Break) {
        if backing == .volume, self[host].volumes[0].hasSwitch { return try linkToSwitches(host) }
        for disk in disks where self[host].volumes[disk].link != backing {
            // A link is not made to lead nowhere.
            let volume = self[host].volumes[disk]
            guard backing == .volume ? volume.exists : volume.replica != nil else { throw .failed }
            try effect(host, "link \(disk) to the \(backing)") { $0.volumes[disk].link = backing }
        }
    }
}

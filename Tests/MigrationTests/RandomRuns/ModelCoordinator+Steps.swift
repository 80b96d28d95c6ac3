@testable import Migration

/// A step on whichever side it belongs to.
extension ModelWorld {
    mutating func performAnywhere(_ step: Step, _ run: ModelRun) throws(Break) {
        switch step.side {
        case .source:
            if step == .decide { return try requireArrival(run) }
            if step == .openWindow { try requireReadiness(run) }
            try perform(step, order(run, isSource: true), on: run.source)
        case .target:
            if step == .connectTarget { try requireReplicas(run) }
            guard canReach(run.target) else { throw .unknown }
            if step == .finishRestore, hasSender { try release(run) }
            if step == .connectTarget {
                try recordAttaching(run)
                try chooseSecret(run)
            }
            try perform(step, order(run, isSource: false), on: run.target)
            if step == .finishRestore { word = .fresh }
        case .both:
            if step == .seedCopies { return try seedCopies(run) }
            guard canReach(run.target) else { throw .unknown }
            switch step {
            case .synchronise: try synchronise(run)
            case .verifyCopies: try verify(run)
            case .transferImage: try transferImage(run)
            case .moveLive: try moveLive(run)
            case .compareCopies:
                if self[run.source].domain?.isRunning == true { throw .failed }
                for disk in disks {
                    let (one, other) = (self[run.source].volumes[disk], self[run.target].volumes[disk])
                    if one.body != other.body || one.tail != other.tail || one.hasHole != other.hasHole {
                        throw .failed
                    }
                }
            default: throw .failed
            }
        }
    }

    /// The guest runs on its replicas, or is saved over them.
    private func requireReplicas(_ run: ModelRun) throws(Break) {
        let volumes = self[run.source].volumes
        if volumes.contains(where: { $0.replica == nil }) { throw .inconsistent }
        guard run.machine.plan.usesSwitches, !trustsSwitches else { return }
        if volumes.contains(where: { $0.table == .volume || $0.table == nil }) { throw .inconsistent }
    }

    /// The sabotaged product does not look at where switches lead.
    private var trustsSwitches: Bool { sabotage == .trustsSwitches || sabotage == .staysOnVolume }

    func order(_ run: ModelRun, isSource: Bool) -> ModelOrder {
        ModelOrder(
            id: run.id, epoch: run.epoch, isSource: isSource, plan: run.machine.plan,
            mayAttachAgain: self[run.source].record(run.id)?.hasAttachedAgain == true, secret: secret,
            isSourceQuiet: self[run.source].volumes.allSatisfy { $0.replica?.isPrimary == false })
    }

    private mutating func recordAttaching(_ run: ModelRun) throws(Break) {
        guard self[run.target].volumes.contains(where: { $0.replica == nil }) else { return }
        let id = run.id
        try commit("attached again") { $0.change(id) { $0.hasAttachedAgain = true } }
    }

    private mutating func chooseSecret(_ run: ModelRun) throws(Break) {
        secret = nil
        if disks.allSatisfy(isConnected) { return }
        for disk in disks { try effect(run.source, "disconnect \(disk)") { $0.volumes[disk].replica?.disconnect() } }
        secrets += 1
        secret = secrets
    }

    var disksThatCount: Range<Int> { sabotage == .synchronisesOneVolumeOnly ? 0..<1 : disks }

    /// The kernels copy what they know to differ.
    private mutating func synchronise(_ run: ModelRun) throws(Break) {
        for disk in disks where !isInStep(disk) {
            if sabotage == .doesNotSynchronise || !disksThatCount.contains(disk) { continue }
            try effect(run.target, "synchronise \(disk)") { _ in }
            guard isConnected(disk) else { throw isSplit(disk) ? Break.failed : Break.unknown }
            guard self[run.source].volumes[disk].metadata?.isUpToDate == true else { throw .failed }
            copyDirty(disk, run)
        }
    }

    private mutating func copyDirty(_ disk: Int, _ run: ModelRun) {
        let source = self[run.source].volumes[disk]
        let bits = [source.metadata, self[run.target].volumes[disk].metadata].compactMap(\.self)
        // Of another generation than what was sent the bits tell nothing.
        let isWhole = Set(bits.map(\.seed)).count > 1
        let noted = bits.filter(\.isBodyDirty).map(\.firstDirty).min()
        if isWhole {
            copyBody(source.body, from: 0, disk, run.target)
        } else if let noted {
            copyBody(source.body, from: noted, disk, run.target)
        }
        // What DRBD has forgotten when it was attached again, it does not copy.
        if isWhole || bits.contains(where: \.isTailDirty) { self[run.target].volumes[disk].tail = source.tail }
        for id in HostID.allCases {
            self[id].volumes[disk].metadata?.isBodyDirty = false
            self[id].volumes[disk].metadata?.isTailDirty = false
            self[id].volumes[disk].metadata?.seed = source.metadata?.seed
        }
        self[run.target].volumes[disk].metadata?.isUpToDate = true
    }

    /// Only what was written from `first` on: what the copy had before must reach so far.
    private mutating func copyBody(_ last: Int, from first: Int, _ disk: Int, _ target: HostID) {
        let copy = self[target].volumes[disk]
        self[target].volumes[disk].hasHole = first > 0 && (copy.hasHole || copy.body < first - 1)
        self[target].volumes[disk].body = last
    }

    /// The tail is always compared, everything where replicas were attached again; what differs is copied.
    private mutating func verify(_ run: ModelRun) throws(Break) {
        guard disksThatCount.allSatisfy(isInStep) else { throw .failed }
        if sabotage == .doesNotVerify { return }
        let isWhole = self[run.source].record(run.id)?.hasAttachedAgain == true
        for disk in disksThatCount {
            try effect(run.target, "verify \(disk)") { _ in }
            guard isInStep(disk) else { throw .failed }
            let source = self[run.source].volumes[disk]
            self[run.target].volumes[disk].tail = source.tail
            if isWhole { copyBody(source.body, from: 0, disk, run.target) }
        }
        isInDoubt = false
    }

    private mutating func transferImage(_ run: ModelRun) throws(Break) {
        finishLate(run.source)
        let isSaved = self[run.source].domain == nil
        if isSaved, (try? perform(.finishRestore, order(run, isSource: false), on: run.target)) != nil { return }
        if isSaved {
            guard self[run.source].wholeImage(run.id, .handOver) != nil else { throw .failed }
        } else {
            guard disksThatCount.allSatisfy(isInStep) || sabotage == .doesNotSynchronise else { throw .failed }
            if run.machine.plan.usesSwitches, !trustsSwitches,
                self[run.source].volumes.contains(where: { $0.table != .replica })
            {
                throw .failed
            }
            try save(run.id, .handOver, run.source)
        }
        guard canReach(run.target) else { throw .unknown }
        guard let image = self[run.source].wholeImage(run.id, .handOver) else { throw .failed }
        try receive(image.memory, run)
        hasSender = true
    }

    private mutating func receive(_ memory: Int, _ run: ModelRun) throws(Break) {
        finishLate(run.target)
        guard mayReceive(run) else { throw .failed }
        let id = run.id
        try effect(run.target, "receive the image") { host in
            host.images.removeAll { $0.migration == id && $0.purpose == .received && $0.boot == host.boot }
            host.images.append(ModelImage(migration: id, purpose: .received, boot: host.boot, memory: memory))
        }
        self[run.target].pendingRestore = memory
    }

    /// What is sent outside of a step is for a migration that is open and not decided, and for no guest that is there.
    func mayReceive(_ run: ModelRun) -> Bool {
        guard let record = self[run.target].record(run.id) else { return false }
        return record.isOpen && !record.isDecided && record.epoch <= run.epoch && self[run.target].domain == nil
    }

    /// The tail of the image is let go once the disks are the target's.
    private mutating func release(_ run: ModelRun) throws(Break) {
        hasSender = false
        guard let memory = self[run.target].pendingRestore else { throw .failed }
        self[run.target].pendingRestore = nil
        let volumes = self[run.target].volumes
        let isLate = run.machine.plan.settlement == .late
        var isReady = volumes.allSatisfy { isLate ? $0.replica?.isPrimary == true : $0.replica == nil }
        if run.machine.plan.usesSwitches, sabotage != .opensNothing {
            isReady = isReady && volumes.allSatisfy { $0.table == .replica }
        }
        guard isReady else { throw .failed }
        try open(memory, run.target)
    }
}

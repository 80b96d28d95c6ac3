import HostModel
import Migration

extension MigrationReport {
    /// The report of a migration with any history: complete, under way, suspended or empty.
    /// - Parameter now: milliseconds since 1970 up to which what is still open is counted; nil: up to the last event.
    public init(spec: MigrationSpec, events: [MigrationEvent], now: Int64? = nil) {
        var builder = ReportBuilder(spec: spec, events: events, now: now)
        self = builder.build()
    }
}

/// Reads a history once, in order, and keeps what is open.
struct ReportBuilder {
    private let spec: MigrationSpec
    private let events: [MigrationEvent]
    private let now: Int64?

    private var phases: [MigrationReport.PhaseSpan] = []
    /// The step under way, and whether the last one failed.
    private var openStep: Step?
    private var hasFailed = false
    private var freezes: [MigrationReport.FreezeSpan] = []
    /// The freeze that began while no step was under way: it belongs to the phase of the step that follows.
    private var betweenSteps: Int?
    private var runs: [MigrationReport.Run] = []
    private var failures: [MigrationReport.StepFailure] = []
    private var notes: [MigrationReport.Note] = []
    private var volumes: [MigrationReport.VolumeCopy]
    /// A synchronisation is under way, or a run has ended in one.
    private var isSynchronising = false
    private var wasCutOff = false
    private var image: MigrationReport.Image?
    private var own: (own: Int64, total: Int64)?
    private var outcome = MigrationReport.Outcome(state: .running)
    private var isCommitted = false
    private var declaredDead: HostName?
    private var memoryLostOn: HostName?
    private var last: Int64

    init(spec: MigrationSpec, events: [MigrationEvent], now: Int64?) {
        self.spec = spec
        self.events = events
        self.now = now
        last = events.first?.time ?? now ?? 0
        volumes = spec.volumes.map { volume in
            MigrationReport.VolumeCopy(
                name: volume.name, device: volume.device, sizeBytes: volume.size.bytes,
                sourcePlace: "\(volume.sourcePlace)", targetPlace: "\(volume.targetPlace)")
        }
    }

    mutating func build() -> MigrationReport {
        let begin = last
        for event in events {
            // A clock that was set back in between must not make a length negative.
            let time = max(event.time, last)
            take(event.kind, time)
            last = time
        }
        if outcome.state == .running, let now { last = max(last, now) }
        let freezes = freezes.map(measured)
        let isFinished = outcome.state.isFinal
        return MigrationReport(
            id: spec.id, domain: spec.domain, source: spec.source.name, target: spec.target.name,
            method: spec.plan.method, settlement: spec.plan.settlement, memoryBytes: spec.memory.bytes,
            outcome: outcome,
            isCommitted: isCommitted, domainRunsOn: domainRunsOn, beginMilliseconds: begin,
            endMilliseconds: isFinished ? last : nil, untilMilliseconds: last, totalMilliseconds: last - begin,
            frozenMilliseconds: freezes.filter { !$0.isOpen }.reduce(0) { $0 + $1.milliseconds },
            phases: phases.map(measured), freezes: freezes, volumes: volumes.map(completed), image: image, runs: runs,
            failures: failures, notes: notes,
            ownTime: own.map { own, total in
                MigrationReport.OwnTime(
                    ownMilliseconds: own, accountedMilliseconds: total,
                    share: total > 0 ? Double(own) / Double(total) : nil)
            }, declaredDead: declaredDead, memoryLostOn: memoryLostOn,
            sharedDisks: spec.sharedDisks.isEmpty
                ? nil
                : spec.sharedDisks.map {
                    MigrationReport.SharedDisk(name: $0.name, device: $0.device, sizeBytes: $0.size.bytes)
                })
    }

    private var domainRunsOn: HostName? {
        if outcome.state == .lost || memoryLostOn != nil || freezes.contains(where: \.isOpen) { return nil }
        return isCommitted ? spec.target.name : spec.source.name
    }

    private mutating func take(_ kind: MigrationEvent.Kind, _ time: Int64) {
        switch kind {
        case .runBegan(let epoch, let resumed): beginRun(epoch, resumed, time)
        case .stepBegan(let step): beginStep(step, time)
        case .stepEnded(let step):
            if openStep == step { openStep = nil }
            if step == .synchronise { isSynchronising = false }
            switch step {
            // The target's own history need not have the step by which the source decided.
            case .decide, .acknowledgeDecision, .claimTarget: isCommitted = true
            case .reclaimSource: isCommitted = false
            default: break
            }
        case .stepFailed(let step, let failure):
            failures.append(MigrationReport.StepFailure(atMilliseconds: time, step: step, failure: failure))
            openStep = nil
            hasFailed = true
        case .freezeBegan(let freeze): beginFreeze(freeze, time)
        case .freezeEnded(let freeze):
            if let index = openFreeze(freeze) { freezes[index].endMilliseconds = time }
        case .synchronised(let name, let copied, let milliseconds): addSync(name, copied, milliseconds, time)
        case .imageSent(let size, let sent, let ahead, let milliseconds):
            image = MigrationReport.Image(
                sizeBytes: size.bytes, sentBytes: sent.bytes, aheadBytes: ahead?.bytes,
                compressionRatio: sent.bytes > 0
                    ? Double(size.bytes - (ahead?.bytes ?? 0)) / Double(sent.bytes) : nil,
                milliseconds: milliseconds,
                bytesPerSecond: Format.bytesPerSecond(bytes: size.bytes, milliseconds: milliseconds))
        case .verified(let name, let compared, let differing):
            update(name) {
                $0.verification = MigrationReport.Verification(
                    comparedBytes: compared.bytes, differingBytes: differing.bytes)
            }
        case .compared(let name, let source, let target):
            update(name) {
                $0.sha256 = MigrationReport.Checksums(source: source, target: target, equal: source == target)
            }
        case .attachedAgain:
            let text = "the target's replicas had to be attached again: every block is compared before the hand-over"
            notes.append(MigrationReport.Note(atMilliseconds: time, text: text))
        case .note(let text): notes.append(MigrationReport.Note(atMilliseconds: time, text: text))
        case .declaredDead(let host):
            declaredDead = host
            notes.append(MigrationReport.Note(atMilliseconds: time, text: "\(host) was declared dead by the operator"))
        case .domainLost(let host): memoryLostOn = host
        case .suspended(let reason, let needsRecovery):
            endPhase(at: time)
            endRun(.suspended, reason, time)
            if reason.code == .takenOver { isCommitted = true }
            outcome = MigrationReport.Outcome(state: needsRecovery ? .needsRecovery : .suspended, reason: reason)
        case .finished(let result): finish(result, time)
        case .accounted(let total, let own):
            self.own = ((self.own?.own ?? 0) + own, (self.own?.total ?? 0) + total)
        }
    }

    private mutating func finish(_ result: MigrationMachine.Outcome, _ time: Int64) {
        endPhase(at: time)
        endRun(.finished, nil, time)
        switch result {
        case .migrated:
            isCommitted = true
            outcome = MigrationReport.Outcome(state: .migrated)
            // A source that comes back late does not know when the target let the domain run.
            for index in freezes.indices where freezes[index].isOpen { freezes[index].endMilliseconds = time }
        case .rolledBack(let cause): outcome = MigrationReport.Outcome(state: .rolledBack, reason: cause)
        case .lost(let cause):
            outcome = MigrationReport.Outcome(state: .lost, reason: cause)
            for index in freezes.indices where freezes[index].isOpen { freezes[index].endMilliseconds = time }
        }
    }

    private mutating func beginRun(_ epoch: Int64, _ resumed: Bool, _ time: Int64) {
        wasCutOff = wasCutOff || isSynchronising
        isSynchronising = false
        endPhase(at: last)
        endRun(.lost, nil, last)
        outcome = MigrationReport.Outcome(state: .running)
        runs.append(
            MigrationReport.Run(epoch: epoch, resumed: resumed, beginMilliseconds: time, ending: .running))
        for index in freezes.indices where freezes[index].isOpen { freezes[index].runs += 1 }
    }

    private mutating func endRun(_ ending: MigrationReport.Run.Ending, _ reason: Failure?, _ time: Int64) {
        guard let index = runs.indices.last, runs[index].ending == .running else { return }
        runs[index].ending = ending
        runs[index].reason = reason
        runs[index].endMilliseconds = time
    }

    private mutating func beginStep(_ step: Step, _ time: Int64) {
        // From here on the replicas are connected, and copy by themselves.
        if step == .connectSource { isSynchronising = true }
        if let index = betweenSteps {
            freezes[index].phase = step.phase
            betweenSteps = nil
        }
        if let open = phases.last, open.endMilliseconds == nil, open.phase == step.phase, !hasFailed {
            openStep = step
            return
        }
        endPhase(at: time)
        openStep = step
        phases.append(
            MigrationReport.PhaseSpan(phase: step.phase, state: .running, beginMilliseconds: time, milliseconds: 0))
    }

    private mutating func endPhase(at time: Int64) {
        if let index = phases.indices.last, phases[index].endMilliseconds == nil {
            phases[index].endMilliseconds = time
            phases[index].state = hasFailed ? .failed : openStep == nil ? .done : .interrupted
        }
        openStep = nil
        hasFailed = false
    }

    private func openFreeze(_ freeze: Freeze) -> Int? {
        freezes.lastIndex { $0.isOpen && (!isNumbered || $0.number == spec.plan.number(of: freeze)) }
    }

    /// The freezes of the original procedure keep its numbers. Of the other methods there is one, and one more for each attempt
    /// that was broken off.
    private var isNumbered: Bool { spec.plan.method == .threeFreeze }

    private mutating func beginFreeze(_ freeze: Freeze, _ time: Int64) {
        // A resumed run may say again that the domain is frozen.
        guard openFreeze(freeze) == nil else { return }
        if openStep == nil { betweenSteps = freezes.count }
        freezes.append(
            MigrationReport.FreezeSpan(
                number: isNumbered ? spec.plan.number(of: freeze) : freezes.count + 1,
                phase: phases.last?.phase ?? .prepare, beginMilliseconds: time,
                milliseconds: 0, runs: 1))
    }

    private mutating func addSync(_ name: VolumeName, _ copied: ByteCount, _ milliseconds: Int64, _ time: Int64) {
        update(name) { volume in
            // A history that another host has sent may add up to anything.
            let sum = (volume.sync?.copiedBytes ?? 0).addingReportingOverflow(copied.bytes)
            let bytes = sum.overflow ? .max : sum.partialValue
            let total = (volume.sync?.milliseconds ?? 0) + milliseconds
            volume.sync = MigrationReport.Sync(
                copiedBytes: bytes, milliseconds: total,
                bytesPerSecond: Format.bytesPerSecond(bytes: bytes, milliseconds: total), endMilliseconds: time)
        }
    }

    /// The target's copy begins with new metadata, so all of it was copied; what no run has told was copied by those that
    /// were cut off.
    private func completed(_ volume: MigrationReport.VolumeCopy) -> MigrationReport.VolumeCopy {
        guard wasCutOff, let sync = volume.sync, sync.copiedBytes < volume.sizeBytes else { return volume }
        var volume = volume
        volume.sync?.unmeasuredBytes = volume.sizeBytes - sync.copiedBytes
        volume.sync?.copiedBytes = volume.sizeBytes
        if sync.copiedBytes == 0 { volume.sync?.bytesPerSecond = nil }
        return volume
    }

    private mutating func update(_ name: VolumeName, _ change: (inout MigrationReport.VolumeCopy) -> Void) {
        if let index = volumes.firstIndex(where: { $0.name == name }) { change(&volumes[index]) }
    }

    private func measured(_ span: MigrationReport.PhaseSpan) -> MigrationReport.PhaseSpan {
        var span = span
        span.milliseconds = (span.endMilliseconds ?? last) - span.beginMilliseconds
        return span
    }

    private func measured(_ span: MigrationReport.FreezeSpan) -> MigrationReport.FreezeSpan {
        var span = span
        span.milliseconds = (span.endMilliseconds ?? last) - span.beginMilliseconds
        return span
    }
}

import HostModel
import Hosts
import ImageStream
import Migration
import Replication
import Reporting
import Storage

extension Coordinator {
    /// Performs one step, on whichever side it belongs to.
    func perform(_ step: Step) async throws {
        switch step.phase {
        case .rollBack: await giveLiveUp()
        case .settle, .tidyUp: await endLive()
        case .prepare, .substitute, .synchronise, .handOver, .rescue: break
        }
        switch step.side {
        case .source:
            // The decision is made by journaling it; nothing is to be done for it.
            if step == .decide { return try await requireArrival() }
            if step == .openWindow { try await requireReadiness() }
            take(try await worker.perform(try await order(step, .source)), of: step)
        case .target:
            if step == .finishRestore, let sender {
                try await host.activity.during { try await sender.release() }
                self.sender = nil
            }
            if step == .connectTarget {
                try await requireReplicasHere()
                try await recordAttaching()
                try await chooseSecret()
            }
            // Its links go on leading to the shared disks: nothing else would keep an old memory from them.
            if step == .acknowledgeDecision, spec.plan.storage == .shared, spec.plan.method != .live {
                try host.spendAll(spec.id)
            }
            take(try await target.perform(try await order(step, .target), limit: limit(of: step)), of: step)
            if step == .finishRestore { restored = .now }
        case .both:
            switch step {
            case .seedCopies: try await seedCopies()
            case .synchronise: try await synchronise()
            case .verifyCopies: try await verifyCopies()
            case .transferImage: try await transferImage()
            case .compareCopies: try await compareCopies()
            case .checkSharedDisks: try await checkSharedDisks()
            case .moveLive: try await moveLive()
            default: throw Failure(.inconsistent, "the step '\(step.rawValue)' belongs to one host")
            }
        }
    }

    private func order(_ step: Step, _ role: Role) async throws -> StepOrder {
        var order = StepOrder(step: step, role: role, spec: spec, epoch: epoch)
        switch step {
        case .connectTarget, .connectSource:
            order.secret = connectionSecret
            order.mayAttachAgain = attachedAgain
        case .promoteTarget, .releaseTargetVolume: order.sourceReplicas = try await worker.replicas(of: spec)
        default: break
        }
        return order
    }

    /// A source that was restarted, or that has gone back without a record of it, has no replicas any more.
    @inline(never)
    private func requireReplicasHere() async throws {
        let replicas = try await worker.replicas(of: spec)
        if replicas.allSatisfy({ $0.status?.volume?.isAttached == true }), try await worker.switchesAreOffVolumes(spec)
        {
            return
        }
        // Without a host: it is this one.
        throw Failure(
            .inconsistent, "\(spec.domain) does not run on its replicas any more",
            why: "they are gone, as after a restart or after a way back that could not be recorded")
    }

    /// A target that was switched off meanwhile has to attach its replicas again. That is recorded before it is done: should
    /// this run die, the next one finds them attached like any others.
    private func recordAttaching() async throws {
        let replicas = try await target.replicas(.replicas(spec.id))
        guard replicas.contains(where: { $0.status?.volume?.isAttached != true }) else { return }
        attachedAgain = true
        journal.note(.attachedAgain)
        try journal.flush()
    }

    /// Replicas that are connected stay so. Otherwise both sides get a new secret, and the source is quiet until the target
    /// has it: a peer that knocks with an old one makes both stand alone.
    private func chooseSecret() async throws {
        let replicas = try await worker.replicas(of: spec)
        if replicas.allSatisfy({ $0.status?.connection?.state == .connected }) {
            connectionSecret = nil
            return
        }
        for control in try await worker.controls(spec, .source) { try await worker.disconnect(control) }
        connectionSecret = .random()
    }

    private func take(_ result: StepResult, of step: Step) {
        for note in result.notes {
            journal.note(.note(note))
            report(.note(note))
        }
        if result.domainWasLost { journal.note(.domainLost(spec.source.name)) }
        takeFreezes(result, of: step)
    }

    /// How long a step on the other side may take before its outcome counts as unknown. Steps that save or restore a guest
    /// scale with its memory; the agent's own limits are shorter.
    private func limit(of step: Step) -> Duration {
        let memory = Duration.seconds(300 + spec.memory.bytes / (4 << 20))
        switch step {
        case .saveForVolume, .restoreOnVolume, .restoreAsLinked, .startOnTarget: return memory
        default: return .seconds(180)
        }
    }

    /// Saves the domain on the source while its image is sent; the target has all but the tail at the end.
    private func transferImage() async throws {
        // A run that died may have left its 'xl save' at work.
        let isSaved = try await worker.settled(spec) == .absent
        if isSaved { takeFreezes(StepResult(foundSaved: true), of: .transferImage) }
        if isSaved, await isRestoredOnTarget() { return }
        guard let sender = try await openSender(isSaved: isSaved) else { return }
        self.sender = sender
        let started = ContinuousClock.now
        if isSaved {
            try worker.requireWholeImage(spec, .handOver)
            sender.saveEnded()
            let path = host.images.path(spec.id, .handOver)
            try await follow(sender) { try await sender.send(path) }
        } else {
            try await saveAndSend(sender)
        }
        let (size, sent, known) = sender.position
        journal.note(
            .imageSent(
                size: size, sent: sent, ahead: known.bytes > 0 ? known : nil,
                milliseconds: started.duration(to: .now).milliseconds))
    }

    /// The channel for the image; nil where what an earlier run had sent has come to its end meanwhile.
    private func openSender(isSaved: Bool) async throws -> ImageSender? {
        if isSaved {
            do { return try await makeSender(base: nil) } catch {
                if await isRestoredOnTarget() { return nil }
                throw error
            }
        }
        let base = try await takeBase()
        // A guest that still runs must not be stopped for a hand-over that cannot be.
        try await worker.requireSwitchesOnReplicas(spec, .source)
        if spec.plan.storage == .replicas { try await requireReadiness() }
        return try await makeSender(base: base)
    }

    private func makeSender(base: PageBase?) async throws -> ImageSender {
        let (spec, epoch) = (self.spec, self.epoch)
        return try await host.activity.during { try await ImageSender.open(spec: spec, epoch: epoch, base: base) }
    }

    /// The earlier image that the target has by now; nil where there is none, and all of the memory is sent in the freeze.
    private func takeBase() async throws -> PageBase? {
        beginSendingBase()
        guard let baseSender else { return nil }
        try await waitForBase()
        if let failure = baseSender.failure {
            let text = "the guest's memory is sent within the freeze: \(failure.why ?? failure.what)"
            journal.note(.note(text))
            report(.note(text))
        }
        return baseSender.base
    }

    /// Whether the domain was restored there already, before an interruption.
    func isRestoredOnTarget() async -> Bool {
        let confirm = StepOrder(step: .finishRestore, role: .target, spec: spec, epoch: epoch)
        return (try? await target.perform(confirm, limit: .seconds(60))) != nil
    }

    /// `xl save` writes the file, the sender follows it. Whichever fails, the save itself is let come to its end.
    private func saveAndSend(_ sender: ImageSender) async throws {
        let (worker, spec) = (self.worker, self.spec)
        let path = try host.images.create(spec.id, .handOver)
        let save = Task {
            do {
                let result = try await worker.save(spec, .handOver)
                sender.saveEnded()
                return result
            } catch {
                sender.stop()
                throw error
            }
        }
        do {
            try await follow(sender) { try await sender.send(path) }
        } catch {
            // A failed save is the cause, a sender that was stopped for it only the symptom. Either way it comes to its end.
            take(try await save.value, of: .transferImage)
            throw error
        }
        take(try await save.value, of: .transferImage)
    }

    /// Reports the image's progress while `body` runs, and counts its time as waiting.
    private func follow(_ sender: ImageSender, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let (report, memory) = (self.report, spec.memory)
        let ticker = Task {
            while !Task.isCancelled {
                let (size, sent, _) = sender.position
                report(.image(read: size, total: memory, sent: sent))
                try await Task.sleep(for: .milliseconds(250))
            }
        }
        defer { ticker.cancel() }
        try await host.activity.during(body)
    }

    /// Takes both copies' checksums side by side, while nothing writes to them.
    private func compareCopies() async throws {
        let (worker, target, spec) = (self.worker, self.target, self.spec)
        let recorded = try worker.recorded(spec.id)
        for volume in spec.volumes {
            let request = HostRequest.checksum(spec.id, volume.name)
            let limit = Duration.seconds(180 + volume.size.bytes / (10 << 20))
            async let here = worker.checksum(volume.name, of: recorded)
            async let there = target.checksum(request, limit: limit)
            let (source, copy) = try await (here, there)
            journal.note(.compared(volume: volume.name, source: source, target: copy))
            guard source == copy else {
                throw Failure(
                    .failed, "the copies of \(volume.name) differ",
                    why: "SHA-256 on \(spec.source.name) is \(source), on \(spec.target.name) \(copy)",
                    remedy: "the domain is put back on the source; run the migration again")
            }
        }
    }
}

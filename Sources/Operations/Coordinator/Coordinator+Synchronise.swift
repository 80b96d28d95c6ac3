import HostModel
import Hosts
import Migration
import Replication
import Reporting
import Storage

extension Coordinator {
    private static let poll = Duration.milliseconds(500)
    /// A target that does not come back within this is reported; the guest runs on meanwhile.
    private static let connectionLimit = Duration.seconds(30)
    /// A resynchronisation that does not move for this long is reported.
    private static let progressLimit = Duration.seconds(120)

    /// Waits until every volume is UpToDate on both hosts.
    func synchronise() async throws {
        beginSendingBase()
        let started = ContinuousClock.now
        var meters: [VolumeName: SyncMeter] = [:]
        var most: [VolumeName: ByteCount] = [:]
        var lastMove = (left: ByteCount(Int64.max), at: started)
        var lastConnected = started
        while true {
            try interruption.check()
            let replicas = try await worker.replicas(of: spec)
            try await failIfStandingAlone(replicas)
            var left = ByteCount(0)
            for replica in replicas {
                guard let remaining = replica.status.flatMap({ SyncMeter.left([$0]) }) else { continue }
                left = left + remaining
                most[replica.volume] = max(most[replica.volume] ?? ByteCount(0), remaining)
                var meter = meters[replica.volume] ?? SyncMeter()
                let progress = meter.observe(left: remaining, at: started.duration(to: .now))
                meters[replica.volume] = meter
                report(
                    .sync(
                        volume: replica.volume, done: progress.done, total: progress.total,
                        rate: progress.rate ?? ByteCount(0), timeLeft: progress.timeLeft))
            }
            let apart = replicas.first { $0.status?.connection?.state != .connected }
            if let apart { try await checkConnects(apart, since: lastConnected) } else { lastConnected = .now }
            if left < lastMove.left { lastMove = (left, .now) }
            if left.bytes == 0, try await isReady(replicas) { break }
            try checkMoves(since: lastMove.at)
            try await host.activity.during { try await Task.sleep(for: Self.poll) }
        }
        for volume in spec.volumes {
            journal.note(
                .synchronised(
                    volume: volume.name, copied: most[volume.name] ?? ByteCount(0),
                    milliseconds: started.duration(to: .now).milliseconds))
        }
        if spec.plan.method == .oneFreeze { try await sendMemoryAhead() }
    }

    /// Not every refusal leaves a replica standing alone: where the digests differ it tries again for ever.
    private func checkConnects(_ replica: VolumeReplica, since connected: ContinuousClock.Instant) async throws {
        guard connected.duration(to: .now) > Self.connectionLimit else { return }
        let log = try? await worker.explain(replica.volume)
        throw Failure(
            .unreachable, "the replica of \(replica.volume) is not connected", host: spec.target.name.text,
            why: "\(spec.target.name) has not answered for \(Self.connectionLimit.components.seconds) seconds"
                + (log.map { "; the kernel's last word: \($0)" } ?? ""),
            remedy: "the domain runs on \(spec.source.name) untouched; when \(spec.target.name) is back, run "
                + "'xenlvs migration resume \(spec.id)'")
    }

    private func checkMoves(since move: ContinuousClock.Instant) throws {
        guard move.duration(to: .now) > Self.progressLimit else { return }
        throw Failure(
            .failed, "the resynchronisation does not move",
            why: "nothing was copied for \(Self.progressLimit.components.seconds) seconds",
            remedy: "look at the disks and the link of both hosts, then run 'xenlvs migration resume \(spec.id)'")
    }

    private func failIfStandingAlone(_ replicas: [VolumeReplica]) async throws {
        for replica in replicas where replica.status?.connection?.state == .standAlone {
            throw Failure(
                .failed, "the replica of \(replica.volume) stands alone", host: spec.source.name.text,
                why: try await worker.explain(replica.volume),
                remedy: "then run 'xenlvs migration resume \(spec.id)'")
        }
    }

    /// Whether both kernels say that every copy is complete. Asked of the target only once the source has nothing against it.
    private func isReady(_ replicas: [VolumeReplica]) async throws -> Bool {
        guard replicas.allSatisfy({ $0.status?.isSynchronised == true }) else { return false }
        return try await target.replicas(.replicas(spec.id)).allSatisfy { $0.status?.isSynchronised == true }
    }

    /// The proof, from both hosts' kernels, that the domain may be handed over. Throws, in words, what speaks against it.
    // Inlined into `openSender` it makes Swift 6.3.1's optimiser crash while it splits that coroutine.
    @inline(never)
    @discardableResult
    func requireReadiness() async throws -> HandoverReadiness {
        try HandoverReadiness(try await pairs())
    }

    private func pairs() async throws -> [ReplicaPair] {
        let (worker, target, spec) = (self.worker, self.target, self.spec)
        async let here = worker.replicas(of: spec)
        async let there = target.replicas(.replicas(spec.id))
        return spec.pairs(source: try await here, target: try await there)
    }

    /// Compares the tail of every volume, or all of it where that is wanted or nothing less can be trusted, and mends what
    /// differs by connecting anew.
    func verifyCopies() async throws {
        let dialect = try await worker.dialect()
        for volume in spec.volumes {
            let trust = TrustRequirement(
                dialect: dialect, size: volume.size, wasReattached: attachedAgain, wholeIsWanted: spec.verifies)
            try await verify(volume, trust)
        }
    }

    private func verify(_ volume: VolumeSpec, _ trust: TrustRequirement) async throws {
        var round = 1
        while true {
            let outcome = try await runVerification(volume, trust)
            if case .different(let amount) = outcome { noteDifference(volume, trust, amount) }
            let resource = ReplicaDevice.resource(of: volume.name)
            switch TrustDecision(after: outcome, round: round, resource: resource) {
            case .trusted:
                let compared = trust.range(of: volume.size).length
                return journal.note(.verified(volume: volume.name, compared: compared, differing: ByteCount(0)))
            case .resyncAndVerifyAgain(let next):
                round = next
                let secret = SharedSecret.random()
                try await worker.disconnect(worker.control(volume, spec, .source))
                _ = try await target.ask(.reconnect(spec.id, volume.name, secret: secret), limit: .seconds(60))
                try await worker.reconnect(volume.name, of: worker.recorded(spec.id), secret: secret)
                try await synchronise()
            case .giveUp(let failure): throw failure
            case .wait: throw Failure(.inconsistent, "a verification was judged before its end")
            }
        }
    }

    private func noteDifference(_ volume: VolumeSpec, _ trust: TrustRequirement, _ amount: ByteCount) {
        let compared = trust.range(of: volume.size).length
        journal.note(.verified(volume: volume.name, compared: compared, differing: amount))
        let text = "\(volume.name): \(amount) differed between the copies; they are copied and compared again"
        journal.note(.note(text))
        report(.note(text))
    }

    /// Runs one comparison to its end and returns what it found.
    private func runVerification(_ volume: VolumeSpec, _ trust: TrustRequirement) async throws -> VerifyRun.Outcome {
        let (before, beforeThere) = try await statuses(of: volume)
        let run = try VerifyRun(trust.range(of: volume.size), source: before, target: beforeThere)
        try await worker.verify(volume.name, of: worker.recorded(spec.id), wholly: trust == .verifyWhole)
        let started = ContinuousClock.now
        let limit = verificationLimit(run.range.length)
        while started.duration(to: .now) < limit {
            try interruption.check()
            let (source, copy) = try await statuses(of: volume)
            let outcome = run.judge(source: source, target: copy)
            guard case .running = outcome else { return outcome }
            try await host.activity.during { try await Task.sleep(for: .milliseconds(100)) }
        }
        throw Failure(
            .failed, "the verification of \(volume.name) does not end", why: "it ran for \(limit)",
            remedy: "look at the disks and the link of both hosts, then run 'xenlvs migration resume \(spec.id)'")
    }

    /// Even a slow disk compares a MiB in a second; where the operator allows the link less than that, half of what it may.
    private func verificationLimit(_ length: ByteCount) -> Duration {
        let allowed = (spec.bandwidth?.bytes ?? .max) / Int64(max(spec.volumes.count, 1)) / 2
        return .seconds(120 + length.bytes / max(1, min(1 << 20, allowed)))
    }

    private func statuses(of volume: VolumeSpec) async throws -> (source: ReplicaStatus, target: ReplicaStatus) {
        guard let pair = try await pairs().first(where: { $0.volume == volume.name }), let source = pair.source,
            let copy = pair.target
        else { throw Failure(.failed, "the replica of \(volume.name) is gone on one of the hosts") }
        return (source, copy)
    }
}

extension ReplicaStatus {
    /// Connected, at rest, both copies UpToDate and nothing out of sync, whoever is Primary.
    fileprivate var isSynchronised: Bool {
        connection?.state == .connected && volume?.disk == .upToDate && peer?.disk == .upToDate
            && peer?.replication == .established && peer?.outOfSync?.bytes == 0
    }
}

import Domains
import HostModel
import Hosts
import Migration
import Reporting
import Storage

extension Coordinator {
    /// Shared disks are looked at once more when the migration has begun, and by every run that continues it.
    func checkSharedDisks() async throws {
        let names = spec.sharedDisks.map(\.name)
        switch try await SharedStorage.look(spec.domain, names, worker, target) {
        case .shared: if spec.plan.method == .oneFreeze { try await sendMemoryAhead() }
        case .apart(let why):
            throw Failure(
                .failed, "the disks of \(spec.domain) are not shared any more", why: why,
                remedy: "see 'xenlvs shares' on the host that has the volumes")
        case .broken(let name, let why, let remedy):
            throw Failure(
                .failed, "the disks of \(spec.domain) cannot be used on both hosts", host: name.text, why: why,
                remedy: remedy)
        }
    }

    /// Hands the running domain over by Xen's own means. Where it fails the domain runs on here; where it was let go already,
    /// the way back brings it.
    func moveLive() async throws {
        guard case .present(let id, .active) = try await worker.settled(spec) else {
            throw Failure(.failed, "the domain \(spec.domain) does not run any more", host: spec.source.name.text)
        }
        try await worker.requireSwitchesOnReplicas(spec, .source)
        let what = "cannot hand \(spec.domain) over"
        let (spec, epoch, host) = (self.spec, self.epoch, self.host)
        let started = ContinuousClock.now
        let live = try await host.activity.during { try await LiveHandOver.begin(spec, epoch, id, host) }
        self.live = live
        do {
            try await follow(live) { try await live.carry() }
        } catch {
            await giveLiveUp()
            var result = StepResult()
            result.freezeBegan = live.suspension
            if live.suspension != nil, try await worker.away(spec) == nil { result.freezeEnded = .now }
            takeFreezes(result, of: .moveLive)
            let failure = Failure(error, doing: what)
            // What the target says is more than what 'xl' makes of it.
            guard failure.host == nil, failure.code != .interrupted else { throw failure }
            throw live.ownFailure(what) ?? failure
        }
        var result = StepResult()
        result.freezeBegan = live.suspension
        takeFreezes(result, of: .moveLive)
        journal.note(
            .imageSent(
                size: live.sent, sent: live.sent, ahead: nil, milliseconds: started.duration(to: .now).milliseconds))
    }

    /// Reports how far the stream is while `body` runs, and counts its time as waiting.
    private func follow(_ live: LiveHandOver, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let (report, memory, number) = (self.report, spec.memory, spec.plan.number(of: .handOver))
        let interruption = self.interruption
        let ticker = Task {
            var isFrozen = false
            while !Task.isCancelled {
                report(.image(read: live.sent, total: memory, sent: live.sent))
                if !isFrozen, live.suspension != nil {
                    isFrozen = true
                    report(.freezeBegan(number: number))
                }
                // Also while the guest stands still: that it does so for long may be why.
                if interruption.isRequested { live.abandon() }
                try await Task.sleep(for: .milliseconds(250))
            }
        }
        defer { ticker.cancel() }
        try await host.activity.during(body)
    }

    /// How old the target's word may be that it has the guest.
    private static let freshness = Duration.seconds(2)

    /// Where it took long from then until the decision, the target may have been lost meanwhile, and the decision would lose the
    /// guest with it.
    func requireArrival() async throws {
        guard let arrival = live?.arrival ?? restored, arrival.duration(to: .now) > Self.freshness else { return }
        guard await isRestoredOnTarget() else {
            throw Failure(
                .failed, "the domain \(spec.domain) is not on \(spec.target.name) any more",
                host: spec.target.name.text,
                why: "it was there, paused, a moment ago", remedy: "see 'xl list' there, and whether it was restarted")
        }
    }

    func giveLiveUp() async {
        await live?.giveUp()
        live = nil
    }

    /// The domain runs on the target: `xl migrate` may clear away what it has left here. Where it does not, `cleanSource` does.
    func endLive() async {
        guard let live else { return }
        self.live = nil
        do { try await live.succeed() } catch { await live.giveUp() }
    }
}

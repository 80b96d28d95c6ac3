@testable import Migration

/// The hand-over of a running guest by Xen's own means, and what is asked before the decision.
extension ModelWorld {
    /// Both kernels' word, before both sides may be Primary.
    func requireReadiness(_ run: ModelRun) throws(Break) {
        guard canReach(run.target) else { throw .unknown }
        guard disksThatCount.allSatisfy(isInStep),
            self[run.target].volumes.allSatisfy({ $0.replica?.isPrimary == false })
        else { throw .failed }
    }

    /// Afterwards the guest is suspended on the source, under its other name, and paused on the target.
    mutating func moveLive(_ run: ModelRun) throws(Break) {
        let (source, target) = (run.source, run.target)
        finishLate(source)
        try letSuspendedRunOn(source)
        guard self[source].domain?.isRunning == true, self[source].volumes.allSatisfy({ $0.table == .replica }) else {
            throw .failed
        }
        finishLate(target)
        guard mayReceive(run),
            self[target].volumes.allSatisfy({ $0.replica?.isPrimary == true && $0.table == .replica })
        else { throw .failed }
        for id in HostID.allCases { self[id].isMoving = true }
        defer { for id in HostID.allCases { self[id].isMoving = false } }
        do throws(Break) { try sendLive(run) } catch {
            // Its stream has ended: `xl migrate` lets the guest run on.
            stayHere(source)
            throw error
        }
        do throws(Break) {
            try effect(source, "let the guest go") { host in
                guard let domain = host.domain, domain.isSuspended else { return }
                (host.away, host.domain) = (domain, nil)
            }
        } catch {
            // What only hangs lets the guest go later.
            if error != .unknown { stayHere(source) }
            throw error
        }
        word = .fresh
    }

    private mutating func sendLive(_ run: ModelRun) throws(Break) {
        let (source, target) = (run.source, run.target)
        try effect(source, "suspend the guest") { host in
            guard host.isMoving, host.domain?.isRunning == true else { return }
            host.domain?.isRunning = false
            host.domain?.isSuspended = true
        }
        guard let memory = self[source].domain?.memory else { throw .failed }
        guard canReach(target) else { throw .unknown }
        let uses = try openedByLinks(target)
        let startsIt = sabotage == .startsTwice
        try effect(target, "build the guest that arrives") { host in
            guard host.isMoving, host.domain == nil else { return }
            host.domain = ModelDomain(isRunning: startsIt, memory: memory, uses: uses, hasArrived: true)
        }
        if isCoordinatorDead { throw .coordinatorDied }
    }

    private mutating func stayHere(_ host: HostID) {
        guard self[host].domain?.isSuspended == true else { return }
        self[host].domain?.isSuspended = false
        self[host].domain?.isRunning = true
    }

    /// Where it was long ago that the target said that it has the guest, it is asked again: it may have been lost
    /// since, and the decision would lose the guest with it.
    mutating func requireArrival(_ run: ModelRun) throws(Break) {
        guard word == .old, sabotage != .decidesBlindly else { return }
        let question = order(run, isSource: false)
        guard canReach(run.target), (try? perform(.finishRestore, question, on: run.target)) != nil else {
            throw .failed
        }
    }
}

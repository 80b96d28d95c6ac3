import Domains
import HostModel
import Hosts
import Migration

/// A domain that somebody has let run on the target of its migration, although no decision says that it belongs there.
extension HostWorker {
    /// Target: throws `.runsUndecided` where the domain has run here before the decision. Said to a source before it can let its
    /// own run.
    func requireNotRunning(_ id: MigrationID) async throws {
        let known = try recorded(id)
        guard known.role == .target, known.record.isOpen, !known.record.decided else { return }
        if case .present(_, let state) = try await observe(known.spec) { try requireWaiting(state, known.spec) }
        try requireWaiting(try await arrivals(known.spec), known.spec)
    }

    /// Target, undecided: throws `.runsUndecided` for a domain that has run: it is more than what a hand-over leaves, and its
    /// disks may have been written to. One that is paused, or on its way out, is not.
    func requireWaiting(_ state: DomainState, _ spec: MigrationSpec) throws {
        switch state {
        case .paused, .dying: return
        case .active, .suspended, .poweredOff, .rebooting, .crashed:
            throw Failure(
                .runsUndecided, "\(spec.domain) was let run on \(host.name) before the decision that it belongs there",
                host: host.name.text, why: "it is \(state.rawValue) there: somebody has unpaused it, or has started it")
        }
    }

    /// The same of what has not its own name yet. What is half built is paused by Xen itself.
    func requireWaiting(_ arrivals: [NamedDomain], _ spec: MigrationSpec) throws {
        for arrival in arrivals where arrival.state == .active { try requireWaiting(arrival.state, spec) }
    }
}

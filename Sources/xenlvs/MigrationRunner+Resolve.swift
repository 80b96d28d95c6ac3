import HostModel
import Hosts
import Migration
import Operations

extension MigrationRunner {
    /// Ends a migration on this host alone: the operator knows that `fenced`, the other one, is dead for good.
    func resolve(_ id: MigrationID, fenced: HostName) async throws -> ExitStatus {
        let record = try host.database.migration(id.text)
        let spec = try JSONText.decode(MigrationSpec.self, from: record.spec, what: "migration \(id)")
        let role: Role = record.role == .source ? .source : .target
        try FencedHost.requirePeer(fenced, of: spec, role)
        let lock = try RunLock(id, host)
        // Once begun it is finished, whoever answers by then.
        let hasBegun = try CoordinatorJournal.history(id, in: host.database).declaresDead(fenced)
        guard try host.database.migration(id.text).isOpen else {
            guard hasBegun else { throw ended(id) }
            Console.result(ReportOutput.text(try MigrationReports(host: host).report(id)))
            return .done
        }
        if !hasBegun { try await FencedHost.requireSilence(of: fenced, from: host, for: id) }
        let cause = Failure(
            .unreachable, "\(fenced) was declared dead", why: "the operator said so with 'migration resolve --fenced'")
        let status =
            switch role {
            case .source: try await drive(spec, event: .peerFenced(cause), lock)
            case .target: try await resolveHere(spec, because: cause, lock)
            }
        // Going back to the source is what was asked for then.
        return status == .rolledBack ? .done : status
    }

    private func ended(_ id: MigrationID) -> Failure {
        Failure(
            .refused, "migration \(id) has ended on this host", why: "there is nothing to resolve",
            remedy: "see 'xenlvs migration status \(id)'")
    }

    private func resolveHere(
        _ spec: MigrationSpec, because cause: Failure, _ lock: borrowing RunLock
    ) async throws -> ExitStatus {
        let signals = SignalWatch { Console.say("interrupted, but there is no way back: finishing") }
        defer { signals.stop() }
        let end = try await showingProgress { report in
            try await TargetResolver(
                worker: worker, spec: spec, because: cause, report: report
            ).run()
        }
        Console.result(ReportOutput.text(try MigrationReports(host: host).report(spec.id)))
        switch end {
        case .finished: return .done
        case .stopped(let failure):
            Console.say("xenlvs: stopped: " + failure.detailedDescription)
            Console.say("  go on with: xenlvs migration resolve \(spec.id) --fenced \(spec.source.name)")
            return .needsRecovery
        }
    }
}

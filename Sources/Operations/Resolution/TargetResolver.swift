import HostModel
import Hosts
import Migration
import Reporting

/// Brings a migration to its end on its target, whose operator knows that the source is dead for good. A coordinator lives on
/// the source; here its steps for the target are taken without one.
///
/// Killed at any point it can be run again: it looks at what there is and decides anew, see `TargetResolution`.
public struct TargetResolver {
    public enum End: Sendable, Equatable {
        case finished(MigrationMachine.Outcome)
        /// A step has failed; the same command goes on.
        case stopped(Failure)
    }

    private let worker: HostWorker
    private let spec: MigrationSpec
    private let cause: Failure
    private let report: @Sendable (ProgressUpdate) -> Void

    /// - Parameter cause: that the source was declared dead, and by whom.
    public init(
        worker: HostWorker, spec: MigrationSpec, because cause: Failure,
        report: @escaping @Sendable (ProgressUpdate) -> Void
    ) {
        self.worker = worker
        self.spec = spec
        self.cause = cause
        self.report = report
    }

    /// Throws where what is found here allows nothing; then nothing was changed but what a restore had left half made.
    public func run() async throws -> End {
        let host = worker.host
        // What the source's last run has left at work here comes to its end first: an image without its sender within
        // half a minute, a step when its command ends.
        try await HostTurn.take(.image, of: spec.id, on: host, limit: .seconds(120)) {}
        let facts = try await HostTurn.take(.step, of: spec.id, on: host, limit: .seconds(120)) {
            try await worker.targetFacts(spec)
        }
        let (steps, outcome) = try way(TargetResolution(facts, spec.plan))
        var journal = try ResolutionJournal(spec, declaringDead: spec.source.name, in: host.database)
        for step in steps {
            do { try await take(step, &journal) } catch {
                let failure = Failure(error, doing: "cannot \(step.title)").on(host.name.text)
                report(.stepFailed(step, failure))
                journal.note(.stepFailed(step, failure))
                journal.note(.suspended(failure, needsRecovery: true))
                try journal.flush()
                return .stopped(failure)
            }
        }
        try journal.finish(outcome)
        return .finished(outcome)
    }

    private func way(
        _ resolution: TargetResolution
    ) throws -> (steps: [Step], outcome: MigrationMachine.Outcome) {
        switch resolution {
        case .finish(let steps): return (steps, .migrated)
        case .diskAlone(let steps), .incomplete(let steps): return (steps, .lost(because: cause))
        case .refuse(let failure): throw failure.on(worker.host.name.text)
        }
    }

    private func take(_ step: Step, _ journal: inout ResolutionJournal) async throws {
        report(.stepBegan(step))
        journal.note(.stepBegan(step))
        worker.host.effects.pass(step, .before)
        let order = StepOrder(step: step, role: .target, spec: spec, epoch: journal.epoch)
        let result = try await HostTurn.take(.step, of: spec.id, on: worker.host, limit: .seconds(120)) {
            try await worker.perform(order)
        }
        worker.host.effects.pass(step, .after)
        for note in result.notes {
            journal.note(.note(note))
            report(.note(note))
        }
        if let freeze = spec.plan.freeze(during: step) {
            if result.freezeBegan != nil { journal.note(.freezeBegan(freeze)) }
            if result.freezeEnded != nil { journal.note(.freezeEnded(freeze)) }
        }
        journal.note(.stepEnded(step))
        report(.stepEnded(step))
        try journal.flush()
    }
}

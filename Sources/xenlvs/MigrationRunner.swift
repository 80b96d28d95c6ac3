import HostModel
import Hosts
import Migration
import Operations
import Reporting

/// Runs migrations in the foreground: lock, signals, progress, report.
struct MigrationRunner {
    let host: HostContext
    let worker: HostWorker

    /// - Parameter tellsCommands: whether every command is told on stderr as it ends.
    init(tellsCommands: Bool = false) throws {
        host = try ThisHost.open(trace: { line in if tellsCommands { Console.say(line) } })
        worker = HostWorker(host: host, version: Version.text)
    }

    func start(_ request: MigrationRequest) async throws -> ExitStatus {
        let starter = MigrationStarter(worker: worker)
        // From the look at what is free to its record: two that begin at the same moment must not choose the same numbers.
        let turn = try await RunLock.start(host)
        // A checkpoint or a bracket that is under way would find its domain migrated, and this its domain stopped.
        let domain = try RunLock(holding: request.domain, starter)
        let (spec, choice) = try await accepted(request, starter)
        Console.say("\(spec.domain) moves by \(choice.method.rawValue): \(choice.reason)")
        let lock = try RunLock(spec.id, host)
        try starter.begin(spec)
        domain.release()
        turn.release()
        return try await drive(spec, event: nil, lock)
    }

    /// Prints what a migration would change.
    func explain(_ request: MigrationRequest, _ format: OutputFormat) async throws -> ExitStatus {
        let (spec, choice) = try await accepted(request, MigrationStarter(worker: worker))
        let outline = try await MigrationPlanner(worker: worker).outline(spec, choice)
        switch format {
        case .table: Console.result(outline.text)
        case .json: Console.result(try outline.json())
        }
        return .done
    }

    /// Looks at both hosts, tells the warnings and throws what blocks.
    private func accepted(
        _ request: MigrationRequest, _ starter: MigrationStarter
    ) async throws -> (MigrationSpec, MethodChoice) {
        let prospect = try await starter.prospect(request)
        for finding in prospect.findings where finding.severity == .warning {
            Console.say("warning: \(finding.host): \(finding.what)" + (finding.why.map { ": \($0)" } ?? ""))
        }
        guard let spec = prospect.spec, let choice = prospect.choice, !prospect.isBlocked else {
            throw prospect.refusal(request.domain)
        }
        return (spec, choice)
    }

    /// Continues or takes back a migration that was begun before.
    func proceed(_ id: MigrationID, _ event: MigrationMachine.Event) async throws -> ExitStatus {
        let record = try host.database.migration(id.text)
        let spec = try JSONText.decode(MigrationSpec.self, from: record.spec, what: "migration \(id)")
        guard record.role == .source else { return try RemoteCommand.run(event, id, on: spec.source.name) }
        let lock = try RunLock(id, host)
        return try await drive(spec, event: event, lock)
    }

    func drive(
        _ spec: MigrationSpec, event: MigrationMachine.Event?, _ lock: borrowing RunLock
    ) async throws -> ExitStatus {
        let interruption = Interruption()
        let signals = SignalWatch { interruption.request() }
        let journal = try CoordinatorJournal(takingOver: spec.id, in: host.database)
        let end = try await showingProgress { report in
            let coordinator = Coordinator(
                worker: worker, spec: spec, journal: journal, interruption: interruption, report: report)
            return try await coordinator.run(event)
        }
        signals.stop()
        return try conclude(end, spec, interruption)
    }

    /// Runs `body` with a display on standard error.
    func showingProgress<End>(
        _ body: (@escaping @Sendable (ProgressUpdate) -> Void) async throws -> End
    ) async throws -> End {
        let terminal = Terminal.errors.isTerminal
        let reporter = ProgressReporter.onStandardError(environment: ProcessEnvironment.variables)
        let ticker = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .milliseconds(terminal ? 200 : 1000))
                reporter.tick()
            }
        }
        defer {
            ticker.cancel()
            reporter.finish()
        }
        return try await body { reporter.update($0) }
    }

    private func conclude(
        _ end: Coordinator.End, _ spec: MigrationSpec, _ interruption: Interruption
    ) throws -> ExitStatus {
        let report = try MigrationReports(host: host).report(spec.id)
        Console.result(ReportOutput.text(report))
        switch end {
        case .migrated: return .done
        case .lost: return .done
        case .rolledBack(let failure):
            Console.say("xenlvs: rolled back: " + failure.detailedDescription)
            return interruption.wasRequested ? .interrupted : .rolledBack
        case .suspended(let suspension):
            Console.say("xenlvs: stopped: " + suspension.reason.detailedDescription)
            sayWhatNext(suspension, report, spec)
            return suspension.needsRecovery ? .needsRecovery : .partlyDone
        }
    }
}

extension MigrationRunner {
    private func sayWhatNext(
        _ suspension: MigrationMachine.Suspension, _ report: MigrationReport, _ spec: MigrationSpec
    ) {
        // A target that has decided by itself, or whose guest runs, is to be looked at first, as the reason says.
        if suspension.reason.code == .takenOver || suspension.reason.code == .runsUndecided { return }
        if let dead = report.declaredDead {
            return Console.say("  go on with: xenlvs migration resolve \(spec.id) --fenced \(dead)")
        }
        Console.say("  go on with: xenlvs migration resume \(spec.id)")
        if !report.isCommitted { Console.say("  or go back: xenlvs migration abort \(spec.id)") }
    }
}

/// What only one process at a time may do on this host.
struct RunLock: ~Copyable {
    private let lock: FileLock

    /// One run of a migration; throws `.busy` where there is another.
    init(_ id: MigrationID, _ host: HostContext) throws {
        try PrivateDirectory.prepare(host.paths.run)
        lock = try FileLock(path: "\(host.paths.run)/migration-\(id).lock", purpose: "migration \(id)")
    }

    /// The start of a domain's migration; throws `.busy` where something else may stop the domain.
    init(holding domain: DomainName, _ starter: MigrationStarter) throws { lock = try starter.hold(domain) }

    private init(_ lock: consuming FileLock) { self.lock = lock }

    /// One start of a migration; waits for the others.
    static func start(_ host: HostContext) async throws -> RunLock {
        try PrivateDirectory.prepare(host.paths.run)
        return RunLock(
            try await .waiting(
                path: "\(host.paths.run)/start.lock", purpose: "the start of another migration", limit: .seconds(120)))
    }

    consuming func release() {}
}

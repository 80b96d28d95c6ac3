import LabKit

/// Leads one guest through a chain of faults: the run stops at a place, the fault strikes, the run goes on as it can, the
/// fault is mended, and the operator types what docs/operations.md tells.
struct FaultDriver {
    let hosts: Hosts
    let chain: FaultChain
    var journey: Journey
    /// The track of the present migration.
    var track: FaultTrack
    /// Where the present migration began.
    var source: LabNode
    /// The cases that are still to come.
    var left: [FaultCase]
    var results: [FaultResult] = []
    /// The case whose fault has struck, and is not judged yet.
    var current: (result: FaultResult, fault: ActiveFault?)?
    /// All that there was of the guest's memory has gone with a host's power, and it was not started again since.
    var hasLostMemory = false
    /// How often a host has lost power.
    var losses = 0
    /// An earlier migration has left its old copy on the other host.
    var leavesCopies = false
    let log: @Sendable (String) -> Void
    /// How long a program hangs before it goes on.
    private let hang: Duration
    /// After it no further migration is begun.
    private let end: ContinuousClock.Instant?

    /// How long a run may take from one place to the next.
    private static let limit = Duration.seconds(420)
    /// After so many commands without a new place the operator gives up.
    private static let patience = 4

    init(
        _ chain: FaultChain, _ journey: Journey, on hosts: Hosts, hang: Duration, until end: ContinuousClock.Instant?,
        log: @escaping @Sendable (String) -> Void
    ) {
        self.hosts = hosts
        self.chain = chain
        self.hang = hang
        self.end = end
        self.journey = journey
        self.log = log
        track = chain.cases[0].track
        source = journey.node
        left = chain.cases
    }

    /// Runs the whole chain to the end of its last migration, and looks at all that the guest and the hosts then show.
    mutating func run() async throws {
        for node in hosts.all { try await TamperedTool.install(on: node) }
        var idle = 0
        guard var command = try await begin() else { return }
        while true {
            let before = left.count
            let end = try await follow(command)
            try await judge(end)
            idle = left.count < before ? 0 : idle + 1
            guard idle < Self.patience else {
                throw ScenarioError("\(idle) commands did not help; the last one: \(command.text)\n\(end.text)")
            }
            guard let next = try await operatorsCommand() else { break }
            command = next
        }
        try await judgeEnd()
    }

    /// What there is of results when the chain cannot go on: the case that is not judged included.
    func abandon() -> [FaultResult] { results + [current?.result].compactMap(\.self) }

    /// A command of the product, on the host that it is typed on.
    struct Typed {
        let text: String
        let node: LabNode
        /// Typed by the operator to put something right.
        var isRecovery = true
    }

    /// How a run ended.
    struct RunEnd {
        let exit: Int32
        let text: String
    }

    /// Begins a migration away from where the guest is, on the track of the next case; nil where there is none, or no time.
    mutating func begin() async throws -> Typed? {
        guard let next = left.first else { return nil }
        if let end, ContinuousClock.now > end { return nil }
        try await judgePromotions()
        (track, source) = (next.track, journey.node)
        let migrate = "xenlvs migrate \(journey.guest.name) --to \(hosts.peer(of: source).name) \(track.options)"
        if let place = track.wayBackBegins {
            try await hosts.crash(migrate, at: place, on: source)
            return Typed(text: try await typed("abort").text, node: source, isRecovery: false)
        }
        if track == .rescue {
            // A settlement that fails in the middle.
            try await hosts.crash(migrate, at: "restoreOnVolume:before", on: source)
            try await TamperedTool.xl.arm(.fails, on: hosts.peer(of: source))
            return Typed(text: try await typed("resume").text, node: source, isRecovery: false)
        }
        return Typed(text: migrate, node: source, isRecovery: false)
    }

    func typed(_ verb: String) async throws -> Typed {
        let id = try await hosts.identifier(of: journey.guest.name, on: source)
        return Typed(text: "xenlvs migration \(verb) \(id)", node: source)
    }

    /// Runs a command through as many places as it comes by.
    private mutating func follow(_ command: Typed) async throws -> RunEnd {
        let places = left.filter { $0.place.effect == nil }.map(\.place.description).joined(separator: ",")
        let crash = left.first { $0.place.effect != nil }
        for node in hosts.all { try await TamperedTool.setCrash(at: crash?.place, on: node) }
        try await hosts.watch.watch(hosts.all)
        let began = ContinuousClock.now
        log("  \(command.node.name)# \(command.text)")
        if command.isRecovery, let last = results.indices.last { results[last].commands += 1 }
        let run = try await command.node.start("XENLVS_STOP_AT=\(places) \(command.text)")
        var stops = 0
        while let stop = try await nextStop(of: run, after: stops) {
            stops += 1
            if command.isRecovery, stops == 1 { noteRecovery(since: began) }
            let isLedBack = left.contains { $0.place.description == stop && $0.track.wayBackBegins != nil }
            try await settle(isLedBack && track.wayBackBegins == nil ? .rolledBack : .wentOn)
            try await strike(at: stop, run)
        }
        let result = try await run.wait(timeout: .seconds(30))
        for node in hosts.all { try await takeCrashAway(node) }
        let text = result.stderr + result.stdout
        if let crash { try await noteCrash(crash, exit: result.exit, text) }
        if command.isRecovery, stops == 0 { noteRecovery(since: began) }
        return RunEnd(exit: result.exit, text: text)
    }

    /// Closes the case of a crash in the middle of a step if it has happened, or cannot happen any more.
    private mutating func noteCrash(_ crash: FaultCase, exit: Int32, _ text: String) async throws {
        if text.contains("crashed at \(crash.place)") {
            log("  \(crash)")
            try await settle(.wentOn)
            current = (FaultResult(fault: crash, outcome: .wentOn, hasMet: true), nil)
        } else if exit == 0, crash.track == track {
            // The step has fewer effects than that.
            results.append(FaultResult(fault: crash, outcome: .notReached, hasMet: false))
        } else {
            return
        }
        left.removeAll { $0 == crash }
    }

    /// The next case's fault strikes; those before it, which the run has passed by, were not reached.
    private mutating func strike(at stop: String, _ run: LabProcess) async throws {
        guard let index = left.firstIndex(where: { $0.place.description == stop }) else {
            throw ScenarioError("the run stopped at \(stop), which is no place of \(left)")
        }
        let next = left.remove(at: index)
        log("  \(next)")
        if next.fault.cutsPower, try await losesMemory(with: next.fault) { hasLostMemory = true }
        let fault = try await ActiveFault.strike(next.fault, hosts, source: source, run: run)
        current = (FaultResult(fault: next, outcome: .wentOn, hasMet: true), fault)
        if next.fault.cutsPower { losses += 1 }
    }

    /// Waits until the run has stopped once more, and returns where; nil when it has ended.
    private mutating func nextStop(of run: LabProcess, after count: Int) async throws -> String? {
        let began = ContinuousClock.now
        while true {
            let isRunning = run.isRunning
            let stops = run.errors.split(separator: "\n").filter { $0.hasPrefix("stopped at ") }
            if stops.count > count { return String(stops[count].dropFirst("stopped at ".count)) }
            guard isRunning else { return nil }
            let time = began.duration(to: .now)
            if time > hang { try await current?.fault?.relieve() }
            guard time < Self.limit else {
                throw ScenarioError("the run neither stopped nor ended within \(Self.limit): \(run.errors)")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private mutating func noteRecovery(since began: ContinuousClock.Instant) {
        guard let last = results.indices.last else { return }
        results[last].recoverySeconds = (results[last].recoverySeconds ?? 0) + began.duration(to: .now) / .seconds(1)
    }

    private func takeCrashAway(_ node: LabNode) async throws {
        if node.isPoweredOn { try await TamperedTool.setCrash(at: nil, on: node) }
    }

    /// Mends the fault of the current case.
    mutating func mend() async throws {
        guard let fault = current?.fault else { return }
        current?.fault = nil
        current?.result.hasMet = try await fault.mend()
    }

    /// Mends the fault of the current case and closes it.
    mutating func settle(_ outcome: FaultResult.Outcome) async throws {
        try await mend()
        guard var (result, _) = current else { return }
        current = nil
        result.outcome = outcome
        result.problems += try await hosts.problemsNow(with: journey.guest, mayBothWrite: track.isLive)
        results.append(result)
    }
}

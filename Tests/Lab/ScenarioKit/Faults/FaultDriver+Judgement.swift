import LabKit

/// What is looked at after each case and at the end, and what the operator does next.
extension FaultDriver {
    /// What the source's journal says of the newest migration of the guest; nil where there is none yet. `owner` is the host that the
    /// guest belongs to.
    private func newest() async throws -> (id: String, state: String, isCommitted: Bool, owner: LabNode)? {
        guard let row = try await hosts.newestMigration(of: journey.guest.name, on: source) else { return nil }
        let isCommitted = try await source.report(row.id).isCommitted
        let owner = hosts.all.first { $0.name == (isCommitted ? row.target : row.source) }
        guard let owner else { throw ScenarioError("\(row.id) leads from \(row.source) to \(row.target)") }
        return (row.id, row.state, isCommitted, owner)
    }

    /// After a run has ended: mends the fault, judges the case, and looks for the guest.
    mutating func judge(_ end: RunEnd) async throws {
        let struck = current?.result.fault.fault
        // The hosts have to be there to be asked.
        try await mend()
        let newest = try await newest()
        if current != nil {
            let outcome: FaultResult.Outcome =
                switch newest?.state {
                case "migrated": .wentOn
                case "rolledBack", nil: .rolledBack
                default: .resumed
                }
            try await settle(outcome)
        }
        if !isExpected(end, after: struck) {
            let circumstance = struck.map { "after \($0.rawValue)" } ?? "although nothing was wrong any more"
            complain("exit \(end.exit) \(circumstance): \(end.text)")
        }
        if let newest { try await journey.belongs(to: newest.owner) }
        if try await !hosts.hostsRunning(journey.guest).isEmpty { hasLostMemory = false }
        if newest?.isCommitted != true { try await leaveAttemptsOut() }
        for overlap in try await hosts.watch.problems(hosts.all) { complain(overlap) }
        if struck?.cutsPower == true { return }
        try await requireTruth()
    }

    /// What a guest had printed and nobody had read yet when it was suspended is in its memory: a copy of that which never runs
    /// prints it too. Of a target without the decision nothing is the guest's own but what one will print that may still run.
    private mutating func leaveAttemptsOut() async throws {
        for node in hosts.all where node.name != journey.node.name && node.isPoweredOn {
            let isPresent = try await node.guests()[journey.guest.name] != nil
            guard track.isLive || !isPresent else { continue }
            let ticks = try await journey.leaveOut(what: node)
            // What waits in a console's buffer is a line or two.
            if ticks > 2 { complain("it has counted \(ticks) times on \(node.name), whose it was not") }
        }
    }

    /// 2 is a migration that is taken back, as it was meant to be; `abort` ends with 0 then. After a fault 3 and 4 tell that the
    /// operator has to go on, also after a rescue, where the guest runs and the settlement is tried again when he says so, and where a
    /// target that was restarted hears that a guest is its own which it has lost.
    private func isExpected(_ end: RunEnd, after struck: Fault?) -> Bool {
        // A run that dies of itself is nobody's fault but its own.
        guard !end.text.contains("Fatal error") else { return false }
        switch (end.exit, struck) {
        // Its host went with it.
        case (_, .sourceOff), (_, .bothOff), (0, _), (2, _): return true
        // ssh tells of a signal as 255.
        case (137, .coordinatorKilled), (255, .coordinatorKilled), (137, .effectKilled), (255, .effectKilled):
            return true
        case (3, nil): return track == .rescue || hasLostMemory
        case (3, _), (4, _): return true
        default: return false
        }
    }

    /// What the product says of a migration that has come to rest must be so.
    private mutating func requireTruth() async throws {
        guard let row = try await hosts.newestMigration(of: journey.guest.name, on: source) else { return }
        let running = try await hosts.hostsRunning(journey.guest)
        guard ["migrated", "rolledBack", "suspended"].contains(row.state), let said = row.runsOn, !running.isEmpty
        else { return }
        if running != [said] { complain("'migration list' says it runs on \(said), but it runs on \(running)") }
    }

    /// What is typed next; nil at the end of the chain.
    mutating func operatorsCommand() async throws -> Typed? {
        guard let newest = try await newest() else { return try await begin() }
        let target = hosts.peer(of: source)
        switch newest.state {
        case "migrated":
            leavesCopies = true
            try await startAgain(on: target)
        case "rolledBack": try await startAgain(on: source)
        default:
            if newest.isCommitted {
                // A target that was restarted before it knew of the decision hears of it first.
                let link = "/dev/xenlvs/\(journey.guest.volumes[0])"
                if hasLostMemory, try await target.run("[ -e \(link) ]", check: false).exit == 0 {
                    try await startAgain(on: target)
                }
                return try await typed("resume")
            }
            // Without the guest there is nothing to hand over: the migration is taken back, then the guest is started.
            return try await typed(hasLostMemory || track.wayBackBegins != nil ? "abort" : "resume")
        }
        return try await begin()
    }

    /// Whether all that there is of the guest's memory goes with what the fault switches off: on the host that it belongs to the
    /// guest itself, suspended or not, or a saved image.
    func losesMemory(with fault: Fault) async throws -> Bool {
        let newest = try await newest()
        let owner = newest?.owner ?? source
        guard fault == .bothOff || (fault == .sourceOff) == (owner.name == source.name) else { return false }
        // One that was shut down is not started again by a host that may have been taken for dead.
        if track.shutsDown, owner.name == source.name { return true }
        let guests = try await owner.guests()
        let name = journey.guest.name
        if guests[name] != nil || guests["\(name)--migratedaway"] != nil { return true }
        // An image is good only in the boot that made it, and as long as the guest has not run since.
        let images = "/var/lib/xenlvs/images/\(newest?.id ?? "").*.$(cut -c 1-8 /proc/sys/kernel/random/boot_id).image"
        return try await owner.run("ls \(images)", check: false).exit == 0
    }

    /// Starts a guest that was lost with its host's memory, on the host that it belongs to, as docs/operations.md tells.
    private mutating func startAgain(on node: LabNode) async throws {
        for host in hosts.all where try await host.guests()[journey.guest.name] != nil { return }
        guard hasLostMemory else { throw ScenarioError("\(journey.guest.name) is on no host") }
        hasLostMemory = false
        log("  \(node.name)# xl create \(journey.guest.configurationPath)")
        try await journey.startedAgain(on: node, hosts)
        if let last = results.indices.last { results[last].outcome = .lostMemory }
    }

    /// Everything that must be true when the last migration has come to its end.
    mutating func judgeEnd() async throws {
        guard let newest = try await newest() else { throw ScenarioError("no migration has begun") }
        if chain.cases.contains(where: \.track.shutsDown) {
            try await journey.expectBootsAsExplained(losses: losses)
        }
        let problems: [String]
        if newest.state == "migrated" {
            let migration = FinishedMigration(
                exit: 0, stdout: "", stderr: "", report: try await source.report(newest.id))
            problems = try await hosts.problemsAfterMigration(&journey, migration, from: source)
        } else {
            problems = try await hosts.problemsAfterReturn(
                &journey, newest.id, known: false, leavesCopies: leavesCopies, hasSwitches: chain.guest.hasSwitches)
        }
        for problem in problems { complain(problem) }
        try await judgePromotions()
    }

    /// What was forced on this track has to have its reason there.
    mutating func judgePromotions() async throws {
        for node in hosts.all {
            let forced = try await TamperedTool.forcedPromotions(on: node)
            for problem in forced.compactMap({ $0.problem(besideSavedGuest: track.savesForReplica) }) {
                complain("\(node.name): \(problem)")
            }
        }
    }

    /// Adds a problem to the case that was judged last.
    private mutating func complain(_ problem: String) {
        log("  problem: \(problem)")
        guard let last = results.indices.last else { return }
        results[last].problems.append(problem)
    }
}

import LabKit

/// What is looked at after each case and at the end, and what the operator does next.
extension FaultDriver {
    /// What the source's journal says of the newest migration of the guest; nil where there is none yet.
    private func newest() async throws -> (id: String, state: String, isCommitted: Bool)? {
        guard let row = try await hosts.newestMigration(of: journey.guest.name, on: source) else { return nil }
        return (row.id, row.state, try await source.report(row.id).isCommitted)
    }

    /// After a run has ended: mends the fault, judges the case, and looks for the guest.
    mutating func judge(_ end: RunEnd) async throws {
        let struck = current?.result.fault.fault
        if current != nil {
            // The hosts have to be there to be asked.
            try await mend()
            let state = try await newest()?.state
            let outcome: FaultResult.Outcome =
                switch state {
                case "migrated": .wentOn
                case "rolledBack", nil: .rolledBack
                default: .resumed
                }
            try await settle(outcome)
        } else if !isExpected(end) {
            complain("exit \(end.exit) although nothing was wrong any more: \(end.text)")
        }
        try await journey.follow(hosts)
        for overlap in try await hosts.watch.problems(hosts.all) { complain(overlap) }
        if struck?.cutsPower == true { return }
        try await requireTruth()
    }

    /// 2 is a migration that is taken back, as it was meant to be; `abort` ends with 0 then. A rescue ends with 3: the guest
    /// runs, and the settlement is tried again when the operator says so.
    private func isExpected(_ end: RunEnd) -> Bool {
        [0, 2].contains(end.exit) || end.exit == 3 && chain.track == .rescue
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
        guard let newest = try await newest() else { return left.isEmpty ? nil : try await begin() }
        switch newest.state {
        case "migrated":
            leavesCopies = true
            try await startAgain(on: hosts.peer(of: source))
        case "rolledBack": try await startAgain(on: source)
        default:
            let target = hosts.peer(of: source)
            if newest.isCommitted {
                if try await isLost(newest.id) { try await startAgain(on: target) }
                return try await typed("resume")
            }
            // Without the guest there is nothing to hand over: the migration is taken back, then the guest is started.
            let isLost = try await isLost(newest.id)
            return try await typed(isLost || chain.track == .back ? "abort" : "resume")
        }
        return left.isEmpty ? nil : try await begin()
    }

    /// Whether neither host has the guest, nor an image of it that could still be restored.
    private func isLost(_ id: String) async throws -> Bool {
        guard hasLostPower else { return false }
        for node in hosts.all {
            if try await node.guests()[journey.guest.name] != nil { return false }
            // An image is good only in the boot that made it.
            let images = "/var/lib/xenlvs/images/\(id).[123].$(cat /proc/sys/kernel/random/boot_id)*.image"
            if try await node.run("ls \(images) 2>/dev/null", check: false).exit == 0 { return false }
        }
        return true
    }

    /// Starts a guest that was lost with its host's memory, on the host that it belongs to, as docs/operations.md tells.
    private mutating func startAgain(on node: LabNode) async throws {
        for host in hosts.all where try await host.guests()[journey.guest.name] != nil { return }
        guard hasLostPower else { throw ScenarioError("\(journey.guest.name) is on no host") }
        hasLostPower = false
        log("  \(node.name)# xl create \(journey.guest.configurationPath)")
        try await journey.startedAgain(on: node, hosts)
        if let last = results.indices.last { results[last].outcome = .lostMemory }
    }

    /// Everything that must be true when the last migration has come to its end.
    mutating func judgeEnd() async throws {
        guard let newest = try await newest() else { throw ScenarioError("no migration has begun") }
        let problems: [String]
        if newest.state == "migrated" {
            let migration = FinishedMigration(
                exit: 0, stdout: "", stderr: "", report: try await source.report(newest.id))
            problems = try await hosts.problemsAfterMigration(&journey, migration, from: source)
        } else {
            problems = try await hosts.problemsAfterReturn(
                &journey, newest.id, known: false, leavesCopies: leavesCopies)
        }
        for problem in problems { complain(problem) }
        for node in hosts.all {
            for problem in try await TamperedTool.forcedPromotions(on: node).compactMap(\.problem) {
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

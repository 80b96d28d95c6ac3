import LabKit

extension Hosts {
    /// What is wrong at any moment, whatever has struck: a guest that runs twice, a disk that two hosts may write.
    ///
    /// - Parameter mayBothWrite: a live hand-over has both sides Primary for a time; what holds then is that the guest runs once.
    package func problemsNow(with guest: LabGuest, mayBothWrite: Bool = false) async throws -> [String] {
        let (running, primaries) = try await withThrowingTaskGroup { group in
            for node in all where node.isPoweredOn {
                group.addTask {
                    let text = try await node.run("xl list; cat /proc/drbd 2>/dev/null; true").stdout
                    let runs = LabNode.isRunning(LabNode.guests(inListing: text)[guest.name])
                    return (node.name, runs, text.contains("ro:Primary/"))
                }
            }
            var (running, primaries): ([String], [String]) = ([], [])
            for try await (name, runs, isPrimary) in group {
                if runs { running.append(name) }
                if isPrimary { primaries.append(name) }
            }
            return (running.sorted(), primaries.sorted())
        }
        var problems: [String] = []
        if running.count > 1 { problems.append("\(guest.name) runs on \(running)") }
        if primaries.count > 1, !mayBothWrite { problems.append("DRBD is Primary on \(primaries)") }
        return problems
    }

    /// Everything that is not as it must be after a migration, by what the hosts, the guest and its disks show rather than by
    /// what the product says; each as a sentence.
    ///
    /// - Parameters:
    ///   - journey: the guest; it is noted there that it has arrived.
    ///   - migration: its report is held against the hosts.
    ///   - source: where it was; the target is the other host.
    ///   - directory: the pool its volumes lie in, if they are files.
    ///   - removedSource: whether the source's copy was to be removed.
    ///   - verified: whether both copies' checksums must be in the report.
    ///   - others: guests that live on the hosts beside it, each with its own host.
    ///   - ends: shut the guest down and read its disks, which takes it for its last host.
    package func problemsAfterMigration(
        _ journey: inout Journey, _ migration: FinishedMigration, from source: LabNode, directory: String? = nil,
        removedSource: Bool = false, verified: Bool = false, others: [Journey] = [], ends: Bool = true
    ) async throws -> [String] {
        let target = peer(of: source)
        let guest = journey.guest
        try await journey.arrived(on: target)

        var problems = problems(in: migration.report, verified: verified)
        let here = try await source.guests()[guest.name]
        let there = try await target.guests()[guest.name]
        if let here { problems.append("\(guest.name) is still on \(source.name), \(here)") }
        if there == nil || there?.contains("p") == true {
            problems.append("\(guest.name) does not run on \(target.name), but is \(there ?? "not there")")
        } else {
            try await journey.goesOn()
        }
        for node in all {
            let residents = others.filter { $0.node.name == node.name }.flatMap(\.guest.volumes)
            let own = node.name == target.name || !removedSource ? guest.volumes : []
            let linked = residents + (node.name == target.name ? guest.volumes : [])
            // A neighbour that has moved here has left its old copy on the other host.
            let left = others.filter { $0.hasMoved && $0.node.name != node.name }.flatMap(\.guest.volumes)
            let hasSwitches = ["one-freeze", "live"].contains(migration.report.method) && node.name == target.name
            problems += try await node.residue(
                volumes: Set(own + residents + left), links: Set(linked), directory: directory,
                switches: hasSwitches ? Set(guest.volumes) : [])
            let state = try await node.migrations().first { $0.id == migration.id }?.state
            if state != "migrated" {
                problems.append("\(node.name)'s journal says that \(migration.id) is \(state ?? "unknown")")
            }
        }
        return problems + (try await counted(&journey, ends: ends))
    }

    /// Everything that is not as it must be after a migration that did not come about: the guest runs on where it was, from
    /// its own volume, and nothing is left of the attempt on either host.
    ///
    /// - Parameters:
    ///   - id: the migration, which both journals must have as rolled back; nil where it was refused.
    ///   - known: whether the target must know of it.
    ///   - leavesCopies: whether an earlier migration has left an old copy on the other host.
    ///   - hasSwitches: whether the guest's disks have switches.
    package func problemsAfterReturn(
        _ journey: inout Journey, _ id: String?, known: Bool = true, directory: String? = nil,
        leavesCopies: Bool = false, hasSwitches: Bool = false,
        ends: Bool = true
    ) async throws -> [String] {
        let (guest, source) = (journey.guest, journey.node)
        var problems: [String] = []
        let state = try await source.guests()[guest.name]
        if state == nil || state?.contains("p") == true {
            problems.append("\(guest.name) does not run on \(source.name), but is \(state ?? "not there")")
        } else {
            try await journey.goesOn()
        }
        if let there = try await peer(of: source).guests()[guest.name] {
            problems.append("\(guest.name) is on \(peer(of: source).name), \(there)")
        }
        problems += try await source.residue(
            volumes: Set(guest.volumes), links: Set(guest.volumes), directory: directory,
            switches: hasSwitches ? Set(guest.volumes) : [])
        problems += try await peer(of: source).residue(
            volumes: leavesCopies ? Set(guest.volumes) : [], links: [], directory: directory)
        for node in all {
            let state = try await node.migrations().first { $0.id == id }?.state
            if id != nil, known || node.name == source.name, state != "rolledBack" {
                problems.append("\(node.name)'s journal says that \(id ?? "") is \(state ?? "unknown")")
            }
        }
        return problems + (try await counted(&journey, ends: ends))
    }

    /// Everything that is not as it must be where a guest's disks have switches that lead to its volumes: it runs where it was,
    /// nothing is left of replicas, and nothing that it has counted is lost.
    package func problemsOnSwitches(_ journey: inout Journey, ends: Bool = true) async throws -> [String] {
        try await journey.goesOn()
        let volumes = Set(journey.guest.volumes)
        let problems = try await journey.node.residue(volumes: volumes, links: volumes, switches: volumes)
        return problems + (try await counted(&journey, ends: ends))
    }

    /// What is wrong with what the guest has counted, on its console and, where it may be shut down, on its disks.
    private func counted(_ journey: inout Journey, ends: Bool) async throws -> [String] {
        let (guest, node) = (journey.guest, journey.node)
        var problems: [String] = []
        if ends {
            try await node.shutDown(guest)
            let console = try await journey.console()
            for (index, volume) in guest.volumes.enumerated() {
                var disk = try await node.disk("/dev/xenlvs/\(volume)")
                // Behind a file system that was made for a smaller disk there is room for stamps, and none are there.
                if !journey.isStamped { disk.stamps = nil }
                problems += disk.problems(given: console, expectedBoots: journey.expectedBoots, isFirst: index == 0).map
                { "\(volume): \($0)" }
                if journey.isStamped, disk.stamps == nil { problems.append("\(volume) has no stamped blocks") }
            }
        }
        let boots = try await journey.console().boots.count
        if boots != journey.expectedBoots {
            problems.append("\(guest.name) has booted \(boots) times, not \(journey.expectedBoots)")
        }
        return problems
    }

    private func problems(in report: MigrationDocument, verified: Bool) -> [String] {
        var problems: [String] = []
        if report.outcome.state != "migrated" || !report.isCommitted {
            problems.append("the report says \(report.outcome.state), committed: \(report.isCommitted)")
        }
        for freeze in report.freezes where freeze.endMilliseconds == nil {
            problems.append("freeze \(freeze.number) has no end")
        }
        for volume in report.volumes {
            let compared = volume.verification?.comparedBytes ?? 0
            if compared == 0 || volume.verification?.differingBytes != 0 {
                problems.append("\(volume.name) was handed over with \(compared) bytes verified")
            }
            guard verified else { continue }
            if compared != volume.sizeBytes {
                problems.append("only \(compared) bytes of \(volume.name) were verified, of \(volume.sizeBytes)")
            }
            let sums = volume.sha256
            if sums == nil || sums?.source != sums?.target || sums?.equal != true || sums?.source.count != 64 {
                problems.append("the checksums of \(volume.name) at the hand-over: \(String(describing: sums))")
            }
        }
        return problems
    }
}

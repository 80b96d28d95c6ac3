import Domains
import Glibc
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// The steps of a live hand-over on one host. What `xl` does with names and states is told in `LiveMigration`.
extension HostWorker {
    struct NamedDomain: Equatable {
        var id: DomainID
        var state: DomainState
    }

    // MARK: Source

    /// The domain where `xl migrate` has let it go: suspended, under its other name.
    func away(_ spec: MigrationSpec) async throws -> NamedDomain? {
        try await domains(of: spec, as: .migratedAway).first
    }

    /// The same once no `xl migrate` is at work on it any more: without its stream it comes to its end.
    private func restingAway(_ spec: MigrationSpec) async throws -> NamedDomain? {
        let deadline = ContinuousClock.now + .seconds(120)
        while let found = try await away(spec) {
            guard try ProcessTable.isMigrating(found.id) else { return found }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .needsRecovery, "the domain \(spec.domain) does not come to rest", host: host.name.text,
                    why: "an 'xl migrate' of an earlier run has not ended",
                    remedy: "look at 'xl list' and at the processes named xl, then resume or abort the migration")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        return nil
    }

    /// Gives a domain that was let go its name back. Nothing happens where there is none.
    /// - Returns: whether there was one.
    func takeNameBack(_ spec: MigrationSpec) async throws -> Bool {
        guard let found = try await restingAway(spec) else { return false }
        try await host.runner.run(XLCommands.rename(found.id, to: spec.domain))
        return true
    }

    /// Source: after this the guest's disks are the target's to write. It is suspended; its requests have been answered.
    func closeForTarget(_ spec: MigrationSpec) async throws -> StepResult {
        try await closeBelowSuspended(spec, .source)
        try await requireTargetHasEverything(spec)
        return StepResult()
    }

    /// The domain runs here, as if nothing had been. One that was left suspended is let run on: its memory and its open disks
    /// are as they were.
    func recall(_ spec: MigrationSpec, isGoingBack: Bool = false) async throws -> StepResult {
        var result = StepResult()
        // Before it can run: its disks may have been closed for the target, or led to the volumes by a way back.
        if spec.plan.usesSwitches, !isGoingBack, try await restingAway(spec) != nil {
            for volume in spec.volumes {
                _ = try await lead(try requireSwitched(volume, .source), toReplica: volume.sourceMinor)
            }
        }
        result.foundSaved = try await takeNameBack(spec)
        let observation = try await settledUnasked(spec)
        guard case .present(_, .active) = observation else {
            if observation.isPaused {
                // A live hand-over pauses nobody: on the way back nothing is left to do for it.
                if isGoingBack {
                    result.notes.append(pausedNote(spec))
                    return result
                }
                throw Failure(
                    .failed, "the domain \(spec.domain) does not run on \(host.name)", host: host.name.text,
                    why: "somebody has paused it, so that it does not answer",
                    remedy: "let it run with 'xl unpause \(spec.domain)', then resume or abort the migration")
            }
            throw Failure(
                .failed, "the domain \(spec.domain) does not run on \(host.name)", host: host.name.text,
                why: "it is not there any more, as after a restart, or has ended",
                remedy: "abort the migration; then see 'xl list'")
        }
        if result.foundSaved { result.freezeEnded = .now }
        return result
    }

    /// On the way back, what is left to do for a domain that is there again under its name.
    func letRunOn(_ spec: MigrationSpec) async throws -> StepResult {
        if try await tellIfGone(spec) != nil { return StepResult() }
        return try await recall(spec, isGoingBack: true)
    }

    /// The domain belongs to the target: what `xl migrate` has left of it here is destroyed.
    func destroyAway(_ spec: MigrationSpec) async throws {
        if let found = try await restingAway(spec) { try await host.runner.run(XLCommands.destroy(found.id)) }
        try await host.runner.letStrayWatchersGo()
    }

    /// How long requests that are under way may take.
    private static let quietLimit = Duration.seconds(30)

    /// Returns when nothing of the domain's requests is under way on its disks here. It is suspended, or gone, so that none
    /// can follow: what its backend had taken from it by then it has handed to the disk long ago.
    func waitUntilQuiet(_ spec: MigrationSpec) async throws -> StepResult {
        let deadline = ContinuousClock.now + Self.quietLimit
        for disk in spec.sharedDisks {
            let device = try BlockDevice(at: host.links.path(of: disk.name))
            var quietLooks = 0
            while quietLooks < 2 {
                let isReleased =
                    spec.plan.method == .live || !BlockBackend.all().contains { $0.device == device.number }
                quietLooks = try isReleased && device.writesUnderWay() == 0 ? quietLooks + 1 : 0
                guard ContinuousClock.now < deadline else {
                    throw Failure(
                        .failed, "requests of \(spec.domain) to \(disk.name) do not come to an end",
                        host: host.name.text, why: "\(device.node) is busy for \(Self.quietLimit)",
                        remedy: "see whether all paths to the disk are up")
                }
                try await Task.sleep(for: .milliseconds(quietLooks == 2 ? 0 : 2))
            }
        }
        return StepResult()
    }

    // MARK: Target

    /// The domain while it arrives, under its other name.
    func arrivals(_ spec: MigrationSpec) async throws -> [NamedDomain] { try await domains(of: spec, as: .incoming) }

    /// Nothing is left here of a hand-over that was broken off, nor of its window.
    func clearTarget(_ spec: MigrationSpec) async throws -> StepResult {
        let result = try await clearArrival(spec)
        if spec.plan.usesSwitches { try await forbidTwoPrimaries(spec, .target) }
        return result
    }

    /// What is left here of a hand-over that was broken off, be it half built or complete and paused.
    func clearArrival(_ spec: MigrationSpec) async throws -> StepResult {
        // A receiver of an earlier run notices that its source has gone, and takes down what it has built.
        try await HostTurn.take(.image, of: spec.id, on: host, limit: .seconds(90)) {
            try removeArrivalNote(spec.id)
            var left = try await arrivals(spec)
            try requireWaiting(left, spec)
            switch try await observe(spec) {
            case .absent: break
            case .present(let id, .paused): left.append(NamedDomain(id: id, state: .paused))
            case .present(_, let state):
                try requireWaiting(state, spec)
                throw Failure(
                    .inconsistent, "the domain \(spec.domain) is \(state.rawValue) on the target without a decision",
                    host: host.name.text, remedy: "see 'xl list' there; nothing was changed")
            }
            for domain in left { try await host.runner.run(XLCommands.destroy(domain.id)) }
            guard spec.plan.usesSwitches else { return }
            for (volume, replica) in zip(spec.volumes, try await replicas(of: spec))
            where replica.status?.role == .primary {
                try await effect { try await host.switches.close(try requireSwitched(volume, .target)) }
                try await makeSecondary(try await control(volume, spec, .target))
            }
        }
        return StepResult()
    }

    /// Why the domain's backends do not have the devices that its links lead to; nil where they have. Asks no program: the
    /// guest stands still meanwhile.
    func objectionToBackends(of id: DomainID, _ spec: MigrationSpec) -> Failure? {
        for disk in spec.disks {
            let link = host.links.path(of: disk.name)
            let held = VirtualDevice.number(disk.device).flatMap { BlockBackend.device(of: id, number: $0) }
            guard let held, let wanted = try? BlockDevice(at: link).number, held == wanted else {
                return Failure(
                    .inconsistent, "\(disk.device) of \(spec.domain) is not what \(link) leads to",
                    host: host.name.text,
                    why: held.map { "Xen's backend has opened \($0)" } ?? "Xen's backend could not open it")
            }
        }
        return nil
    }

    /// Tells the agent of this host, which is another process, the number of a domain that has arrived and was looked at.
    func noteArrival(_ id: MigrationID, _ domain: DomainID) throws {
        try PrivateDirectory.prepare(host.paths.run)
        try DurableFile.replace(arrivalPath(id), with: Array(domain.description.utf8))
    }

    /// The number, once: who asks again looks for itself.
    func takeArrivalNote(_ id: MigrationID) throws -> DomainID? {
        guard let text = KernelFile.read(arrivalPath(id)), let domain = DomainID(parsing: text) else { return nil }
        try removeArrivalNote(id)
        return domain
    }

    func removeArrivalNote(_ id: MigrationID) throws { try DurableFile.remove(arrivalPath(id)) }

    private func arrivalPath(_ id: MigrationID) -> String { "\(host.paths.run)/arrived-\(id)" }

    // MARK: Both

    private func domains(
        of spec: MigrationSpec, as handover: DomainListEntry.Handover
    ) async throws -> [NamedDomain] {
        let listing = try await host.runner.domains()
        var found: [NamedDomain] = []
        for entry in listing.entries where entry.name == spec.domain.text + handover.rawValue {
            guard let id = entry.id, try await hasUUID(spec, id) else { continue }
            found.append(NamedDomain(id: id, state: entry.state))
        }
        return found
    }

    private func hasUUID(_ spec: MigrationSpec, _ id: DomainID) async throws -> Bool {
        var query = XLCommands.uuidPath(of: id)
        query.acceptedExitCodes = [0, 1]
        return XLCommands.isPath(try await host.runner.run(query).output, of: spec.uuid)
    }
}

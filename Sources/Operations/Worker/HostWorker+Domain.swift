import Domains
import HostModel
import Hosts
import Migration
import Storage

/// A migration's domain on one host, as Xen has it.
enum DomainObservation: Equatable {
    case absent
    case present(DomainID, DomainState)

    var isPaused: Bool {
        if case .present(_, .paused) = self { true } else { false }
    }
}

extension HostWorker {
    /// Looks for the domain by name. Throws `.inconsistent` where the name belongs to another domain.
    func observe(_ spec: MigrationSpec) async throws -> DomainObservation {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            let listing = try await host.runner.domains()
            guard let entry = listing.domain(named: spec.domain), let id = entry.id else { return .absent }
            let path: String
            do { path = try await host.runner.run(XLCommands.uuidPath(of: id)).output } catch {
                // A domain that is being destroyed goes from xenstore first, and from the list a moment later.
                guard ContinuousClock.now < deadline else { throw error }
                try await Task.sleep(for: .milliseconds(100))
                continue
            }
            guard XLCommands.isPath(path, of: spec.uuid) else {
                throw Failure(
                    .inconsistent, "the domain \(spec.domain) is another one than the one that is migrated",
                    host: host.name.text, remedy: "rename or destroy it")
            }
            return .present(id, entry.state)
        }
    }

    /// Saves the domain into the image for `purpose`; afterwards it is gone from Xen and the image is whole.
    func save(_ spec: MigrationSpec, _ purpose: SavedImages.Purpose) async throws -> StepResult {
        var result = StepResult()
        switch try await settled(spec) {
        case .absent:
            try requireWholeImage(spec, purpose)
            result.foundSaved = true
        case .present(let id, .active): result.freezeBegan = try await save(spec, id, purpose)
        case .present(_, let state):
            throw Failure(
                .refused, "cannot save \(spec.domain)", host: host.name.text, why: "it is \(state.rawValue)",
                remedy: "bring it into its running state first")
        }
        result.imageSize = host.images.size(spec.id, purpose)
        return result
    }

    /// Returns when the domain was stopped. Whether it is gone is seen by whoever opens its disks next: here it would only
    /// make the freeze longer.
    private func save(
        _ spec: MigrationSpec, _ id: DomainID, _ purpose: SavedImages.Purpose
    ) async throws -> HostMoment {
        let path = try host.images.create(spec.id, purpose)
        let command = XLCommands.save(
            id, to: .file(path), then: .destroy, deadline: XLCommands.deadline(memory: spec.memory))
        var began = HostMoment.now
        do {
            try await DomainWatcher.spared(id) {
                began = .now
                try await runXL(command, doing: "cannot save \(spec.domain)")
            }
        } catch {
            throw try await afterFailedSave(spec, purpose, Failure(error, doing: "cannot save \(spec.domain)"))
        }
        try requireWholeImage(spec, purpose)
        return began
    }

    /// Makes what is in the running domain's memory now the base of the image that follows.
    func dumpMemory(_ spec: MigrationSpec) async throws {
        guard case .present(let id, .active) = try await observe(spec) else {
            throw Failure(.failed, "\(spec.domain) does not run", host: host.name.text)
        }
        let free = try host.images.freeSpace()
        // The image that follows is kept beside it, and may have nothing in common with it.
        guard free.bytes / 9 * 4 > spec.memory.bytes else {
            throw Failure(
                .refused, "there is no room for the guest's memory ahead of the freeze", host: host.name.text,
                why: "\(free) are free in \(host.images.directory), more than twice \(spec.memory) are needed")
        }
        try await host.images.makeBase(spec.id) { path in
            let dump = XLCommands.dumpMemory(of: id, to: path, deadline: XLCommands.deadline(memory: spec.memory))
            try await runXL(dump, doing: "cannot read the memory of \(spec.domain)")
        }
    }

    private func runXL(_ command: Command, doing what: String) async throws {
        if let failure = try await host.runner.failure(ofXL: command, doing: what) { throw failure.on(host.name.text) }
    }

    /// A failed `xl save` lets the domain run on; anything else needs the operator.
    private func afterFailedSave(
        _ spec: MigrationSpec, _ purpose: SavedImages.Purpose, _ failure: Failure
    ) async throws -> Failure {
        if failure.code == .outcomeUnknown { return failure }
        switch try await settledUnasked(spec) {
        case .present(_, let state) where state == .active || state == .paused:
            // Where the disk is full, the way back needs the room for an image of its own.
            _ = try host.images.create(spec.id, purpose)
            guard state == .paused else { return failure.on(host.name.text) }
            return Failure(
                .failed, "cannot save \(spec.domain)", host: host.name.text,
                why: "somebody has paused it, so that it does not answer",
                remedy: "let it run with 'xl unpause \(spec.domain)'", causes: [failure])
        case .absent, .present:
            return Failure(
                .needsRecovery, "cannot save \(spec.domain), and it does not run on either", host: host.name.text,
                why: failure.why, remedy: "look at 'xl list' and /var/log/xen", causes: [failure])
        }
    }

    func requireWholeImage(_ spec: MigrationSpec, _ purpose: SavedImages.Purpose) throws {
        let state = try host.images.state(spec.id, purpose)
        guard state == .whole else {
            throw Failure(
                .inconsistent, "the domain \(spec.domain) is not there and has no whole image", host: host.name.text,
                why: "the image \(host.images.path(spec.id, purpose)) is \(state)",
                remedy: "start the domain from its configuration with 'xl create'; its disks are as it left them")
        }
    }

    /// What the domain is once no `xl` of an earlier run is at work on it any more: a coordinator that died leaves its save or
    /// restore running.
    func settled(_ spec: MigrationSpec) async throws -> DomainObservation {
        let deadline = ContinuousClock.now + XLCommands.deadline(memory: spec.memory)
        while true {
            let observation = try await observe(spec)
            let isBusy: Bool
            switch observation {
            case .absent: isBusy = try await host.runner.isRestoring(images(of: spec))
            case .present(let id, .paused):
                isBusy = try await !isComplete(id) && ProcessTable.isRestoring(images(of: spec))
            case .present(let id, .active): isBusy = try ProcessTable.isSavingOrMigrating(id)
            case .present(let id, .suspended):
                // Where the 'xl save' was killed the memory is intact, but only a save that ends lets the domain run on.
                if try !ProcessTable.isSavingOrMigrating(id) {
                    try await host.runner.resumeSuspended(id, memory: spec.memory)
                }
                isBusy = true
            case .present(_, .dying): isBusy = true
            case .present(_, .poweredOff), .present(_, .rebooting), .present(_, .crashed): isBusy = false
            }
            guard isBusy else {
                if case .present(let id, _) = observation { DomainWatcher.of(id)?.letGo() }
                return observation
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .needsRecovery, "the domain \(spec.domain) does not come to rest", host: host.name.text,
                    why: "an 'xl save' or 'xl restore' of an earlier run has not ended",
                    remedy: "look at 'xl list' and at the processes named xl, then resume or abort the migration")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// The same, where a killed `xl` may have left the domain asked to suspend itself: it is not asked any more, and was let
    /// run on where it had taken note just before.
    func settledUnasked(_ spec: MigrationSpec) async throws -> DomainObservation {
        var observation = try await settled(spec)
        switch observation {
        case .present(let id, .active), .present(let id, .paused):
            guard try await host.runner.withdrawSuspendRequest(of: id) else { return observation }
        case .absent, .present: return observation
        }
        let deadline = ContinuousClock.now + DomainHandle.followTime
        while ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(200))
            observation = try await settled(spec)
        }
        return observation
    }

    private func images(of spec: MigrationSpec) -> [String] {
        SavedImages.Purpose.allCases.map { host.images.path(spec.id, $0) }
    }

    /// Whether a paused domain was restored to the end. One that was not has no configuration yet.
    private func isComplete(_ id: DomainID) async throws -> Bool {
        let output = try await host.runner.run(XLCommands.describe(id)).output
        return try !DomainDescription.parse(listing: output).isEmpty
    }

    /// Destroys what a killed `xl restore` of an earlier run has left half made; the image still has everything. Returns what
    /// is there then. On the source only what this migration has an image of, or starts anew, is its own.
    func clearUnfinished(_ spec: MigrationSpec) async throws -> DomainObservation {
        let observation = try await settled(spec)
        guard case .present(let id, .paused) = observation, try await !isComplete(id) else { return observation }
        let isSource = try recorded(spec.id).role == .source
        if isSource, spec.plan.method != .cold, (try? newestImage(spec)) == nil { return observation }
        try await host.runner.run(XLCommands.destroy(id))
        return try await settled(spec)
    }

    /// Restores the domain from the image for `purpose`, paused, on what its links point to.
    func restore(_ spec: MigrationSpec, _ role: Role, _ purpose: SavedImages.Purpose) async throws -> StepResult {
        // A whole image that is not spent means that the domain is not here, or paused: 'xl restore' itself refuses a name
        // that is taken. Asking first would only make the freeze longer.
        if try host.images.state(spec.id, purpose) == .whole {
            try await checkSizes(spec, role)
            let image = ImageEndpoint.file(host.images.path(spec.id, purpose))
            let command = XLCommands.restorePaused(from: image, deadline: XLCommands.deadline(memory: spec.memory))
            let what = "cannot restore \(spec.domain)"
            do { try await runXL(command, doing: what) } catch {
                let failure = Failure(error, doing: what).on(host.name.text)
                guard !failure.leavesOutcomeOpen, try await observe(spec).isPaused else { throw failure }
                // An earlier run got there first: its restore is let end, and what it left unfinished is made anew.
                if try await clearUnfinished(spec) == .absent { try await runXL(command, doing: what) }
            }
        }
        switch try await observe(spec) {
        case .present(let id, .paused), .present(let id, .active):
            try await checkDisks(spec, id)
            memory.remember(id, of: spec.id)
        case .present(_, let state):
            throw Failure(.failed, "the domain \(spec.domain) is \(state.rawValue)", host: host.name.text)
        case .absent:
            try requireWholeImage(spec, purpose)
            throw Failure(.failed, "the domain \(spec.domain) was restored but is not there", host: host.name.text)
        }
        return StepResult()
    }
}

import Domains
import HostModel
import Hosts
import Migration
import Storage

/// One domain of this host, by name and UUID, for what saves and restores it here: checkpoints and brackets.
struct DomainHandle: Sendable {
    let worker: HostWorker
    var name: DomainName
    var uuid: String
    var memory: ByteCount

    private var host: HostContext { worker.host }

    /// How long a guest may take to suspend itself once it has taken note that it shall.
    static let followTime = Duration.seconds(3)

    /// What has the name now; nil where nothing has.
    func look() async throws -> (id: DomainID, state: DomainState, isOurs: Bool)? {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            let listing = try await host.runner.domains()
            guard let entry = listing.domain(named: name), let id = entry.id else { return nil }
            do {
                let path = try await host.runner.run(XLCommands.uuidPath(of: id)).output
                return (id, entry.state, XLCommands.isPath(path, of: uuid))
            } catch {
                // A domain that is being destroyed goes from xenstore first, and from the list a moment later.
                guard ContinuousClock.now < deadline else { throw error }
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Throws `.inconsistent` where the name belongs to another domain.
    func find() async throws -> (id: DomainID, state: DomainState)? {
        guard let found = try await look() else { return nil }
        guard found.isOurs else {
            throw Failure(
                .inconsistent, "the domain \(name) is another one than the one that was saved",
                remedy: "rename or destroy it")
        }
        return (found.id, found.state)
    }

    /// Writes its memory to `path`. Throws what `xl` says; what became of the domain is to be looked at then.
    func save(_ id: DomainID, to path: String, then afterwards: XLCommands.AfterSaving) async throws {
        try await DomainWatcher.spared(id) {
            try await run(
                XLCommands.save(id, to: .file(path), then: afterwards, deadline: XLCommands.deadline(memory: memory)),
                doing: "cannot save \(name)")
        }
    }

    /// Restores it from `path` and leaves it paused.
    func restorePaused(from path: String) async throws {
        try await run(
            XLCommands.restorePaused(from: .file(path), deadline: XLCommands.deadline(memory: memory)),
            doing: "cannot restore \(name)")
    }

    private func run(_ command: Command, doing what: String) async throws {
        if let failure = try await host.runner.failure(ofXL: command, doing: what) { throw failure }
    }

    /// How often a suspended domain is told to run on.
    private static let resumptions = 3

    /// Waits for an `xl save` that goes on by itself, lets the domain run where it has stopped, and sees that it does. Returns
    /// whether it had stopped; nothing happens where it runs, or is gone.
    /// - Throws: `.needsRecovery` where it stays as it is.
    func letGo() async throws -> Bool {
        let deadline = ContinuousClock.now + XLCommands.deadline(memory: memory)
        var end: ContinuousClock.Instant?
        var resumed = 0
        var wasStopped = false
        var known = try await find()?.id
        while let id = known {
            // Before its state: what was seen while a save was at work says nothing of how that has left it.
            let isSaving = try ProcessTable.isSaving(id)
            guard let found = try await find() else { break }
            known = found.id
            // A reboot gives it another number.
            guard found.id == id else { continue }
            switch found.state {
            case .poweredOff, .rebooting, .crashed:
                DomainWatcher.of(id)?.letGo()
                return wasStopped
            case .active where !isSaving:
                if end == nil, try await host.runner.withdrawSuspendRequest(of: id) {
                    end = ContinuousClock.now + Self.followTime
                }
                guard let lastLook = end, ContinuousClock.now < lastLook else {
                    DomainWatcher.of(id)?.letGo()
                    return wasStopped
                }
            // What these commands end with does not tell how the domain is: it is looked at again.
            case .paused where !isSaving:
                _ = try await host.runner.withdrawSuspendRequest(of: id)
                try await host.runner.run(XLCommands.unpause(id))
                wasStopped = true
            // The 'xl save' was killed: only a save that ends lets the domain run on.
            case .suspended where !isSaving && resumed < Self.resumptions:
                try await host.runner.resumeSuspended(id, memory: memory)
                (wasStopped, end, resumed) = (true, nil, resumed + 1)
            case .suspended where !isSaving:
                throw staysStopped("it is suspended, and 'xl save -c' does not let it run on")
            case .active, .paused, .suspended, .dying: break
            }
            guard ContinuousClock.now < deadline else {
                let why = isSaving ? "an 'xl save' of an earlier run has not ended" : "it stays \(found.state.rawValue)"
                throw staysStopped(why)
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        return wasStopped
    }

    private func staysStopped(_ why: String) -> Failure {
        Failure(
            .needsRecovery, "the domain \(name) does not come to rest", why: why,
            remedy: "look at 'xl list' and at the processes named xl, then run 'xenlvs recover'")
    }

    /// What is there once no `xl restore` from `image` of an earlier run is at work any more. What a killed one has left half
    /// made is destroyed: the image still has everything.
    func clearUnfinished(_ image: String) async throws -> (id: DomainID, state: DomainState)? {
        let deadline = ContinuousClock.now + XLCommands.deadline(memory: memory)
        while true {
            let found = try await find()
            let isBusy: Bool
            switch found {
            case nil: isBusy = try await host.runner.isRestoring([image])
            case (let id, .paused)?:
                isBusy = try await !isComplete(id)
                if isBusy, try !ProcessTable.isRestoring([image]) { try await destroy(id) }
            case (_, .dying)?: isBusy = true
            case _?: isBusy = false
            }
            guard isBusy else { return found }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .needsRecovery, "the domain \(name) does not come to rest",
                    why: "an 'xl restore' of an earlier run has not ended",
                    remedy: "look at 'xl list' and at the processes named xl, then run 'xenlvs recover'")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Whether a paused domain was restored to the end. One that was not has no configuration yet.
    private func isComplete(_ id: DomainID) async throws -> Bool {
        let output = try await host.runner.run(XLCommands.describe(id)).output
        return try !DomainDescription.parse(listing: output).isEmpty
    }

    /// Destroys it, and returns when it is gone.
    func destroy(_ id: DomainID) async throws {
        try await host.runner.run(XLCommands.destroy(id))
        let deadline = ContinuousClock.now + .seconds(60)
        while try await find()?.id == id {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .failed, "the domain \(name) was destroyed, and is still there", why: "something holds its memory",
                    remedy: "see 'xl list' and 'xl dmesg'")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Sees that the restored domain has what its links lead to: 'xl restore -p' ends well also where a disk could not be
    /// opened. Returns the domain.
    func checkDisks(
        _ disks: [(device: String, volume: VolumeName)]
    ) async throws -> (id: DomainID, state: DomainState) {
        guard let found = try await find() else {
            throw Failure(.failed, "the domain \(name) was restored but is not there")
        }
        for (device, volume) in disks {
            guard case .link(_, .device(_, let number)) = try host.links.read(volume),
                try await worker.deviceHeld(by: found.id, device) == number
            else {
                throw Failure(
                    .inconsistent, "\(device) of \(name) is not what its link leads to",
                    remedy: "see 'xenlvs link show \(volume)' and /var/log/xen; xl destroy \(name), then repeat")
            }
        }
        return found
    }

    func unpause(_ found: (id: DomainID, state: DomainState)) async throws {
        if found.state == .paused { try await host.runner.run(XLCommands.unpause(found.id)) }
    }

    /// Lets the restored domain run, once it is seen to have its disks.
    func start(_ disks: [(device: String, volume: VolumeName)]) async throws {
        try await unpause(try await checkDisks(disks))
    }
}

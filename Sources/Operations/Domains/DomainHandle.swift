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

    /// Throws `.inconsistent` where the name belongs to another domain.
    func find() async throws -> (id: DomainID, state: DomainState)? {
        let listing = try DomainListing(parsing: try await host.runner.run(XLCommands.list()).output)
        guard let entry = listing.domain(named: name), let id = entry.id else { return nil }
        let path = try await host.runner.run(XLCommands.uuidPath(of: id)).output
        guard XLCommands.isPath(path, of: uuid) else {
            throw Failure(
                .inconsistent, "the domain \(name) is another one than the one that was saved",
                remedy: "rename or destroy it")
        }
        return (id, entry.state)
    }

    /// Writes its memory to `path`. Throws what `xl` says; what became of the domain is to be looked at then.
    func save(_ id: DomainID, to path: String, then afterwards: XLCommands.AfterSaving) async throws {
        try await run(
            XLCommands.save(id, to: .file(path), then: afterwards, deadline: XLCommands.deadline(memory: memory)),
            doing: "cannot save \(name)")
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

    /// Waits for an `xl save` that goes on by itself, then lets the domain run where it has stopped. Returns whether it had;
    /// nothing happens where it runs, or is gone.
    func letGo() async throws -> Bool {
        let deadline = ContinuousClock.now + XLCommands.deadline(memory: memory)
        while let (id, state) = try await find() {
            let isSaving = try ProcessTable.isSaving(id)
            switch state {
            case .active where !isSaving, .poweredOff, .rebooting, .crashed: return false
            case .paused where !isSaving:
                try await host.runner.run(XLCommands.unpause(id))
                return true
            // The 'xl save' was killed: only a save that ends lets the domain run on.
            case .suspended where !isSaving:
                try await host.runner.run(XLCommands.resumeSuspended(id, memory: memory))
                return true
            case .active, .paused, .suspended, .dying: break
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .needsRecovery, "the domain \(name) does not come to rest",
                    why: "an 'xl save' of an earlier run has not ended",
                    remedy: "look at 'xl list' and at the processes named xl, then run 'xenlvs recover'")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        return false
    }

    /// Lets the restored domain run, once it is seen to have what its links lead to: 'xl restore -p' ends well also where a
    /// disk could not be opened.
    func start(_ disks: [(device: String, volume: VolumeName)]) async throws {
        guard let (id, state) = try await find() else {
            throw Failure(.failed, "the domain \(name) was restored but is not there")
        }
        for (device, volume) in disks {
            guard case .link(_, .device(_, let number)) = try host.links.read(volume),
                try await worker.deviceHeld(by: id, device) == number
            else {
                throw Failure(
                    .inconsistent, "\(device) of \(name) is not what its link leads to",
                    remedy: "see 'xenlvs link show \(volume)' and /var/log/xen; xl destroy \(name), then repeat")
            }
        }
        if state == .paused { try await host.runner.run(XLCommands.unpause(id)) }
    }
}

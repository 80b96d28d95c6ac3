import Domains
import HostModel
import Hosts
import Storage

extension CheckpointManager {
    /// Takes back every checkpoint that was being made when its run was killed: its domain runs on. One that was being
    /// restored is named.
    func recover() async throws -> [DomainRepair] {
        var repairs: [DomainRepair] = []
        for checkpoint in try store.all() where checkpoint.stage != .whole {
            func row(_ words: String, needsOperator: Bool = false) -> DomainRepair {
                DomainRepair(
                    domain: checkpoint.domain, words: "the checkpoint \(checkpoint.name) " + words,
                    needsOperator: needsOperator)
            }
            guard checkpoint.stage == .making else {
                repairs.append(row("has not been restored wholly; \(Self.remedy(checkpoint))", needsOperator: true))
                continue
            }
            do {
                let went = try await holding(checkpoint.domain) { try await undo(checkpoint) }
                repairs.append(
                    row("was cut off and is removed" + (went ? "; the domain was paused, and runs on" : "")))
            } catch let failure as Failure where failure.code == .busy {
                repairs.append(row("is being made by another command"))
            } catch {
                let failure = Failure(error, doing: "cannot take it back")
                    .outsideMigrations(next: "run 'xenlvs recover' again")
                repairs.append(row("cannot be taken back: \(failure)", needsOperator: true))
            }
        }
        return repairs
    }

    /// Lets the domain of a checkpoint that was not finished run on, and removes what was made. Returns whether the domain
    /// had been stopped.
    func undo(_ checkpoint: Checkpoint) async throws -> Bool {
        let wasStopped = try await handle(checkpoint).letGo()
        try await discard(checkpoint)
        return wasStopped
    }

    /// Removes what was made of a checkpoint whose domain was let go.
    /// - Throws: `.needsRecovery` while an `lvcreate` for it is at work.
    func discard(_ checkpoint: Checkpoint) async throws {
        let lock = try await lockSnapshots(checkpoint)
        defer { withExtendedLifetime(lock) {} }
        for disk in checkpoint.disks { try await removeSnapshot(disk) }
        try store.remove(checkpoint.name)
    }

    /// Held by each `lvcreate` for the checkpoint as well.
    func snapshotLock(_ checkpoint: Checkpoint) -> String { "\(host.paths.run)/snapshots-\(checkpoint.name).lock" }

    private func lockSnapshots(_ checkpoint: Checkpoint) async throws -> FileLock {
        do {
            return try await FileLock.waiting(
                path: snapshotLock(checkpoint), purpose: "taking snapshots for '\(checkpoint.name)'", limit: patience)
        } catch let failure as Failure where failure.code == .busy {
            throw Failure(
                .needsRecovery, "cannot remove what was made of '\(checkpoint.name)'",
                why: "an 'lvcreate' for it has not ended, for which the domain does not wait",
                remedy: "see what it waits for ('ps -ef', 'dmesg'), and run 'xenlvs recover' once it has ended")
        }
    }

    func handle(_ checkpoint: Checkpoint) -> DomainHandle {
        DomainHandle(worker: worker, name: checkpoint.domain, uuid: checkpoint.uuid, memory: checkpoint.memory)
    }

    /// Nothing happens where there is none. Throws where something has it open.
    func removeSnapshot(_ disk: Checkpoint.Disk) async throws {
        let output = try await host.runner.run(LVMCommands.findVolume(disk.snapshot)).output
        guard let found = try LVMReport.volumes(output).first else { return }
        guard found.carries(SnapshotCommands.tag(disk.volume)) else {
            throw Failure(
                .refused, "will not remove \(disk.snapshot)",
                why: "it is no snapshot of '\(disk.volume)' that xenlvs made",
                remedy: "rename it or remove it by hand")
        }
        try await host.runner.run(LVMCommands.remove(found))
    }
}

extension Failure {
    /// This failure where no migration is meant: for a command past its deadline whoever ran it advises to resume one.
    /// - Parameter next: what helps once the command has ended; nil where that is told beside it.
    func outsideMigrations(next: String? = nil) -> Failure {
        guard code == .outcomeUnknown else { return self }
        var failure = self
        failure.remedy = next.map { "look at the process; once it has ended, \($0)" }
        return failure
    }

    /// What is told of a command past its deadline once its effects were taken back.
    /// - Parameter state: how things are by then.
    func dealtWith(doing what: String, _ state: String) -> Failure {
        Failure(.failed, what, why: "a command did not end in time; \(state)", causes: [outsideMigrations()])
    }
}

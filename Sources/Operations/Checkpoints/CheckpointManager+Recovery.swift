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
                repairs.append(row("cannot be taken back: \(failure)", needsOperator: true))
            }
        }
        return repairs
    }

    /// Lets the domain of a checkpoint that was not finished run on, and removes what was made. Returns whether the domain
    /// had been stopped.
    func undo(_ checkpoint: Checkpoint) async throws -> Bool {
        let wasStopped = try await handle(checkpoint).letGo()
        for disk in checkpoint.disks { try await removeSnapshot(disk) }
        try store.remove(checkpoint.name)
        return wasStopped
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

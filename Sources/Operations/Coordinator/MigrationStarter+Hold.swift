import HostModel
import Hosts

/// What else may stop a domain, and let it run again, is kept away from one that is about to be migrated.
extension MigrationStarter {
    /// Holds the domain from the look at it to the migration's record: who saves a domain looks for migrations before, and
    /// not again until it runs. Released with the value. Throws `.busy` where a checkpoint or a bracket is under way.
    public func hold(_ domain: DomainName) throws -> FileLock {
        try worker.host.lockStopping(
            domain, purpose: "a checkpoint, or saving and restoring, of the domain '\(domain)'")
    }

    /// Throws `.busy` where a run that was killed has left the domain stopped, or has not said yet that it runs again: what
    /// brings it back would do so below the migration.
    func requireNoneStopped(_ domain: DomainName) throws {
        let what = "cannot migrate \(domain)"
        if try DomainBracket(worker: worker).isAway(domain) {
            throw Failure(
                .busy, what, host: worker.host.name.text, why: "it is being saved and restored, or was left away",
                remedy: "wait for 'xenlvs domain prepare --now' or 'xenlvs swap --bracket' to end; if neither is at "
                    + "work, run 'xenlvs recover'")
        }
        let checkpoints = try CheckpointStore(worker.host.paths).all()
        guard let open = checkpoints.first(where: { $0.domain == domain && $0.stage != .whole }) else { return }
        throw Failure(
            .busy, what, host: worker.host.name.text, why: "the checkpoint '\(open.name)' is not finished",
            remedy: CheckpointManager.remedy(open))
    }
}

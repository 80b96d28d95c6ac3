import Domains
import Migration
import Replication
import Synchronization

/// What one step of a migration has found out for the next, within one process, so that a freeze need not pay for it twice.
///
/// Each thing is used once. A process that does not have it looks for itself.
final class WorkerMemory: Sendable {
    private struct State {
        var domains: [MigrationID: DomainID] = [:]
        var proofs: [String: FreshMetadata] = [:]
    }

    private let state = Mutex(State())

    /// The domain that was just restored, paused, and whose disks were checked.
    func remember(_ id: DomainID, of migration: MigrationID) { state.withLock { $0.domains[migration] = id } }
    func takeDomain(of migration: MigrationID) -> DomainID? {
        state.withLock { $0.domains.removeValue(forKey: migration) }
    }
    func knowsDomain(of migration: MigrationID) -> Bool { state.withLock { $0.domains[migration] != nil } }

    /// That a replica's metadata are new, gathered right after they were attached.
    func remember(_ proof: FreshMetadata) { state.withLock { $0.proofs[proof.device.resource] = proof } }
    func takeProof(of device: ReplicaDevice) -> FreshMetadata? {
        state.withLock { state in
            guard let proof = state.proofs.removeValue(forKey: device.resource), proof.device == device else {
                return nil
            }
            return proof
        }
    }
}

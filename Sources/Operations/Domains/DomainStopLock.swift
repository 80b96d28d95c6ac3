import HostModel
import Hosts

extension HostContext {
    /// Held by whoever is about to stop a domain and to let it run again: a checkpoint, a bracket, the beginning of a migration. None
    /// of them stops what another has stopped. A killed one leaves no lock behind.
    /// - Parameter purpose: what holds it, as another one is told.
    /// - Throws: `.busy` where another process has it.
    func lockStopping(_ domain: DomainName, purpose: String) throws -> FileLock {
        try PrivateDirectory.prepare(paths.run)
        return try FileLock(path: "\(paths.run)/checkpoint-\(domain).lock", purpose: purpose)
    }
}

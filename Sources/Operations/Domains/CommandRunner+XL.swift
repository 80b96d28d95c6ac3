import Domains
import HostModel

extension CommandRunner {
    /// The domains of this host.
    func domains() async throws -> DomainListing {
        try DomainListing(parsing: try await run(XLCommands.list()).output)
    }

    /// Runs an `xl` command on a domain's memory. Returns what it printed, in words, where it fails; nil where it ends well.
    func failure(ofXL command: Command, doing what: String) async throws -> Failure? {
        var command = command
        command.acceptedExitCodes = Set(0...255)
        let result = try await run(command)
        return result.termination == .exited(0) ? nil : XLFailure.explain(result, doing: what)
    }

    /// Lets the watchers go that an earlier process has held, and whose domain is not there any more. Until they end, one that a
    /// restore has left behind looks like a restore that is at work.
    func letStrayWatchersGo() async throws {
        DomainWatcher.letGoStrays(existing: try await domains().entries.compactMap(\.id))
    }

    /// Whether there is an `xl restore` from one of these images, where the domain is not there.
    func isRestoring(_ images: [String]) async throws -> Bool {
        guard try ProcessTable.isRestoring(images) else { return false }
        try await letStrayWatchersGo()
        return true
    }

    /// Lets a domain run on that a killed `xl save` has left suspended. How it is afterwards is to be looked at.
    func resumeSuspended(_ id: DomainID, memory: ByteCount) async throws {
        _ = try await DomainWatcher.spared(id) { try await run(XLCommands.resumeSuspended(id, memory: memory)) }
    }

    /// Takes back that a domain shall suspend itself, where a killed `xl` has left it asked to: nobody would let it run on.
    /// Returns whether it was asked. It may have taken note just before, and suspend itself within
    /// `DomainHandle.followTime`.
    func withdrawSuspendRequest(of id: DomainID) async throws -> Bool {
        guard XLCommands.isSuspendRequest(try await run(XLCommands.request(of: id)).output),
            try !ProcessTable.isSavingOrMigrating(id)
        else { return false }
        try await run(XLCommands.withdrawRequest(of: id))
        return true
    }
}

import Domains
import HostModel

extension CommandRunner {
    /// Runs an `xl` command on a domain's memory. Returns what it printed, in words, where it fails; nil where it ends well.
    func failure(ofXL command: Command, doing what: String) async throws -> Failure? {
        var command = command
        command.acceptedExitCodes = Set(0...255)
        let result = try await run(command)
        return result.termination == .exited(0) ? nil : XLFailure.explain(result, doing: what)
    }
}

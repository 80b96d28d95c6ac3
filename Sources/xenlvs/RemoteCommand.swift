import Glibc
import HostModel
import Hosts
import Migration

/// Hands a command over to the host that drives a migration; its terminal stays this one's.
enum RemoteCommand {
    /// Replaces this process by ssh. The words are fixed but for the identifier, which is a checked name.
    static func run(_ event: MigrationMachine.Event, _ id: MigrationID, on host: HostName) throws -> ExitStatus {
        let verb = event == .abortRequested ? "abort" : "resume"
        Console.say("\(host) drives this migration: running 'xenlvs migration \(verb) \(id)' there")
        let words =
            ["ssh"] + SSHCommand.options
            + (isatty(STDIN_FILENO) == 1 ? ["-t"] : ["-T"]) + ["--", host.text, "xenlvs", "migration", verb, id.text]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        execv("/usr/bin/ssh", &arguments)
        throw Failure(.failed, "cannot run ssh", why: String(cString: strerror(errno)))
    }
}

import ArgumentParser
import Glibc
import HostModel

@main
struct XenlvsDaemon: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "xenlvsd", abstract: "Serve this host's exports.",
        discussion: """
            Started by systemd (xenlvsd.service). Serves what 'xenlvs export' has asked for, and brings it back after a \
            restart; 'xenlvs exports' tells how it stands. An export whose file, device or interface is missing is kept \
            and tried again. SIGTERM ends it after what is under way.

            Exit codes: 0 ended as asked; 1 failed; 3 ended with requests under way; 4 the list of exports cannot be \
            read; 5 another xenlvsd runs.
            """,
        version: Version.text)

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        do throws(Failure) { try Daemon.run() } catch {
            Log.say(error.detailedDescription)
            throw ExitCode(error.code.exitStatus.rawValue)
        }
    }
}

import ArgumentParser
import Glibc
import HostModel

@main
struct XenlvsDaemon: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "xenlvsd", abstract: "Serve this host's AoE exports, and check paths.",
        discussion: """
            Started by systemd (xenlvsd.service). Serves what 'xenlvs export' has asked for, and brings it back after a \
            restart; 'xenlvs exports' tells how it stands. An export whose file, device or interface is missing is kept \
            and tried again. SIGTERM ends it after what is under way.

            Where xenlvs has made multipath maps (multipathd does not run), every path is asked once a second whether it is \
            the recorded disk and ready; one that is not is not used any more, and taken back when it was good twice in a \
            row. A map that is made later is looked after from the next second on. A path of an iSCSI attachment that has no \
            session, as after a boot with one network down, is tried again every minute. 'xenlvs multipath watch' does the same \
            without the daemon, which waits for its turn then.

            Exit codes: 0 ended as asked; 1 failed; 3 ended with requests under way; 4 the list of exports cannot be \
            read; 5 another xenlvsd runs.
            """,
        version: Version.text)

    @Option(
        help: """
            Serve AoE from so many threads: 1, 2 or 4. Unless it is given, a host's processors but one, at most 4, decide.
            """)
    var threads: Int?

    func validate() throws {
        if let threads, ![1, 2, 4].contains(threads) { throw ValidationError("--threads is 1, 2 or 4") }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        do throws(Failure) { try Daemon.run(threads: threads) } catch {
            Log.say(error.detailedDescription)
            throw ExitCode(error.code.exitStatus.rawValue)
        }
    }
}

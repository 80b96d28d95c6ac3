import ArgumentParser
import HostModel
import Hosts
import Operations

struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "Serve another host's xenlvs on standard input and output (used over ssh).",
        discussion: """
            For a key that may do nothing but bring guests here, this stands in front of it in root's authorized_keys:

              restrict,command="xenlvs agent --restrict --from nodea --into vg0"

            --from, --into and --into-directory may be given several times. What the other host wants to run is then taken \
            from SSH_ORIGINAL_COMMAND, and is one of the lines that xenlvs itself sends.

            Exit codes: 0 the other host has ended the connection; 1 failed, or the key does not allow it; 4 the journal \
            cannot be read; 64 usage.
            """)

    @Flag(help: "Receive one saved image.")
    var receive = false

    @Flag(help: "Do no more than receive migrations, as a forced command of sshd.")
    var restrict = false

    @Option(
        name: .customLong("from"),
        help: ArgumentHelp("A host that migrations may come from, by the name it has for itself.", valueName: "host"))
    var sources: [String] = []

    @Option(name: .customLong("into"), help: ArgumentHelp("A volume group that they may fill.", valueName: "vg"))
    var groups: [String] = []

    @Option(
        name: .customLong("into-directory"),
        help: ArgumentHelp("A directory pool that they may fill.", valueName: "dir"))
    var directories: [String] = []

    func validate() throws {
        if restrict, receive {
            throw ValidationError("--receive is not given with --restrict: the other host asks for it.")
        }
        if !restrict, !(sources + groups + directories).isEmpty {
            throw ValidationError("--from, --into and --into-directory go with --restrict.")
        }
    }

    func run() async throws {
        try await reporting {
            guard restrict else { return try await serve(receive ? .receiver : .agent, nil) }
            let restriction = try AgentRestriction(sources: sources, groups: groups, directories: directories)
            let wanted = try ForcedCommand(line: ProcessEnvironment.variables["SSH_ORIGINAL_COMMAND"])
            return try await serve(wanted, restriction)
        }
    }

    private func serve(_ command: ForcedCommand, _ restriction: AgentRestriction?) async throws -> ExitStatus {
        if command == .version {
            Console.result(Version.text)
            return .done
        }
        let worker = HostWorker(host: try ThisHost.open(), version: Version.text, restriction: restriction)
        if command == .receiver {
            await ImageReceiver(worker: worker).run()
        } else {
            try await AgentServer(worker: worker).run()
        }
        return .done
    }
}

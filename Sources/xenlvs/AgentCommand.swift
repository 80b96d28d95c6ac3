import ArgumentParser
import HostModel
import Operations

struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "Serve another host's xenlvs on standard input and output (used over ssh).",
        discussion: "Exit codes: 0 the other host has ended the connection; 1 failed; 4 the journal cannot be read.")

    @Flag(help: "Receive one saved image.")
    var receive = false

    func run() async throws {
        try await reporting {
            let worker = HostWorker(host: try ThisHost.open(), version: Version.text)
            if receive {
                await ImageReceiver(worker: worker).run()
            } else {
                try await AgentServer(worker: worker).run()
            }
            return .done
        }
    }
}

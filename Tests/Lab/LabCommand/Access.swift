import ArgumentParser
import Foundation
import LabKit

struct Shell: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ssh", abstract: "Open a shell on a node, or run a command there.")

    @OptionGroup var target: NodeArgument

    @Argument(parsing: .captureForPassthrough, help: "The command.")
    var command: [String] = []

    func run() throws {
        let lab = try Lab.attach()
        let words = ["ssh", "-F", lab.sshConfiguration.path, try target.resolve().name] + command
        // ssh takes this process's place: terminal, signals and exit status are its own.
        var arguments = words.map { strdup($0) } + [nil]
        execvp("ssh", &arguments)
        throw ValidationError("cannot run ssh: \(String(cString: strerror(errno)))")
    }
}

struct Console: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print what a node's serial console has shown.")

    @OptionGroup var target: NodeArgument

    func run() throws {
        FileHandle.standardOutput.write(try Data(contentsOf: target.resolve().consoleLog))
    }
}

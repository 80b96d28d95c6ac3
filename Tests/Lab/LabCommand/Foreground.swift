import Foundation
import LabKit

/// Programs that have this process's own terminal while they run.
enum Foreground {
    /// Runs a command on a node, with its output shown as it comes, and returns its exit status.
    ///
    /// With a terminal at both ends the node's side gets one too: a progress display is live, and Ctrl-C goes there.
    static func ssh(_ node: LabNode, _ lab: Lab, _ command: String) throws -> Int32 {
        let isTerminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
        // ssh hands the terminal's type over by itself, but not what it can show.
        let settings = ["LC_ALL": locale, "NO_COLOR": ProcessInfo.processInfo.environment["NO_COLOR"]]
            .compactMap { name, value in value.map { "\(name)='\($0.replacing("'", with: ""))' " } }.sorted().joined()
        return try run([
            "ssh", "-F", lab.sshConfiguration.path, isTerminal ? "-t" : "-T", node.name, settings + command,
        ])
    }

    /// A locale that every Debian has, with the characters of this process's own.
    private static var locale: String {
        let environment = ProcessInfo.processInfo.environment
        let own = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        return own?.uppercased().replacing("-", with: "").contains("UTF8") == true ? "C.UTF-8" : "C"
    }

    /// Not Foundation's `Process`: it moves the program to a process group of its own, and a terminal does not listen to
    /// those.
    private static func run(_ words: [String]) throws -> Int32 {
        let arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let failure = posix_spawnp(&pid, words[0], nil, nil, arguments, environ)
        guard failure == 0 else {
            throw LabError.unusable("cannot run \(words[0]): \(String(cString: strerror(failure)))")
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
    }
}

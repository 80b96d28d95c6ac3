import ArgumentParser
import Glibc
import HostModel
import Hosts
import Reporting

/// Standard output is for results, standard error for everything else.
enum Console {
    /// Other hosts, programs and guests have a part in what is said here: nothing of it may steer the terminal.
    static func say(_ text: String) { write(DisplayText.sanitisedLines(text) + "\n", to: STDERR_FILENO) }

    static func result(_ text: String) { write(text.hasSuffix("\n") ? text : text + "\n", to: STDOUT_FILENO) }

    /// Writes all of `text`; a reader that has gone away is no reason to stop what is under way.
    static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// Runs a command's work and turns a failure into its message and exit code.
func reporting(_ work: () async throws -> ExitStatus) async throws {
    let status: ExitStatus
    do { status = try await work() } catch let failure as Failure {
        Console.say("xenlvs: " + failure.detailedDescription)
        status = failure.code.exitStatus
    }
    if status != .done { throw ExitCode(status.rawValue) }
}

/// Runs `body` to its end, also after Ctrl-C or where the session is lost: a guest stands still meanwhile.
/// - Returns: also whether the operator has asked for the end.
func finishing<Value>(_ body: () async throws -> Value) async rethrows -> (value: Value, wasInterrupted: Bool) {
    try await SignalWatch.finishing(
        told: { Console.say("interrupted; finishing first, so that no guest is left standing still") }, body)
}

import Foundation
import Synchronization

/// How a command ended and what it wrote.
public struct RunResult: Sendable {
    /// The exit status; 128 + N for a command ended by signal N; 255 if ssh could not do its work.
    public let exit: Int32
    public let stdout: String
    public let stderr: String

    /// Standard output without the white space around it.
    public var text: String { stdout.trimmingCharacters(in: .whitespacesAndNewlines) }
}

/// A program started on this machine. What it writes goes to files, so that nothing blocks and all can be read while
/// it runs.
///
/// Not Foundation's `Process`: that one takes a program for running as long as a daemon it has left behind does, and
/// both QEMU and ssh leave one.
final class LocalCommand: Sendable {
    private enum State {
        case running(pid_t)
        case ended(Int32)
    }

    /// glibc's POSIX_SPAWN_SETSID, which is not visible to Swift either.
    private static let newSession: Int16 = 0x80

    private let state: Mutex<State>
    private let outputFile: URL
    private let errorFile: URL

    init(_ program: String, _ arguments: [String], input: Data? = nil, scratch: URL) throws {
        let stem = scratch.appending(path: UUID().uuidString)
        outputFile = stem.appendingPathExtension("out")
        errorFile = stem.appendingPathExtension("err")
        let inputFile = stem.appendingPathExtension("in")
        try input?.write(to: inputFile)
        // The program's open descriptor keeps the content.
        defer { if input != nil { try? FileManager.default.removeItem(at: inputFile) } }

        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        let writing = O_WRONLY | O_CREAT | O_TRUNC
        posix_spawn_file_actions_addopen(&files, 0, input == nil ? "/dev/null" : inputFile.path, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&files, 1, outputFile.path, writing, 0o600)
        posix_spawn_file_actions_addopen(&files, 2, errorFile.path, writing, 0o600)
        // A daemon must not hold what its starter had open, a test runner's pipes above all. (glibc hides its function
        // for all descriptors at once from Swift. Closing one that is not open is no error here.)
        for descriptor in 3..<Int32(256) { posix_spawn_file_actions_addclose(&files, descriptor) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A session of its own: Ctrl-C on a test run is for the test run, not for the nodes.
        posix_spawnattr_setflags(&attributes, Self.newSession)

        let words = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let failure = posix_spawnp(&pid, program, &files, &attributes, words, environ)
        state = Mutex(.running(pid))
        guard failure == 0 else {
            throw LabError.unusable("cannot run \(program): \(String(cString: strerror(failure)))")
        }
    }

    deinit {
        for file in [outputFile, errorFile] { try? FileManager.default.removeItem(at: file) }
    }

    var isRunning: Bool { exit == nil }
    var outputSoFar: String { Self.read(outputFile) }
    var errorsSoFar: String { Self.read(errorFile) }

    /// The exit status as a shell would give it, once there is one.
    private var exit: Int32? {
        state.withLock { state in
            guard case .running(let pid) = state else {
                if case .ended(let exit) = state { return exit }
                return nil
            }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            let signal = status & 0x7f
            let exit = signal == 0 ? (status >> 8) & 0xff : 128 + signal
            state = .ended(exit)
            return exit
        }
    }

    /// Waits for the end; when the limit passes or the task is cancelled, the program is killed.
    func wait(timeout: Duration, for what: String) async throws -> RunResult {
        do {
            try await waitUntil(
                what, within: timeout, every: .milliseconds(10),
                evidence: { lastLines(self.outputSoFar) + "\n" + lastLines(self.errorsSoFar) },
                condition: { !self.isRunning })
        } catch {
            terminate()
            throw error
        }
        return RunResult(exit: exit ?? -1, stdout: outputSoFar, stderr: errorsSoFar)
    }

    /// Kills the program if it still runs, and takes note of its end.
    func terminate() {
        state.withLock { state in
            guard case .running(let pid) = state else { return }
            kill(pid, SIGKILL)
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            state = .ended(128 + SIGKILL)
        }
    }

    private static func read(_ file: URL) -> String {
        // A guest may print anything: what is not UTF-8 is shown as such and never lost.
        ((try? Data(contentsOf: file)).map { String(decoding: $0, as: UTF8.self) }) ?? ""
    }

    /// Runs a program to its end and, unless `check` is off, throws if it did not exit with 0.
    static func run(
        _ program: String, _ arguments: [String], input: Data? = nil, timeout: Duration, check: Bool = true,
        scratch: URL = FileManager.default.temporaryDirectory
    ) async throws -> RunResult {
        let line = ([program] + arguments).joined(separator: " ")
        let command = try LocalCommand(program, arguments, input: input, scratch: scratch)
        let result = try await command.wait(timeout: timeout, for: line)
        if check, result.exit != 0 {
            throw LabError.commandFailed(place: "this machine", command: line, result: result)
        }
        return result
    }
}

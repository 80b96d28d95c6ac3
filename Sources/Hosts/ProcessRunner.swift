import HostModel
import Subprocess
import Synchronization

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// Runs commands on this host as child processes.
///
/// The environment is replaced (`LC_ALL=C`, a fixed `PATH`), standard input is empty, at most `outputLimit` bytes of each
/// stream are kept and the rest is drained. Each runs in a session of its own, so that Ctrl-C on the terminal reaches this
/// process alone, which decides what follows. A query is killed at its deadline. A mutation never is: it survives a
/// cancelled task and the death of this process, and past its deadline its outcome is reported as unknown.
/// (swift-subprocess kills the child when the awaiting task is cancelled, so commands run in an unstructured task.)
public final class ProcessRunner: CommandRunner {
    public static let outputLimit = 4 << 20

    /// Time during which at least one command ran; see `ActivityClock`.
    public let activity: ActivityClock
    private let trace: @Sendable (String) -> Void

    public init(activity: ActivityClock = ActivityClock(), trace: @escaping @Sendable (String) -> Void = { _ in }) {
        self.activity = activity
        self.trace = trace
    }

    @discardableResult
    public func run(_ command: Command) async throws -> CommandResult {
        let path = try ToolPaths.path(of: command.tool)
        let arguments = ToolPaths.leadingArguments(of: command.tool) + command.arguments
        let started = ContinuousClock.now
        activity.begin()
        let work = Task { [activity] in
            defer { activity.end() }
            return try await Self.spawn(path, arguments)
        }
        let result = try await withDeadline(command, work)
        trace("\(command) → \(result.termination) in \(started.duration(to: .now))")
        return try check(result, of: command)
    }

    private func check(_ result: CommandResult, of command: Command) throws -> CommandResult {
        switch result.termination {
        case .exited(let code) where command.acceptedExitCodes.contains(code): return result
        case .exited(let code):
            throw CommandFailure(command: command, result: result, reason: "exit code \(code)").failure
        case .signalled(let signal):
            throw CommandFailure(command: command, result: result, reason: "ended by signal \(signal)").failure
        }
    }

    private func withDeadline(_ command: Command, _ work: Task<CommandResult, any Error>) async throws -> CommandResult
    {
        let once = Once()
        let outcome: Result<CommandResult, any Error> = await withCheckedContinuation { continuation in
            let timer = Task {
                try await Task.sleep(for: command.deadline)
                guard once.claim() else { return }
                if command.effect == .query { work.cancel() }
                continuation.resume(returning: .failure(Self.pastDeadline(command)))
            }
            Task {
                let result = await work.result
                timer.cancel()
                guard once.claim() else { return }
                continuation.resume(returning: result)
            }
        }
        return try outcome.get()
    }

    private static func pastDeadline(_ command: Command) -> Failure {
        switch command.effect {
        case .query:
            Failure(.failed, "'\(command)' gave no answer", why: "it ran longer than \(command.deadline) and was ended")
        case .mutation:
            Failure(
                .outcomeUnknown, "'\(command)' is still running", why: "it took longer than \(command.deadline)",
                remedy: "look at the process, then run 'xenlvs migration resume'")
        }
    }

    private static func spawn(_ path: String, _ arguments: [String]) async throws -> CommandResult {
        var options = PlatformOptions()
        options.createSession = true
        let outcome = try await Subprocess.run(
            .path(FilePath(path)), arguments: Arguments(arguments), environment: .custom(ToolPaths.environment),
            workingDirectory: "/", platformOptions: options, input: .none, output: .sequence, error: .sequence
        ) { execution in
            async let output = keep(execution.standardOutput)
            async let errors = keep(execution.standardError)
            return try await (output, errors)
        }
        let ((output, cut), (errors, errorsCut)) = outcome.closureResult
        let termination: CommandResult.Termination =
            switch outcome.terminationStatus {
            case .exited(let code): .exited(Int32(code))
            case .signaled(let signal): .signalled(Int32(signal))
            }
        return CommandResult(termination: termination, output: output, errors: errors, truncated: cut || errorsCut)
    }

    /// Reads a stream to its end and keeps its beginning; a child must never be stopped by what it prints.
    private static func keep(_ stream: SubprocessOutputSequence) async throws -> (String, truncated: Bool) {
        var kept: [UInt8] = []
        var truncated = false
        for try await buffer in stream {
            buffer.withUnsafeBytes { bytes in
                let room = outputLimit - kept.count
                kept.append(contentsOf: bytes.prefix(room))
                truncated = truncated || bytes.count > room
            }
        }
        return (String(decoding: kept, as: UTF8.self), truncated)
    }
}

/// A command that ended badly, as a failure that shows its line and its last words.
struct CommandFailure {
    let command: Command
    let result: CommandResult
    let reason: String

    var failure: Failure {
        let words = result.lastWords
        return Failure(.failed, "'\(command)' failed", why: words.isEmpty ? reason : "\(reason): \(words)")
    }
}

/// Lets exactly one of several racers through.
final class Once: Sendable {
    private let isTaken = Mutex(false)

    /// True for the first caller only.
    func claim() -> Bool {
        isTaken.withLock { taken in
            defer { taken = true }
            return !taken
        }
    }
}

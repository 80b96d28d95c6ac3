import HostModel
import Subprocess
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif
#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// Runs commands on this host as child processes.
///
/// The environment is replaced (`LC_ALL=C`, a fixed `PATH`), standard input is empty or what the caller gives, at most
/// `outputLimit` bytes of each stream are kept and the rest is drained. Each runs in a session of its own, so that Ctrl-C
/// on the terminal reaches this process alone, which decides what follows. A query is killed at its deadline. A mutation
/// never is: it survives a cancelled task and the death of this process, and past its deadline its outcome is reported as
/// unknown. (swift-subprocess kills the child when the awaiting task is cancelled, so commands run in an unstructured task.)
/// What a mutation prints goes to files in memory: of a pipe whose reader has died `xl save` would die, too, by SIGPIPE,
/// and leave its guest suspended.
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
        try await run(command, hearing: nil, input: nil)
    }

    @discardableResult
    public func run(_ command: Command, input: Int32) async throws -> CommandResult {
        try await run(command, hearing: nil, input: input)
    }

    public func run(
        _ command: Command, hearing: @escaping @Sendable (String) -> Void
    ) async throws -> CommandResult {
        try await run(command, hearing: hearing, input: nil)
    }

    private func run(
        _ command: Command, hearing: (@Sendable (String) -> Void)?, input given: Int32?
    ) async throws -> CommandResult {
        let path = try ToolPaths.path(of: command.tool)
        let arguments = ToolPaths.leadingArguments(of: command.tool) + command.arguments
        let environment = ToolPaths.environment(of: command)
        let input = try Self.input(given)
        let started = ContinuousClock.now
        activity.begin()
        let work = Task { [activity] in
            defer {
                close(input)
                activity.end()
            }
            switch command.effect {
            case .query: return try await Self.asking { try await Self.spawn(path, arguments, environment, input) }
            case .mutation: return try await Self.spawnSurviving(path, arguments, environment, input, hearing)
            }
        }
        let result = try await withDeadline(command, work)
        trace("\(command) → \(result.termination) in \(started.duration(to: .now))")
        return try check(result, of: command)
    }

    /// Asks once more where a signal that was meant for this process has ended a query. Between its start and the session of
    /// its own a child is in our process group, and Ctrl-C reaches it too; a query can be repeated.
    static func asking(_ spawn: () async throws -> CommandResult) async throws -> CommandResult {
        var result = try await spawn()
        for _ in 0..<2 {
            guard case .signalled(let signal) = result.termination, [SIGINT, SIGTERM, SIGHUP].contains(signal),
                !Task.isCancelled
            else { return result }
            result = try await spawn()
        }
        return result
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
                remedy:
                    "see what holds the process up, then repeat the command; of a migration: xenlvs migration resume")
        }
    }

    /// What the child gets as its standard input, to be closed when it has ended: the caller may close its own before.
    private static func input(_ given: Int32?) throws -> Int32 {
        let input =
            if let given { fcntl(given, F_DUPFD_CLOEXEC, 3) } else { open("/dev/null", O_RDONLY | O_CLOEXEC) }
        guard input >= 0 else {
            throw Failure(.failed, "cannot prepare a command's input", why: String(cString: strerror(errno)))
        }
        return input
    }

    private static var ownSession: PlatformOptions {
        var options = PlatformOptions()
        options.createSession = true
        return options
    }

    private static func spawnSurviving(
        _ path: String, _ arguments: [String], _ environment: Environment, _ input: Int32,
        _ hearing: (@Sendable (String) -> Void)?
    ) async throws -> CommandResult {
        let output = try MemoryFile()
        let errors = try MemoryFile()
        let listener = hearing.map { Listener(errors.descriptor, $0) }
        let listening = listener?.start()
        defer {
            listening?.cancel()
            listener?.read(isLast: true)
        }
        let outcome = try await Subprocess.run(
            .path(FilePath(path)), arguments: Arguments(arguments), environment: environment,
            workingDirectory: "/", platformOptions: ownSession,
            input: .fileDescriptor(FileDescriptor(rawValue: input), closeAfterSpawningProcess: false),
            output: .fileDescriptor(FileDescriptor(rawValue: output.descriptor), closeAfterSpawningProcess: false),
            error: .fileDescriptor(FileDescriptor(rawValue: errors.descriptor), closeAfterSpawningProcess: false))
        let (said, cut) = try output.beginning(outputLimit)
        let (complained, errorsCut) = try errors.beginning(outputLimit)
        return CommandResult(
            termination: termination(outcome.terminationStatus), output: said, errors: complained,
            truncated: cut || errorsCut)
    }

    private static func spawn(
        _ path: String, _ arguments: [String], _ environment: Environment, _ input: Int32
    ) async throws -> CommandResult {
        let outcome = try await Subprocess.run(
            .path(FilePath(path)), arguments: Arguments(arguments), environment: environment,
            workingDirectory: "/", platformOptions: ownSession,
            input: .fileDescriptor(FileDescriptor(rawValue: input), closeAfterSpawningProcess: false),
            output: .sequence, error: .sequence
        ) { execution in
            async let output = keep(execution.standardOutput)
            async let errors = keep(execution.standardError)
            return try await (output, errors)
        }
        let ((output, cut), (errors, errorsCut)) = outcome.closureResult
        return CommandResult(
            termination: termination(outcome.terminationStatus), output: output, errors: errors,
            truncated: cut || errorsCut)
    }

    private static func termination(_ status: TerminationStatus) -> CommandResult.Termination {
        switch status {
        case .exited(let code): .exited(Int32(code))
        case .signaled(let signal): .signalled(Int32(signal))
        }
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

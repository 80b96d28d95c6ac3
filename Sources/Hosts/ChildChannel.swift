import Dispatch
import HostModel
import ImageStream
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

/// A child process that is talked to through pipes for as long as it lives.
///
/// Reading and writing block, with limits, and belong on a thread of their own. The child runs in a session of its own, so
/// that Ctrl-C on the terminal reaches xenlvs alone, which decides what becomes of the child.
public final class ChildChannel: Sendable {
    /// Our end of the child's standard input.
    public let input: BoundedIO
    /// Our end of the child's standard output.
    public let output: BoundedIO
    private let errors: BoundedIO
    private let child: Task<TerminationStatus, any Error>
    private let state = Mutex(State())
    private let lines: LineReader

    private struct State {
        var isInputOpen = true
        var lastErrors: [UInt8] = []
        var errorsHaveEnded = false
    }

    /// Starts `tool` with `arguments`. `purpose` names the channel in messages.
    public init(_ command: Command, purpose: String) throws {
        let path = try ToolPaths.path(of: command.tool)
        let (childInput, ourInput) = try Self.makePipe()
        let (ourOutput, childOutput) = try Self.makePipe()
        let (ourErrors, childErrors) = try Self.makePipe()
        input = BoundedIO(descriptor: ourInput, purpose: purpose)
        output = BoundedIO(descriptor: ourOutput, purpose: purpose)
        errors = BoundedIO(descriptor: ourErrors, purpose: purpose)
        lines = LineReader(output)
        let arguments = ToolPaths.leadingArguments(of: command.tool) + command.arguments
        child = Task {
            var options = PlatformOptions()
            options.createSession = true
            let result = try await Subprocess.run(
                .path(FilePath(path)), arguments: Arguments(arguments), environment: ToolPaths.environment(of: command),
                workingDirectory: "/", platformOptions: options,
                input: .fileDescriptor(FileDescriptor(rawValue: childInput), closeAfterSpawningProcess: true),
                output: .fileDescriptor(FileDescriptor(rawValue: childOutput), closeAfterSpawningProcess: true),
                error: .fileDescriptor(FileDescriptor(rawValue: childErrors), closeAfterSpawningProcess: true))
            return result.terminationStatus
        }
        DispatchQueue(label: "\(purpose) errors").async { [self] in keepErrors() }
    }

    deinit {
        closeInput()
        Glibc.close(output.descriptor)
        Glibc.close(errors.descriptor)
    }

    /// `F_SETPIPE_SZ` (include/uapi/linux/fcntl.h), which Glibc's module does not show.
    private static let setPipeSize: Int32 = 1031

    private static func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw Failure(.failed, "cannot make a pipe", why: String(cString: strerror(errno)))
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // A guest's memory passes through: with the usual 64 KiB a host with one processor changes between the processes 16
        // times as often. The kernel may refuse it; the pipe then stays as it is.
        _ = fcntl(ends[1], setPipeSize, 1 << 20)
        return (ends[0], ends[1])
    }

    /// The last 4 KiB of the child's standard error.
    public var errorOutput: String { String(decoding: state.withLock { $0.lastErrors }, as: UTF8.self) }

    /// What the child said last on its standard error.
    public var lastWords: String {
        errorOutput
            .split(whereSeparator: \.isNewline).suffix(3).joined(separator: "; ")
    }

    /// Gives a child that has ended a moment until all that it said is here: its standard error is read on a thread of its own.
    private func hearOut() async {
        for _ in 0..<20 where !state.withLock({ $0.errorsHaveEnded }) { try? await Task.sleep(for: .milliseconds(50)) }
    }

    /// Whether the child reads no more, which most often means that it has ended, while we could still write to it.
    public var hasLetInputGo: Bool {
        state.withLock { state in
            guard state.isInputOpen else { return false }
            var request = pollfd(fd: input.descriptor, events: 0, revents: 0)
            return poll(&request, 1, 0) > 0 && request.revents & Int16(POLLERR) != 0
        }
    }

    /// Ends the child's standard input; a well-behaved child then ends by itself.
    public func closeInput() {
        state.withLock { state in
            guard state.isInputOpen else { return }
            state.isInputOpen = false
            Glibc.close(input.descriptor)
        }
    }

    /// Ends the child's standard input and lets it finish by itself for a while; what is left of it then is killed.
    public func end(within limit: Duration) async {
        closeInput()
        if await exitCode(limit: limit) == nil { kill() }
    }

    /// Ends the child at once.
    public func kill() {
        closeInput()
        child.cancel()
    }

    /// Waits for the child's end; nil where it did not end within `limit`. Of one that failed the last words are here then.
    public func exitCode(limit: Duration) async -> Int32? {
        let code = await endingCode(limit: limit)
        if let code, code != 0 { await hearOut() }
        return code
    }

    private func endingCode(limit: Duration) async -> Int32? {
        let once = Once()
        return await withCheckedContinuation { continuation in
            let timer = Task {
                try await Task.sleep(for: limit)
                if once.claim() { continuation.resume(returning: nil) }
            }
            Task { [child] in
                let result = await child.result
                timer.cancel()
                guard once.claim() else { return }
                switch result {
                case .success(.exited(let code)): continuation.resume(returning: Int32(code))
                case .success(.signaled(let signal)): continuation.resume(returning: 128 + Int32(signal))
                case .failure: continuation.resume(returning: 127)
                }
            }
        }
    }

    /// The next line of the child's output, without its newline; nil at the end, when its last words, too, are here. Throws
    /// where a line is longer than `longest` bytes or nothing came for `limit`.
    public func readLine(longest: Int, limit: Duration = .seconds(86_400)) async throws -> String? {
        let line = try await lines.next(longest: longest, limit: limit)
        if line == nil { await hearOut() }
        return line
    }

    /// Reads any number of lines on one thread, where a change of threads for each would take longer than the lines.
    /// - Parameter body: is given what reads the next line, as `readLine` does, but does not wait for last words.
    public func withLines<Value: Sendable>(
        _ body: @escaping @Sendable (LineReader.Next) throws -> Value
    ) async throws -> Value {
        try await lines.withNext(body)
    }

    private func keepErrors() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while let count = try? buffer.withUnsafeMutableBytes({ try errors.read(into: $0, limit: .seconds(86_400)) }),
            count > 0
        {
            state.withLock { $0.lastErrors = Array(($0.lastErrors + buffer[..<count]).suffix(4096)) }
        }
        state.withLock { $0.errorsHaveEnded = true }
    }
}

/// Reads lines from a channel without blocking a task.
public final class LineReader: Sendable {
    private let channel: BoundedIO
    private let buffer = Mutex(LineBuffer())

    public init(_ channel: BoundedIO) { self.channel = channel }

    /// Reads the next line; nil at the end of the stream. See `LineBuffer`.
    public typealias Next = (_ longest: Int, _ limit: Duration) throws -> String?

    /// The next line; nil at the end of the stream. See `LineBuffer`.
    public func next(longest: Int, limit: Duration = .seconds(86_400)) async throws -> String? {
        try await withNext { try $0(longest, limit) }
    }

    /// Runs `body` on a thread of its own, which may wait for lines.
    func withNext<Value: Sendable>(_ body: @escaping @Sendable (Next) throws -> Value) async throws -> Value {
        try await Blocking.run(channel.purpose) { [self] in
            try buffer.withLock { buffer in
                try body { try buffer.next(from: channel, longest: $0, limit: $1) }
            }
        }
    }
}

/// Cuts a stream into lines, of limited length.
public struct LineBuffer {
    private var pending: [UInt8] = []
    /// Where in it the next line begins: to move the rest to the front for each line would take longer than all else.
    private var start = 0
    private var isAtEnd = false

    public init() {}

    public mutating func next(from channel: BoundedIO, longest: Int, limit: Duration) throws -> String? {
        var searched = start
        while true {
            let newline = pending[searched...].firstIndex(of: UInt8(ascii: "\n"))
            if (newline ?? pending.count) - start > longest {
                throw Failure(.failed, "\(channel.purpose) sent a line of more than \(longest) bytes")
            }
            if let newline {
                let line = String(decoding: pending[start..<newline], as: UTF8.self)
                start = newline + 1
                return line
            }
            pending.removeSubrange(..<start)
            start = 0
            searched = pending.count
            // A line without its newline is one that was cut off: it is never taken for a whole one.
            if isAtEnd { return nil }
            try fill(from: channel, limit)
        }
    }

    private mutating func fill(from channel: BoundedIO, _ limit: Duration) throws {
        try withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer in
            let count = try channel.read(into: buffer, limit: limit)
            if count == 0 { isAtEnd = true } else { pending += buffer[..<count] }
        }
    }
}

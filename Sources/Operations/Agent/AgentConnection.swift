import HostModel
import Hosts
import ImageStream
import Synchronization

/// A connection to the agent of another host: `ssh HOST xenlvs agent`, one JSON object a line each way.
///
/// A lost connection or a passed limit means that the outcome is unknown, never that the request failed.
public final class AgentConnection: Sendable {
    public let host: HostName
    private let channel: ChildChannel
    private let waiting = Mutex(Waiting())
    private let activity: ActivityClock

    private struct Waiting {
        var nextID = 1
        var replies: [Int: Pending] = [:]
        var ended: Failure?
    }

    private struct Pending {
        let continuation: CheckedContinuation<ReplyLine, any Error>
        let timer: Task<Void, any Error>
    }

    /// Starts ssh. The connection is usable once `hello` was answered.
    public init(to host: HostName, activity: ActivityClock) throws {
        self.host = host
        self.activity = activity
        channel = try ChildChannel(SSHCommand.agent(on: host), purpose: "the connection to \(host)")
        Task { [self] in await readReplies() }
    }

    /// Ends the connection; requests that wait for an answer fail.
    public func close() { channel.kill() }

    /// Sends a request and waits for its reply.
    public func ask(_ request: HostRequest, limit: Duration) async throws -> HostReply {
        let started = ContinuousClock.now
        let line = try await activity.during { try await send(request, limit: limit) }
        // The agent's own time counts as ours, wherever it was spent.
        let own = line.totalMilliseconds.subtractingReportingOverflow(line.activeMilliseconds)
        activity.subtract(
            .milliseconds(own.overflow ? 0 : max(0, own.partialValue)), notMoreThan: started.duration(to: .now))
        if case .failed(let failure) = line.reply { throw failure.on(host.text) }
        return line.reply
    }

    private func send(_ request: HostRequest, limit: Duration) async throws -> ReplyLine {
        let id = waiting.withLock { waiting in
            defer { waiting.nextID += 1 }
            return waiting.nextID
        }
        let text = try JSONText.encode(RequestLine(id: id, request: request)) + "\n"
        return try await withCheckedThrowingContinuation { continuation in
            let timer = Task { [self] in
                try await Task.sleep(for: limit)
                finish(id, throwing: late(limit))
            }
            let ended = waiting.withLock { waiting -> Failure? in
                if waiting.ended == nil { waiting.replies[id] = Pending(continuation: continuation, timer: timer) }
                return waiting.ended
            }
            if let ended {
                timer.cancel()
                return continuation.resume(throwing: ended)
            }
            do {
                try channel.input.write(Array(text.utf8), limit: .seconds(20))
            } catch {
                finish(id, throwing: lost(Failure(error, doing: "cannot ask \(host)")))
            }
        }
    }

    private func finish(_ id: Int, throwing failure: Failure) {
        let pending = waiting.withLock { $0.replies.removeValue(forKey: id) }
        pending?.timer.cancel()
        pending?.continuation.resume(throwing: failure)
    }

    private func readReplies() async {
        do {
            while let line = try await channel.readLine(longest: AgentProtocol.longestLine) {
                // A sign of life.
                if line.isEmpty { continue }
                let reply = try JSONText.decode(ReplyLine.self, from: line, what: "an answer of \(host)")
                let pending = waiting.withLock { $0.replies.removeValue(forKey: reply.id) }
                pending?.timer.cancel()
                pending?.continuation.resume(returning: reply)
            }
            endAll(lost(Failure(.unreachable, "the connection ended", why: await parting())))
        } catch {
            endAll(lost(Failure(error, doing: "cannot read from \(host)")))
        }
    }

    /// What is known of why the child has ended: its words, or at least how. ssh's exit code is the agent's, and 255 its own.
    private func parting() async -> String? {
        let code = await channel.exitCode(limit: .seconds(1))
        guard channel.lastWords.isEmpty else { return channel.lastWords }
        return code.map { "ssh ended with \($0) and said nothing" }
    }

    private func late(_ limit: Duration) -> Failure {
        Failure(.outcomeUnknown, "no answer from \(host)", host: host.text, why: "it took longer than \(limit)")
    }

    private func lost(_ cause: Failure) -> Failure {
        let why = cause.why.flatMap { $0.isEmpty ? nil : $0 } ?? cause.what
        return Failure(
            .unreachable, "the connection to \(host) is lost", why: why,
            remedy: "check that 'ssh \(host) xenlvs --version' works as this user")
    }

    private func endAll(_ failure: Failure) {
        let open = waiting.withLock { waiting in
            waiting.ended = failure
            defer { waiting.replies = [:] }
            return waiting.replies.values
        }
        for pending in open {
            pending.timer.cancel()
            pending.continuation.resume(throwing: failure)
        }
    }
}

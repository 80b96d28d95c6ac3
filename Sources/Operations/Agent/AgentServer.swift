import HostModel
import Hosts
import ImageStream
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The agent's side of a connection: requests from standard input, one at a time, replies to standard output.
public struct AgentServer: Sendable {
    private let worker: HostWorker
    private let input: BoundedIO
    private let output: BoundedIO
    private let sign: SignOfLife

    /// - Parameters: the descriptors are for tests.
    public init(worker: HostWorker, input: Int32 = 0, output: Int32 = 1) {
        self.worker = worker
        self.input = BoundedIO(descriptor: input, purpose: "the agent's input")
        self.output = BoundedIO(descriptor: output, purpose: "the agent's output")
        sign = SignOfLife(descriptor: output)
    }

    /// Serves until the input ends. A line that is no request is answered with what is wrong with it where it has a number,
    /// and ends the connection.
    public func run() async throws {
        let lines = LineReader(input)
        var session = AgentSession(worker: worker)
        let signs = Task { [sign] in
            while true {
                try await Task.sleep(for: SignOfLife.interval)
                sign.give()
            }
        }
        defer { signs.cancel() }
        while let line = try await lines.next(longest: AgentProtocol.longestLine) {
            sign.isWanted = false
            defer { sign.isWanted = true }
            let message: RequestLine
            do { message = try JSONText.decode(RequestLine.self, from: line, what: "a request") } catch {
                let failure = Failure(error, doing: "cannot read a request").on(worker.host.name.text)
                if let id = try? JSONText.decode(RequestNumber.self, from: line, what: "a request").id {
                    try send(ReplyLine(id: id, reply: .failed(failure), totalMilliseconds: 0, activeMilliseconds: 0))
                }
                throw failure
            }
            let started = ContinuousClock.now
            let before = worker.host.activity.total
            let reply = await answer(message.request, &session)
            let active = worker.host.activity.total - before
            try send(
                ReplyLine(
                    id: message.id, reply: reply,
                    totalMilliseconds: started.duration(to: .now).milliseconds, activeMilliseconds: active.milliseconds)
            )
        }
    }

    private func answer(_ request: HostRequest, _ session: inout AgentSession) async -> HostReply {
        do { return try await session.answer(request) } catch {
            return .failed(Failure(error, doing: "the agent failed").on(worker.host.name.text))
        }
    }

    private func send(_ reply: ReplyLine) throws {
        try output.write(Array((try JSONText.encode(reply) + "\n").utf8), limit: .seconds(30))
    }
}

/// Empty lines to a peer that asks for nothing: only something that is sent shows that the peer's host lost power, and without
/// it an agent would wait for its next request for ever.
private final class SignOfLife: Sendable {
    static let interval = Duration.seconds(20)
    private let descriptor: Int32
    private let wanted = Mutex(true)

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Off while a request is worked on: its answer must not be cut in two.
    var isWanted: Bool {
        get { wanted.withLock(\.self) }
        set { wanted.withLock { $0 = newValue } }
    }

    /// One byte that never waits. Where it cannot be written the input has ended too, or will.
    func give() {
        wanted.withLock { isWanted in
            if isWanted { _ = Glibc.write(descriptor, "\n", 1) }
        }
    }
}

/// The part of a request that tells which answer is whose.
private struct RequestNumber: Decodable { var id: Int }

extension Duration {
    /// Whole milliseconds.
    public var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

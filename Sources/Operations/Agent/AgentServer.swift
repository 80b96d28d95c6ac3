import HostModel
import Hosts
import ImageStream

/// The agent's side of a connection: requests from standard input, one at a time, replies to standard output.
public struct AgentServer: Sendable {
    private let worker: HostWorker
    private let input: BoundedIO
    private let output: BoundedIO

    /// - Parameters: the descriptors are for tests.
    public init(worker: HostWorker, input: Int32 = 0, output: Int32 = 1) {
        self.worker = worker
        self.input = BoundedIO(descriptor: input, purpose: "the agent's input")
        self.output = BoundedIO(descriptor: output, purpose: "the agent's output")
    }

    /// Serves until the input ends. A line that is no request is answered with what is wrong with it where it has a number,
    /// and ends the connection.
    public func run() async throws {
        let lines = LineReader(input)
        var session = AgentSession(worker: worker)
        while let line = try await lines.next(longest: AgentProtocol.longestLine) {
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

/// The part of a request that tells which answer is whose.
private struct RequestNumber: Decodable { var id: Int }

extension Duration {
    /// Whole milliseconds.
    public var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

import HostModel
import Hosts
import ImageStream

/// The agent's side of a connection: requests from standard input, one at a time, replies to standard output.
public struct AgentServer: Sendable {
    private let worker: HostWorker
    private let input = BoundedIO(descriptor: 0, purpose: "the agent's input")
    private let output = BoundedIO(descriptor: 1, purpose: "the agent's output")

    public init(worker: HostWorker) { self.worker = worker }

    /// Serves until the input ends. A line that is no request ends the connection.
    public func run() async throws {
        let lines = LineReader(input)
        var greeted = false
        while let line = try await lines.next(longest: AgentProtocol.longestLine) {
            let message = try JSONText.decode(RequestLine.self, from: line, what: "a request")
            let started = ContinuousClock.now
            let before = worker.host.activity.total
            let reply = await answer(message.request, greeted: &greeted)
            let active = worker.host.activity.total - before
            try send(
                ReplyLine(
                    id: message.id, reply: reply,
                    totalMilliseconds: started.duration(to: .now).milliseconds, activeMilliseconds: active.milliseconds)
            )
        }
    }

    private func answer(_ request: HostRequest, greeted: inout Bool) async -> HostReply {
        do {
            if case .hello = request {
                greeted = true
            } else if !greeted {
                throw Failure(.refused, "the agent was not greeted first")
            }
            return try await worker.handle(request)
        } catch {
            return .failed(Failure(error, doing: "the agent failed").on(worker.host.name.text))
        }
    }

    private func send(_ reply: ReplyLine) throws {
        try output.write(Array((try JSONText.encode(reply) + "\n").utf8), limit: .seconds(30))
    }
}

extension Duration {
    /// Whole milliseconds.
    public var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

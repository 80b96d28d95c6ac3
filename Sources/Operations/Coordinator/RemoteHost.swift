import HostModel
import Hosts
import Synchronization

/// The other host, through its agent. Connects when it is first asked, and again after a lost connection.
public final class RemoteHost: Sendable {
    public let name: HostName
    private let version: String
    private let local: HostContext
    private let connection = Mutex<AgentConnection?>(nil)

    public init(_ name: HostName, from local: HostContext, version: String) {
        self.name = name
        self.local = local
        self.version = version
    }

    /// Asks the agent. `.unreachable` or `.outcomeUnknown` leave open whether the request took effect.
    public func ask(_ request: HostRequest, limit: Duration) async throws -> HostReply {
        let connection = try await connected(within: min(limit, .seconds(60)))
        do {
            return try await connection.ask(request, limit: limit)
        } catch let failure as Failure where failure.code == .unreachable {
            drop()
            throw failure
        }
    }

    /// Performs a step there.
    public func perform(_ order: StepOrder, limit: Duration) async throws -> StepResult {
        guard case .performed(let result) = try await ask(.perform(order), limit: limit) else {
            throw outOfTurn()
        }
        return result
    }

    public func replicas(_ request: HostRequest) async throws -> [VolumeReplica] {
        guard case .replicas(let replicas) = try await ask(request, limit: .seconds(30)) else { throw outOfTurn() }
        return replicas
    }

    public func survey(_ query: SurveyQuery) async throws -> HostSurvey {
        guard case .survey(let survey) = try await ask(.survey(query), limit: .seconds(120)) else { throw outOfTurn() }
        return survey
    }

    /// Asks something about disks that both hosts see.
    func share(_ order: ShareOrder) async throws -> ShareAnswer {
        guard case .share(let answer) = try await ask(.share(order, by: local.name), limit: order.limit) else {
            throw outOfTurn()
        }
        return answer
    }

    public func checksum(_ request: HostRequest, limit: Duration) async throws -> String {
        guard case .checksum(let sum) = try await ask(request, limit: limit) else { throw outOfTurn() }
        return sum
    }

    /// Who answers at the other end.
    public func hello() async throws -> HelloReply {
        let request = HostRequest.hello(protocolVersion: AgentProtocol.version, host: local.name.text)
        guard case .hello(let reply) = try await ask(request, limit: .seconds(30)) else { throw outOfTurn() }
        return reply
    }

    /// Ends the connection.
    public func close() {
        drop()
    }

    private func drop() {
        let old = connection.withLock { held -> AgentConnection? in
            defer { held = nil }
            return held
        }
        old?.close()
    }

    /// - Parameter limit: for the greeting of a new connection; who asks for little does not wait long for that either.
    private func connected(within limit: Duration) async throws -> AgentConnection {
        if let open = connection.withLock({ $0 }) { return open }
        let fresh = try AgentConnection(to: name, activity: local.activity)
        do {
            let reply = try await fresh.ask(
                .hello(protocolVersion: AgentProtocol.version, host: local.name.text), limit: limit)
            guard case .hello(let hello) = reply else { throw outOfTurn() }
            guard hello.protocolVersion == AgentProtocol.version else {
                throw Failure(
                    .refused, "\(name) speaks version \(hello.protocolVersion) of the agent's protocol",
                    why: "this host, xenlvs \(version), speaks version \(AgentProtocol.version)",
                    remedy: "install the same version of xenlvs on both hosts")
            }
            guard try MachineIdentity.read() != hello.machine else {
                throw Failure(
                    .refused, "\(name) is this very host", why: "its machine identity is the same",
                    remedy: "give another host with --to")
            }
        } catch {
            fresh.close()
            throw error
        }
        connection.withLock { $0 = fresh }
        return fresh
    }

    private func outOfTurn() -> Failure {
        Failure(
            .failed, "\(name) gave an answer that does not fit the request", remedy: "install the same version on both")
    }
}

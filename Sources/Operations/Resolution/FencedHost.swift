import HostModel
import Hosts
import Migration

/// Looks at the host that an operator calls dead before that is believed.
public enum FencedHost {
    private static let limit = Duration.seconds(20)

    /// Throws `.refused` where `host` is not the other one of the migration.
    public static func requirePeer(_ host: HostName, of spec: MigrationSpec, _ role: Role) throws {
        let peer = spec.endpoint(role.peer).name
        guard host == peer else {
            throw Failure(
                .refused, "\(host) is not the other host of migration \(spec.id)",
                why: "this host is its \(role.rawValue), its \(role.peer.rawValue) is \(peer)",
                remedy: "if \(peer) is lost for good, give it: --fenced \(peer)")
        }
    }

    /// Throws `.refused` where the host answers over ssh after all, if only to say that it lets nobody in.
    public static func requireSilence(of name: HostName, from host: HostContext, for id: MigrationID) async throws {
        let answer: String
        do {
            let connection = try AgentConnection(to: name, activity: host.activity)
            defer { connection.close() }
            let hello = HostRequest.hello(protocolVersion: AgentProtocol.version, host: host.name.text)
            _ = try await connection.ask(hello, limit: limit)
            answer = "its agent answers"
        } catch {
            let failure = Failure(error, doing: "cannot ask \(name)")
            guard let words = sign(of: failure) else { return }
            answer = words
        }
        throw Failure(
            .refused, "\(name) is not dead", why: "over ssh \(answer)",
            remedy: "use 'xenlvs migration resume \(id)' or abort; to go on without it, switch it off first")
    }

    /// What shows that a host lives although its agent has not greeted us; nil where nothing does.
    static func sign(of failure: Failure) -> String? {
        switch failure.code {
        case .unreachable, .outcomeUnknown:
            let words = failure.why ?? ""
            // A host that boots refuses connections until its sshd is there, and one that is overloaded resets them.
            let signs = [
                "Permission denied", "Host key verification failed", "command not found", "not found",
                "Connection refused", "Connection reset", "Connection closed", "kex_exchange_identification",
            ]
            return signs.contains { words.contains($0) } ? "it says: \(words)" : nil
        case .usage, .notFound, .refused, .busy, .failed, .inconsistent, .needsRecovery, .takenOver, .runsUndecided,
            .interrupted:
            return "its agent says: \(failure.what)"
        }
    }
}

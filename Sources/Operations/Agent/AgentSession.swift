import HostModel
import Migration

/// What the host at the other end of one connection may have done here.
///
/// An agent serves the target's side of migrations only, and each of them only to the host that it comes from: a host that
/// may reach the agent may not drive what this host is the source of, nor what another host has begun.
struct AgentSession {
    let worker: HostWorker
    /// The host that has greeted.
    private var peer: HostName?

    init(worker: HostWorker) { self.worker = worker }

    /// Answers one request. Throws what becomes a `.failed` reply.
    mutating func answer(_ request: HostRequest) async throws -> HostReply {
        if case .hello(_, let text) = request {
            let name = try greeting(text)
            let reply = try await worker.handle(request)
            peer = name
            return reply
        }
        guard let peer else { throw Failure(.refused, "the agent was not greeted first") }
        try RequestLimits.check(request)
        try worker.restriction?.check(request)
        try admit(request, from: peer)
        let reply = try await worker.handle(request)
        guard let restriction = worker.restriction, case .survey(let survey) = reply, case .survey(let query) = request
        else { return reply }
        return .survey(restriction.visible(survey, asked: query))
    }

    /// A connection belongs to one host from its first greeting on.
    private func greeting(_ text: String) throws(Failure) -> HostName {
        let name = try HostName(text)
        if let peer, peer != name {
            throw Failure(.refused, "\(name) cannot use this connection", why: "it was opened by \(peer)")
        }
        try worker.restriction?.check(name)
        return name
    }

    private func admit(_ request: HostRequest, from peer: HostName) throws {
        switch request {
        case .hello, .survey: break
        case .perform(let order):
            // What a target does without its source is its own operator's word.
            guard order.role == .target, order.step.side == .target, order.step != .claimTarget else {
                throw Failure(
                    .refused, "the step '\(order.step.rawValue)' is not for another host to order",
                    why: "an agent performs the steps of a migration's target alone")
            }
            try check(order.spec, from: peer)
        case .replicas(let id), .verify(let id, _, _), .explain(let id, _): _ = try received(id, from: peer)
        case .reconnect(let id, _, _), .checksum(let id, _):
            let migration = try received(id, from: peer)
            try worker.checkTiming(.connectTarget, migration)
            try worker.requireOwnVolumes(migration)
        case .share(_, let host):
            guard host == peer else { throw Failure(.refused, "\(peer) cannot speak for \(host)") }
        case .mirror(let update):
            guard try received(update.id, from: peer).spec.plan == update.machine.plan else {
                throw Failure(.refused, "the plan of migration \(update.id) differs from what was agreed on")
            }
        }
    }

    /// A migration of this host's journal that `peer` may ask about.
    private func received(_ id: MigrationID, from peer: HostName) throws -> RecordedMigration {
        let migration = try worker.recorded(id)
        guard migration.role == .target else {
            throw Failure(.refused, "this host is the \(migration.role.rawValue) of migration \(id)")
        }
        try check(migration.spec, from: peer)
        return migration
    }

    private func check(_ spec: MigrationSpec, from peer: HostName) throws(Failure) {
        guard spec.source.name == peer else {
            throw Failure(
                .refused, "\(peer) has no part in migration \(spec.id)", why: "it comes from \(spec.source.name)",
                remedy: "only the source drives a migration; see that 'host' in its xenlvs.yaml has not changed since")
        }
        try worker.restriction?.check(spec)
    }
}

/// How much of anything one request may carry, and which run of a migration it may claim to be.
enum RequestLimits {
    static let mostVolumes = MigrationSpec.mostVolumes
    static let mostEvents = 10_000
    /// Nobody resumes a migration so often; a higher number would only lock the true runs out.
    static let lastEpoch: Int64 = 1 << 31

    static func check(_ request: HostRequest) throws(Failure) {
        switch request {
        case .hello, .replicas, .verify, .reconnect, .explain, .checksum: return
        case .share(let order, _): try order.check()
        case .survey(let query): try check(query.volumes.count, "volumes", atMost: mostVolumes)
        case .perform(let order):
            try check(epoch: order.epoch)
            try check(order.sourceReplicas?.count ?? 0, "replicas", atMost: mostVolumes)
        case .mirror(let update):
            try check(epoch: update.epoch)
            try check(update.events.count, "events", atMost: mostEvents)
        }
    }

    static func check(epoch: Int64) throws(Failure) {
        guard (0...lastEpoch).contains(epoch) else { throw Failure(.refused, "\(epoch) is no run of a migration") }
    }

    private static func check(_ count: Int, _ what: String, atMost limit: Int) throws(Failure) {
        guard count <= limit else { throw Failure(.refused, "a request with \(count) \(what) was refused") }
    }
}

import Synchronization

/// Measures how long at least one command, wait or remote call was under way: the rest of a run is xenlvs's own time.
public final class ActivityClock: Sendable {
    private struct State {
        var depth = 0
        var since = ContinuousClock.now
        var total = Duration.zero
    }

    private let state = Mutex(State())

    public init() {}

    public func begin() {
        state.withLock { state in
            if state.depth == 0 { state.since = .now }
            state.depth += 1
        }
    }

    public func end() {
        state.withLock { state in
            state.depth -= 1
            if state.depth == 0 { state.total += state.since.duration(to: .now) }
        }
    }

    /// Takes back time that passed as activity here but was xenlvs's own elsewhere.
    public func subtract(_ own: Duration, notMoreThan limit: Duration) {
        state.withLock { $0.total -= min(own, limit) }
    }

    /// Runs `body` as activity.
    public func during<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        begin()
        defer { end() }
        return try await body()
    }

    /// The time so far.
    public var total: Duration {
        state.withLock { $0.depth > 0 ? $0.total + $0.since.duration(to: .now) : $0.total }
    }
}

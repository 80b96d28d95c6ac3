import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Keeps SIGINT, SIGTERM and SIGHUP, which a lost session sends, from ending this process, until `stop`.
public final class SignalWatch: Sendable {
    private let number: Int

    /// - Parameter handler: is called for each signal that comes.
    public init(_ handler: @escaping @Sendable () -> Void) { number = WatchedSignals.shared.add(handler) }

    /// The signals do again what they did before.
    public func stop() { WatchedSignals.shared.remove(number) }

    /// Runs `body` to its end, whatever signal comes meanwhile: for what would leave somebody standing still.
    /// - Parameter say: is called for each.
    /// - Returns: also whether one came.
    public static func finishing<Value>(
        told say: @escaping @Sendable () -> Void = {}, _ body: () async throws -> Value
    ) async rethrows -> (value: Value, wasInterrupted: Bool) {
        let hasCome = Flag()
        let signals = SignalWatch {
            hasCome.set()
            say()
        }
        defer { signals.stop() }
        let value = try await body()
        return (value, hasCome.isSet)
    }

    private final class Flag: Sendable {
        private let state = Mutex(false)
        var isSet: Bool { state.withLock { $0 } }
        func set() { state.withLock { $0 = true } }
    }
}

/// libdispatch takes a signal over once in the life of a process, and does not notice that somebody else has changed what it
/// does: so each has one source, for good.
private final class WatchedSignals: Sendable {
    static let shared = WatchedSignals()

    private struct State {
        var handlers: [Int: @Sendable () -> Void] = [:]
        var last = 0
        var sources: [any DispatchSourceSignal] = []
    }

    private let state = Mutex(State())

    func add(_ handler: @escaping @Sendable () -> Void) -> Int {
        state.withLock { state in
            if state.sources.isEmpty { state.sources = Self.takeOver() }
            state.last += 1
            state.handlers[state.last] = handler
            return state.last
        }
    }

    func remove(_ number: Int) { state.withLock { _ = $0.handlers.removeValue(forKey: number) } }

    /// Returns once none of them is lost any more. Each has a queue of its own: one may have to wait for this to return.
    private static func takeOver() -> [any DispatchSourceSignal] {
        let isThere = DispatchSemaphore(value: 0)
        let sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            let isIgnored = address(signal(number, SIG_IGN)) == address(SIG_IGN)
            let queue = DispatchQueue(label: "signal \(number)")
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { shared.hasCome(number, isIgnored: isIgnored) }
            source.setRegistrationHandler { isThere.signal() }
            source.resume()
            return source
        }
        for _ in sources { isThere.wait() }
        return sources
    }

    private static func address(_ handler: sighandler_t?) -> UInt { unsafeBitCast(handler, to: UInt.self) }

    private func hasCome(_ number: Int32, isIgnored: Bool) {
        let handlers = state.withLock { Array($0.handlers.values) }
        for handler in handlers { handler() }
        // Nobody watches any more.
        guard handlers.isEmpty, !isIgnored else { return }
        signal(number, SIG_DFL)
        kill(getpid(), number)
    }
}

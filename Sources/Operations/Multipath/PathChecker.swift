import Dispatch
import HostModel
import Hosts

/// Checks the paths of xenlvs's own maps for as long as another program lives, beside whatever else that does.
///
/// Where another process of the host does it already, it waits for its turn. A map that is made later is found within a second.
public final class PathChecker: Sendable {
    private let task: Task<Void, Never>
    private let done: DispatchSemaphore

    /// How often everything is looked at, and how often the turn is tried.
    private static let pause = Duration.seconds(1)
    /// Whoever asks whether paths are checked holds the lock for a moment: so many failures in a row are no chance.
    private static let patience = 3

    /// Begins. Where nobody else checks paths, it does by the time that this returns.
    /// - Parameter say: told of what an operator should know.
    public convenience init(paths: Paths, say: @escaping @Sendable (String) -> Void) {
        self.init(pause: Self.pause, say: say) { try PathWatch(paths: paths, say: say) }
    }

    init(
        pause: Duration, say: @escaping @Sendable (String) -> Void, begin: @escaping @Sendable () throws -> PathWatch
    ) {
        let done = DispatchSemaphore(value: 0)
        self.done = done
        var turn = Turn(say: say, begin: begin)
        let first = turn.take()
        let start = turn
        task = Task {
            var turn = start
            var watch = first
            while !Task.isCancelled {
                if watch == nil { watch = turn.take() }
                await watch?.tick()
                try? await Task.sleep(for: pause)
            }
            await watch?.end()
            done.signal()
        }
    }

    /// Ends it: requests that have no path fail from now on, since nobody would end their waiting.
    /// - Returns: whether that was done within `limit`; device-mapper may hang.
    public func end(within limit: Duration) -> Bool {
        task.cancel()
        return done.wait(timeout: .now() + .milliseconds(Int(limit / .milliseconds(1)))) == .success
    }

    /// Tries to become the one process that checks paths.
    private struct Turn: Sendable {
        let say: @Sendable (String) -> Void
        let begin: @Sendable () throws -> PathWatch
        var failures = 0
        var complaint: String?

        init(say: @escaping @Sendable (String) -> Void, begin: @escaping @Sendable () throws -> PathWatch) {
            self.say = say
            self.begin = begin
        }

        mutating func take() -> PathWatch? {
            do {
                let watch = try begin()
                if complaint != nil { say("paths are checked here now") }
                return watch
            } catch {
                failures += 1
                let text = Failure(error, doing: "cannot check paths").description
                if failures >= PathChecker.patience, text != complaint {
                    say("paths are not checked here: \(text)")
                    complaint = text
                }
                return nil
            }
        }
    }
}

import Dispatch
import HostModel
import Hosts
import Synchronization

/// Looks at one path again and again, on threads of their own: a look may hang for as long as the device does.
final class PathProbe: Sendable {
    private struct State {
        var isLooking = false
        var began = ContinuousClock.now
        var result: PathHealth?
    }

    /// A look that takes longer counts as one that found the path bad.
    private static let patience = Duration.seconds(12)
    private let state = Mutex(State())

    /// What the last look gave, where there is news; begins the next one where none is under way.
    func news(_ look: @escaping @Sendable () -> PathHealth) -> PathHealth? {
        let (result, begins) = state.withLock { state -> (PathHealth?, Bool) in
            if state.isLooking {
                let time = state.began.duration(to: .now)
                guard time > Self.patience else { return (nil, false) }
                return (.bad("it has given no answer for \(time.components.seconds) s"), false)
            }
            defer { (state.result, state.isLooking, state.began) = (nil, true, .now) }
            return (state.result, true)
        }
        guard begins else { return result }
        do throws(Failure) {
            try BackgroundThread.start { [self] in
                let health = look()
                state.withLock { ($0.isLooking, $0.result) = (false, health) }
            }
        } catch {
            state.withLock { ($0.isLooking, $0.result) = (false, nil) }
        }
        return result
    }
}

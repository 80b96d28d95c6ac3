import Glibc
import HostModel

/// A thread of its own for what may block for long: Dispatch's pool has an end.
public enum BackgroundThread {
    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` on a new thread. Throws `.failed` where there can be none.
    public static func start(_ body: @escaping @Sendable () -> Void) throws(Failure) {
        var thread = pthread_t()
        let work = Unmanaged.passRetained(Work(body))
        let status = pthread_create(
            &thread, nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body()
                return nil
            }, work.toOpaque())
        guard status == 0 else {
            work.release()
            throw Failure.system("cannot start a thread", errno: status)
        }
        pthread_detach(thread)
    }
}

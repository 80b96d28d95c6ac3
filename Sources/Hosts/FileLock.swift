import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// An exclusive lock on a file, held until the value goes away or the process ends, however it ends.
public struct FileLock: ~Copyable, Sendable {
    let descriptor: Int32

    /// Takes the lock at `path` at once. Throws `.busy`, naming `purpose`, where another process holds it.
    public init(path: String, purpose: String) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw Failure(.failed, "cannot open the lock file \(path)", why: String(cString: strerror(errno)))
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            close(descriptor)
            if reason == EWOULDBLOCK {
                throw Failure(
                    .busy, "\(purpose) is under way in another process", why: "it holds \(path)",
                    remedy: "wait for it to end")
            }
            throw Failure(.failed, "cannot lock \(path)", why: String(cString: strerror(reason)))
        }
        self.descriptor = descriptor
    }

    /// Takes the lock at `path` at once; nil where another process holds it.
    public static func ifFree(path: String, purpose: String) throws -> FileLock? {
        do { return try FileLock(path: path, purpose: purpose) } catch {
            guard (error as? Failure)?.code == .busy else { throw error }
            return nil
        }
    }

    /// Takes the lock at `path`, waiting up to `limit` for whoever holds it. Throws `.busy` after that.
    public static func waiting(path: String, purpose: String, limit: Duration) async throws -> FileLock {
        let deadline = ContinuousClock.now + limit
        while true {
            do { return try FileLock(path: path, purpose: purpose) } catch let failure as Failure {
                guard failure.code == .busy, ContinuousClock.now < deadline else { throw failure }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// The same for a file that its other users remove when they let it go, as LVM does: what was locked has to be what has
    /// the name by then.
    public static func waiting(sharedAt path: String, purpose: String, limit: Duration) async throws -> FileLock {
        let deadline = ContinuousClock.now + limit
        while true {
            let lock = try await waiting(path: path, purpose: purpose, limit: deadline - ContinuousClock.now)
            if lock.isOf(path) { return lock }
        }
    }

    private func isOf(_ path: String) -> Bool {
        var (held, named) = (stat(), stat())
        return fstat(descriptor, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino
            && held.st_dev == named.st_dev
    }

    /// Leaves the lock to the programs that hold it as well: it is given up when the last of them ends.
    public consuming func leave() {
        close(descriptor)
        discard self
    }

    /// The lock is given up in words: a child that another thread has just forked, and that has not begun its program yet,
    /// holds the same open file, and would keep the lock beyond the `close`.
    deinit {
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}

extension CommandRunner {
    /// Runs `command`, which holds `lock` as well for as long as it lives, also where this process is killed meanwhile. Whoever
    /// does not know at the end whether it still runs has to `leave` the lock to it.
    @discardableResult
    public func run(_ command: Command, holding lock: borrowing FileLock) async throws -> CommandResult {
        try await run(command, input: lock.descriptor)
    }
}

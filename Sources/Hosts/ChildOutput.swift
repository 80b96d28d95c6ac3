import HostModel
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Tells the lines that are appended to a file, soon after they are.
final class Listener: Sendable {
    private static let interval = Duration.milliseconds(5)
    private let descriptor: Int32
    private let hearing: @Sendable (String) -> Void
    private let state = Mutex((position: off_t(0), pending: [UInt8](), hasEnded: false))

    init(_ descriptor: Int32, _ hearing: @escaping @Sendable (String) -> Void) {
        self.descriptor = descriptor
        self.hearing = hearing
    }

    /// Until it is cancelled.
    func start() -> Task<Void, any Error> {
        Task { [self] in
            while true {
                try await Task.sleep(for: Self.interval)
                read()
            }
        }
    }

    /// - Parameter isLast: nothing is read any more after this: the descriptor may be another file's by then.
    func read(isLast: Bool = false) {
        state.withLock { state in
            guard !state.hasEnded else { return }
            state.hasEnded = isLast
            var buffer = [UInt8](repeating: 0, count: 16_384)
            while true {
                let count = pread(descriptor, &buffer, buffer.count, state.position)
                guard count > 0 else { return }
                state.position += off_t(count)
                state.pending += buffer[..<count]
                while let end = state.pending.firstIndex(of: UInt8(ascii: "\n")) {
                    hearing(String(decoding: state.pending[..<end], as: UTF8.self))
                    state.pending.removeSubrange(...end)
                }
            }
        }
    }
}

/// A file without a name, in memory, that a child writes to for as long as it likes, whether we live or not.
struct MemoryFile: ~Copyable {
    let descriptor: Int32

    init() throws {
        // memfd_create is not among what Swift shows of glibc. This, too, is closed when another child is started.
        let name = "/xenlvs-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        descriptor = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0o600)
        guard descriptor >= 0 else {
            throw Failure(.failed, "cannot make a file in /dev/shm", why: String(cString: strerror(errno)))
        }
        shm_unlink(name)
    }

    deinit { close(descriptor) }

    /// The text of the first `limit` bytes, and whether there are more.
    func beginning(_ limit: Int) throws -> (String, truncated: Bool) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw Failure(.failed, "cannot read what a command printed", why: String(cString: strerror(errno)))
        }
        var bytes = [UInt8](repeating: 0, count: min(limit, Int(status.st_size)))
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return (String(decoding: bytes.prefix(max(0, count)), as: UTF8.self), Int(status.st_size) > limit)
    }
}

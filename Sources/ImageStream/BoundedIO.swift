import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// Blocking reads and writes on a descriptor, each with a time limit, for a thread of their own.
///
/// The descriptor is made non-blocking, so that a peer that hangs is noticed by `poll` and not waited for.
public struct BoundedIO: Sendable {
    public let descriptor: Int32
    /// What is at the other end, for messages: `the image channel to nodeb`.
    public let purpose: String

    public init(descriptor: Int32, purpose: String) {
        self.descriptor = descriptor
        self.purpose = purpose
        let flags = fcntl(descriptor, F_GETFL)
        if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
    }

    /// Opens an existing file for writing at its end.
    public init(appendingTo path: String, purpose: String) throws {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            throw Failure(.failed, "cannot write \(path)", why: String(cString: strerror(errno)))
        }
        self.init(descriptor: descriptor, purpose: purpose)
    }

    public func close() { Glibc.close(descriptor) }

    /// Writes all of `bytes`. Throws `.outcomeUnknown` when nothing could be written for `limit`, `.unreachable` when the
    /// reader is gone.
    public func write(_ bytes: UnsafeRawBufferPointer, limit: Duration) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } else if count < 0, errno == EAGAIN {
                try wait(for: Int16(POLLOUT), limit)
            } else if count < 0, errno != EINTR {
                throw broken(errno)
            }
        }
    }

    public func write(_ bytes: [UInt8], limit: Duration) throws {
        try bytes.withUnsafeBytes { try write($0, limit: limit) }
    }

    /// Reads up to `buffer.count` bytes; 0 is the end of the stream.
    public func read(into buffer: UnsafeMutableRawBufferPointer, limit: Duration) throws -> Int {
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            switch errno {
            case EAGAIN: try wait(for: Int16(POLLIN), limit)
            case EINTR: continue
            default: throw broken(errno)
            }
        }
    }

    /// Fills the whole of `buffer`; false where the stream ends before its first byte, a failure where it ends within.
    public func fill(_ buffer: UnsafeMutableRawBufferPointer, limit: Duration) throws -> Bool {
        var filled = 0
        while filled < buffer.count {
            let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]), limit: limit)
            if count == 0 {
                if filled == 0 { return false }
                throw Failure(.unreachable, "\(purpose) broke off", why: "it ended in the middle of a message")
            }
            filled += count
        }
        return true
    }

    private func wait(for event: Int16, _ limit: Duration) throws {
        var request = pollfd(fd: descriptor, events: event, revents: 0)
        let milliseconds = limit.components.seconds * 1000 + limit.components.attoseconds / 1_000_000_000_000_000
        let ready = poll(&request, 1, Int32(clamping: max(1, milliseconds)))
        if ready == 0 { throw Failure(.outcomeUnknown, "\(purpose) is silent", why: "nothing moved for \(limit)") }
        if ready < 0, errno != EINTR { throw broken(errno) }
    }

    private func broken(_ code: Int32) -> Failure {
        // A full disk is this host's trouble, not a lost peer.
        let kind: Failure.Code = code == ENOSPC || code == EDQUOT || code == EIO ? .failed : .unreachable
        return Failure(kind, "\(purpose) broke off", why: String(cString: strerror(code)))
    }
}

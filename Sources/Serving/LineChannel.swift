import AoE
import CLinux
import Glibc
import HostModel

/// Lines over a socket, of a bounded length and within bounded time. It closes the socket.
struct LineChannel: ~Copyable {
    enum Ending: Error, Equatable {
        case closed
        case late
        case tooLong
        case broken(Int32)
    }

    private let descriptor: Int32
    private let limit: Int
    /// What has been received and not been asked for yet.
    private var received: [UInt8] = []

    /// - Parameter limit: the most bytes of a line that is received.
    init(_ descriptor: Int32, limit: Int) {
        self.descriptor = descriptor
        self.limit = limit
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    deinit { close(descriptor) }

    /// The next line without its end. Throws how it ended instead; `.closed` also for a line that was cut off.
    mutating func receive(within milliseconds: Int64) throws(Ending) -> [UInt8] {
        let deadline = Clock.milliseconds() + milliseconds
        var looked = 0
        while true {
            if let end = received[looked...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(received[..<end])
                received.removeFirst(end + 1)
                return line
            }
            looked = received.count
            guard looked <= limit else { throw .tooLong }
            try wait(for: POLLIN, until: deadline)
            try take()
        }
    }

    private mutating func take() throws(Ending) {
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        if count > 0 {
            received += bytes[..<count]
        } else if count == 0 {
            throw .closed
        } else if errno != EAGAIN, errno != EINTR {
            throw .broken(errno)
        }
    }

    /// Sends all bytes.
    borrowing func send(_ bytes: [UInt8], within milliseconds: Int64) throws(Ending) {
        let deadline = Clock.milliseconds() + milliseconds
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                try wait(for: POLLOUT, until: deadline)
            } else if errno != EINTR {
                throw .broken(errno)
            }
        }
    }

    private borrowing func wait(for event: Int32, until deadline: Int64) throws(Ending) {
        let left = deadline - Clock.milliseconds()
        guard left > 0 else { throw .late }
        var request = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        if poll(&request, 1, Int32(clamping: left)) == 0 { throw .late }
    }
}

/// A socket, by its name in the file system (unix(7)).
public enum ControlSocket {
    /// Calls `body` with the socket's address. Throws `.usage` for a path that is too long for one.
    public static func withAddress<Result>(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) throws(Failure) -> Result {
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: name.sun_path) else {
            throw Failure(.usage, "cannot use the socket \(path)", why: "its path is too long")
        }
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
        return withSocketAddress(name, body)
    }

    public static func make() throws(Failure) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure.system("cannot make a socket") }
        return descriptor
    }
}

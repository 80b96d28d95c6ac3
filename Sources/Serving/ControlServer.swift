import AoE
import CLinux
import Glibc
import HostModel
import Hosts
import Synchronization

/// The daemon's end of its socket: lets root ask, a bounded number of connections at a time, each within bounded time.
public final class ControlServer: Sendable {
    private static let connectionLimit: Int32 = 16
    private static let lineLimit = 64 << 10
    /// For a request to come, from when it may.
    private static let receiveMilliseconds: Int64 = 5_000
    private static let sendMilliseconds: Int64 = 10_000
    /// Requests over one connection.
    private static let requestLimit = 1000

    private let path: String
    private let descriptor: Int32
    private let answer: @Sendable (ControlRequest) -> ControlReply
    private let connections = Atomic<Int32>(0)

    /// Listens on a socket at `path`, 0600. Only for the one process that may: what stands there is replaced.
    public init(
        at path: String, answer: @escaping @Sendable (ControlRequest) -> ControlReply
    ) throws(Failure) {
        let what = "cannot listen on \(path)"
        let descriptor = try ControlSocket.make()
        var isComplete = false
        defer { if !isComplete { close(descriptor) } }
        if unlink(path) != 0, errno != ENOENT { throw Failure.system(what) }
        let former = umask(0o177)
        let status = try ControlSocket.withAddress(path) { bind(descriptor, $0, $1) == 0 ? 0 : errno }
        umask(former)
        guard status == 0 else { throw Failure.system(what, errno: status) }
        guard listen(descriptor, 64) == 0 else { throw Failure.system(what) }
        self.path = path
        self.descriptor = descriptor
        self.answer = answer
        isComplete = true
    }

    /// Serves on threads of its own, as long as the process lives.
    public func start() throws(Failure) {
        try BackgroundThread.start { [self] in
            while true { acceptOne() }
        }
    }

    /// Takes the socket away: nobody can connect any more.
    public func end() { unlink(path) }

    private func acceptOne() {
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else {
            // Out of descriptors, for example: not to be tried without end.
            if errno != EINTR, errno != ECONNABORTED { usleep(100_000) }
            return
        }
        _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
        let channel = Handover(LineChannel(connection, limit: Self.lineLimit))
        guard Self.isRoot(connection) else {
            return Self.refuse(channel, "only root may ask xenlvsd")
        }
        guard connections.add(1, ordering: .relaxed).newValue <= Self.connectionLimit else {
            connections.subtract(1, ordering: .relaxed)
            return Self.refuse(channel, "\(Self.connectionLimit) connections are open already")
        }
        do throws(Failure) {
            try BackgroundThread.start { [self] in
                converse(channel)
                connections.subtract(1, ordering: .relaxed)
            }
        } catch { connections.subtract(1, ordering: .relaxed) }
    }

    /// Who the peer was when it connected (SO_PEERCRED, unix(7)): process, user and group.
    private static func isRoot(_ connection: Int32) -> Bool {
        var credentials = (process: Int32(-1), user: UInt32.max, group: UInt32.max)
        var length = socklen_t(12)
        return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 && credentials.user == 0
    }

    private static func refuse(_ channel: Handover<LineChannel>, _ why: String) {
        guard let channel = channel.take() else { return }
        let reply = ControlReply.failure(Failure(.refused, "xenlvsd refuses the connection", why: why))
        // A new connection has room for a line.
        if let line = try? ControlLine.encode(reply) { try? channel.send(line, within: 0) }
    }

    private func converse(_ handover: Handover<LineChannel>) {
        guard var channel = handover.take() else { return }
        for _ in 0..<Self.requestLimit {
            let (reply, goesOn) = reply(to: &channel)
            guard let reply, let line = try? ControlLine.encode(reply) else { return }
            do throws(LineChannel.Ending) { try channel.send(line, within: Self.sendMilliseconds) } catch { return }
            if !goesOn { return }
        }
    }

    /// The reply to the next request, and whether another may follow; no reply where nobody waits for one.
    private func reply(to channel: inout LineChannel) -> (ControlReply?, Bool) {
        let line: [UInt8]
        do throws(LineChannel.Ending) { line = try channel.receive(within: Self.receiveMilliseconds) } catch {
            switch error {
            case .closed, .broken, .late: return (nil, false)
            case .tooLong:
                return (.failure(Failure(.usage, "a request is longer than \(Self.lineLimit) bytes")), false)
            }
        }
        do { return (answer(try ControlLine.decode(ControlRequest.self, from: line)), true) } catch {
            let failure = (error as? Failure) ?? Failure(.usage, "this is no request to xenlvsd")
            return (.failure(failure), false)
        }
    }
}

import CLinux
import Glibc
import HostModel
import Serving

/// What `xl migrate` runs as its transport: a child process of our own binary that hands its ends of `xl`'s pipes to the
/// coordinator and ends.
///
/// From then on nobody else has them: should the coordinator die, they are closed, and `xl` notices at once.
public enum TransportRelay {
    /// The word behind our binary's name.
    public static let word = "migrate-transport"

    /// The line for `xl`'s shell.
    static func line(_ socket: String) throws(Failure) -> String {
        guard let path = resolvedPath("/proc/self/exe") else {
            throw Failure.system("cannot find the file of this program")
        }
        return "exec \(Command.quoted(path)) \(word) -- \(Command.quoted(socket))"
    }

    /// Returns the exit code of the process.
    /// - Parameter arguments: the path of the coordinator's socket.
    public static func run(arguments: [String]) -> Int32 {
        do {
            guard let path = arguments.first, arguments.count == 1 else {
                throw Failure(.usage, "the transport is started by 'xl migrate' alone")
            }
            let descriptor = try ControlSocket.make()
            let status = try ControlSocket.withAddress(path) { connect(descriptor, $0, $1) == 0 ? 0 : errno }
            guard status == 0 else { throw Failure.system("cannot reach \(path)", errno: status) }
            let ends: [Int32] = [0, 1]
            guard xenlvs_send_descriptors(descriptor, ends, 2) == 2 else {
                throw Failure.system("cannot hand the stream over")
            }
            return 0
        } catch {
            let text = "xenlvs: \(error)\n"
            _ = text.withCString { write(2, $0, strlen($0)) }
            return 1
        }
    }
}

/// The coordinator's socket, on which it gets `xl`'s stream.
final class TransportListener {
    private let descriptor: Int32
    private let path: String

    /// Listens at `path`, in a directory that is root's alone. What stands there is replaced.
    init(at path: String) throws(Failure) {
        let what = "cannot listen on \(path)"
        descriptor = try ControlSocket.make()
        self.path = path
        if unlink(path) != 0, errno != ENOENT { throw Failure.system(what) }
        let status = try ControlSocket.withAddress(path) { bind(descriptor, $0, $1) == 0 ? 0 : errno }
        guard status == 0 else { throw Failure.system(what, errno: status) }
        guard listen(descriptor, 1) == 0 else { throw Failure.system(what) }
    }

    deinit {
        close(descriptor)
        unlink(path)
    }

    /// What the transport reads from and writes to; nil where it has not come within `milliseconds`. Blocks.
    func accept(within milliseconds: Int32) throws(Failure) -> (fromXL: Int32, toXL: Int32)? {
        let what = "cannot take the stream of 'xl migrate' over"
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, milliseconds) > 0 else { return nil }
        let connection = Glibc.accept(descriptor, nil, nil)
        guard connection >= 0 else { throw Failure.system(what) }
        defer { close(connection) }
        var answer = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
        guard poll(&answer, 1, 5_000) > 0 else { throw Failure(.failed, what, why: "its transport says nothing") }
        var ends = [Int32](repeating: -1, count: xenlvs_most_descriptors)
        guard xenlvs_receive_descriptors(connection, &ends) == 2 else { throw Failure.system(what) }
        return (ends[0], ends[1])
    }
}

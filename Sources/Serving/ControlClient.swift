import CLinux
import Glibc
import HostModel
import Hosts

/// A command's end of the daemon's socket.
public enum ControlClient {
    /// The answer about all exports holds their histograms.
    private static let answerLimit = 256 << 20
    private static let sendMilliseconds: Int64 = 5_000
    /// More than the daemon takes for anything: a removal waits up to 30 seconds for requests to end.
    private static let answerMilliseconds: Int64 = 90_000

    /// Asks this host's daemon, as below.
    public static func ask(_ request: ControlRequest, of paths: Paths) async throws -> [ExportStatus] {
        let path = ServingPaths(paths).socket
        return try await Blocking.run("xenlvs.daemon") { try ask(request, at: path) }
    }

    /// Asks the daemon and returns the exports it tells of. Throws what the daemon says; `.unreachable` where none runs,
    /// and `.outcomeUnknown` where it does not answer.
    public static func ask(_ request: ControlRequest, at path: String) throws(Failure) -> [ExportStatus] {
        var channel = LineChannel(try connect(path), limit: answerLimit)
        let line: [UInt8]
        do {
            // A daemon that refuses the connection says so and closes it, perhaps before it was asked.
            try? channel.send(try ControlLine.encode(request), within: sendMilliseconds)
            line = try channel.receive(within: answerMilliseconds)
        } catch {
            throw Failure(
                .outcomeUnknown, "xenlvsd has not answered", why: "the connection to \(path) ended: \(error)",
                remedy: "see 'xenlvs exports' and 'journalctl -u xenlvsd'")
        }
        switch try reply(line) {
        case .exports(let exports): return exports
        case .failure(let failure): throw failure
        }
    }

    private static func reply(_ line: [UInt8]) throws(Failure) -> ControlReply {
        do { return try ControlLine.decode(ControlReply.self, from: line) } catch {
            throw Failure(
                .outcomeUnknown, "cannot understand what xenlvsd answers", why: String(describing: error),
                remedy: "restart it after an upgrade: systemctl restart xenlvsd")
        }
    }

    private static func connect(_ path: String) throws(Failure) -> Int32 {
        let descriptor = try ControlSocket.make()
        let status = try ControlSocket.withAddress(path) { Glibc.connect(descriptor, $0, $1) == 0 ? 0 : errno }
        guard status == 0 else {
            close(descriptor)
            if status == EACCES || status == EPERM {
                throw Failure(
                    .refused, "cannot reach xenlvsd", why: "only root may use \(path)", remedy: "run this as root")
            }
            throw Failure(
                .unreachable, "xenlvsd does not run",
                why: status == ENOENT || status == ECONNREFUSED
                    ? "nothing listens on \(path)" : "\(path): \(String(cString: strerror(status)))",
                remedy: "start it with 'systemctl enable --now xenlvsd'; 'xenlvs aoe serve' works without it")
        }
        return descriptor
    }
}

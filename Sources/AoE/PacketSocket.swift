import CLinux
import Glibc
import HostModel

/// A plain packet socket for the few frames of a question on the wire.
struct PacketSocket: ~Copyable {
    private let descriptor: Int32

    init(_ interface: NetworkInterface) throws(Failure) {
        let kind = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_PACKET, kind, 0)
        guard descriptor >= 0 else {
            throw Failure(
                .failed, "cannot send frames on \(interface.name)", why: String(cString: strerror(errno)),
                remedy: "run it as root or with CAP_NET_RAW")
        }
        try interface.bind(descriptor, doing: "cannot send frames on \(interface.name)")
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) -> Bool { Glibc.send(descriptor, bytes, bytes.count, 0) == bytes.count }

    /// Gives `take` every frame that comes within the time, as long as more are wanted.
    func receive(
        forMilliseconds limit: Int64, while isMoreWanted: () -> Bool = { true }, _ take: ([UInt8]) -> Void
    ) {
        let deadline = Clock.milliseconds() + limit
        while isMoreWanted() {
            let left = deadline - Clock.milliseconds()
            guard left > 0 else { return }
            if let bytes = receive(waitingMilliseconds: Int32(left)) { take(bytes) }
        }
    }

    /// The next frame, no more of it than a frame of 9000 bytes payload has; nil where none came.
    private func receive(waitingMilliseconds: Int32) -> [UInt8]? {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, waitingMilliseconds) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: PacketPort.frameSize)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count < 0 ? nil : Array(bytes.prefix(count))
    }
}

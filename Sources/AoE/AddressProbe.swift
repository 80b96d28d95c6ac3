import CLinux
import Glibc
import HostModel

/// Makes sure that no other target answers for an address.
struct AddressProbe {
    let address: AoEAddress
    let interface: NetworkInterface

    private static let questions = 2
    private static let patienceMilliseconds: Int64 = 100

    /// Asks on the wire. Throws `.busy` where a target answers. An interface that is down has nobody to ask.
    func run() throws(Failure) {
        guard interface.isUp else { return }
        let port = try PacketSocket(interface)
        let tag = UInt32.random(in: .min ... .max)
        for _ in 0..<Self.questions {
            guard port.send(question(tag)) else { continue }
            let deadline = Clock.milliseconds() + Self.patienceMilliseconds
            while let left = Optional(deadline - Clock.milliseconds()), left > 0 {
                guard let answer = port.receive(waitingMilliseconds: Int32(left)) else { continue }
                if let holder = holder(answer, tag) { throw busy(holder) }
            }
        }
    }

    private func busy(_ holder: MACAddress) -> Failure {
        Failure(
            .busy, "cannot serve \(address) on \(interface.name)", why: "the target at \(holder) answers for it there",
            remedy: "give another --shelf or --slot, or end that target first")
    }

    /// A configuration query for the one address.
    private func question(_ tag: UInt32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Wire.minimumLength)
        bytes.withUnsafeMutableBytes { buffer in
            let frame = FrameWriter(base: buffer.baseAddress.unsafelyUnwrapped)
            frame.begin(
                to: .broadcast, from: interface.address, as: address, command: AoECommandCode.configuration.rawValue,
                flags: 0)
            frame.put(tag, at: Wire.Offset.tag)
            frame.put(Wire.version << 4 | ConfigurationCommand.read.rawValue, at: 29)
        }
        return bytes
    }

    /// Who answers the question; nil where the frame is no answer to it.
    private func holder(_ bytes: [UInt8], _ tag: UInt32) -> MACAddress? {
        bytes.withUnsafeBytes { buffer in
            guard buffer.count >= Wire.headerLength, let base = buffer.baseAddress else { return nil }
            let frame = FrameView(base, length: buffer.count)
            let isAnswer =
                frame.half(Wire.Offset.type) == Wire.etherType
                && frame.byte(Wire.Offset.versionAndFlags) & Wire.Flag.response != 0
                && frame.half(Wire.Offset.shelf) == address.shelf && frame.byte(Wire.Offset.slot) == address.slot
                && frame.tag == tag
            return isAnswer ? frame.source : nil
        }
    }
}

/// A plain packet socket for the few frames of a probe.
private struct PacketSocket: ~Copyable {
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

    func receive(waitingMilliseconds: Int32) -> [UInt8]? {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, waitingMilliseconds) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: Wire.replyLimit)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count < 0 ? nil : Array(bytes.prefix(count))
    }
}

/// The time since the host's start.
enum Clock {
    static func nanoseconds() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    static func milliseconds() -> Int64 { nanoseconds() / 1_000_000 }
}

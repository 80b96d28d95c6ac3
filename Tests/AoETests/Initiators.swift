import Glibc
import Testing

/// The initiators' end of a wire: sends requests and takes what comes back.
class Initiators {
    let clientAddress: [UInt8]
    private let descriptor: Int32
    private var nextTag: UInt32 = 1

    /// - Parameter descriptor: a packet socket, which goes with the value.
    init(descriptor: Int32, clientAddress: [UInt8]) {
        self.descriptor = descriptor
        self.clientAddress = clientAddress
    }

    deinit { close(descriptor) }

    static func address(of number: Int) -> [UInt8] { [0x02, 0, 0, 0, UInt8(number), 0x0a] }

    func send(_ request: Request) {
        let bytes = request.bytes(from: clientAddress)
        #expect(Glibc.send(descriptor, bytes, bytes.count, 0) == bytes.count)
    }

    /// The next frame that came; nil after `milliseconds` without one.
    func receive(milliseconds: Int32 = 5000) -> Reply? {
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, milliseconds) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 16384)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count < 0 ? nil : Reply(bytes: Array(bytes.prefix(count)))
    }

    /// Sends a request under a tag of its own and returns the reply to it.
    func ask(_ request: Request) throws -> Reply {
        var request = request
        if request.tag == 0 { request.tag = tag() }
        send(request)
        while true {
            let reply = try #require(receive(), "no answer to \(request)")
            if reply.tag == request.tag, reply.isResponse { return reply }
        }
    }

    func tag() -> UInt32 {
        nextTag += 1
        return nextTag
    }

    /// Sends a request that must not be answered, and then one that is: answers come in order.
    func isSilent(_ request: Request) throws -> Bool {
        var request = request
        if request.tag == 0 { request.tag = tag() }
        send(request)
        let control = Request(command: 1, argument: [0, 0, 0, 0, 0, 0, 0, 0], tag: tag())
        send(control)
        while true {
            let reply = try #require(receive(), "the target does not answer at all")
            if reply.tag == request.tag { return false }
            if reply.tag == control.tag { return true }
        }
    }

    func write(_ sector: Int, _ bytes: [UInt8], tag: UInt32 = 0) throws -> Reply {
        try ask(.write(sector, bytes, tag: tag))
    }

    func read(_ sector: Int, _ count: Int) throws -> Reply { try ask(.read(sector, count)) }
}

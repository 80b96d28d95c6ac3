import CLinux
import Glibc
import HostModel
import Testing

@testable import AoE

@Suite("Targets shared out among servers")
struct ShardTests {
    @Test(
        "As many as processors but one, a power of two and not more than the limit",
        arguments: [
            (0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (64, 4),
        ])
    func counts(processors: Int, shards: Int) {
        #expect(Shard.count(processors: processors, limit: 4) == shards)
    }

    @Test("Every target belongs to exactly one, and slots of a shelf to all in turn")
    func parts() throws {
        for slot in 0..<8 {
            let address = try AoEAddress(shelf: 3, slot: slot)
            let holders = (0..<4).filter { Shard($0, of: 4).holds(address) }
            #expect(holders == [(3 + slot) % 4])
        }
    }

    @Test("The kernel lets each server have the frames of its own targets, and those with wildcards")
    func filter() throws {
        let (shelves, slots): ([UInt16], [UInt8]) = ([0, 1, 2, 0xfffe, 0xffff], [0, 1, 2, 3, 0xfe, 0xff])
        for shard in [Shard.whole] + (0..<4).map({ Shard($0, of: 4) }) {
            let filtered = try FilteredPair(SocketFilter.requests(of: shard, keeping: 9216))
            for shelf in shelves {
                for slot in slots {
                    let isWild = shelf == 0xffff || slot == 0xff
                    let isWanted = isWild || (Int(shelf) + Int(slot)) % shard.count == shard.number
                    #expect(filtered.passes(frame(shelf, slot)) == isWanted, "\(shelf).\(slot), \(shard)")
                    #expect(!filtered.passes(frame(shelf, slot, flags: 0x18)), "a response")
                    #expect(!filtered.passes(frame(shelf, slot, type: 0x0800)), "another protocol")
                }
            }
        }
    }

    private func frame(_ shelf: UInt16, _ slot: UInt8, flags: UInt8 = 0x10, type: UInt16 = 0x88a2) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 60)
        (bytes[12], bytes[13]) = (UInt8(type >> 8), UInt8(type & 0xff))
        bytes[14] = flags
        (bytes[16], bytes[17], bytes[18]) = (UInt8(shelf >> 8), UInt8(shelf & 0xff), slot)
        return bytes
    }
}

/// Two sockets that are connected, of which one has a filter: the kernel runs it for any kind of socket.
private final class FilteredPair {
    private let sending: Int32
    private let receiving: Int32

    init(_ program: [sock_filter]) throws {
        var pair: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair) == 0)
        (sending, receiving) = (pair[0], pair[1])
        var program = program
        let count = UInt16(program.count)
        let status = program.withUnsafeMutableBufferPointer { buffer in
            var value = sock_fprog(len: count, filter: buffer.baseAddress)
            return setsockopt(
                receiving, SOL_SOCKET, SO_ATTACH_FILTER, &value, socklen_t(MemoryLayout<sock_fprog>.size))
        }
        try #require(status == 0)
    }

    deinit {
        close(sending)
        close(receiving)
    }

    func passes(_ frame: [UInt8]) -> Bool {
        // A socket that drops a datagram by its filter tells its sender.
        _ = send(sending, frame, frame.count, 0)
        var received = [UInt8](repeating: 0, count: 9216)
        return recv(receiving, &received, received.count, 0) == frame.count
    }
}

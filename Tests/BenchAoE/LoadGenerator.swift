import CLinux
import Glibc

/// Keeps a number of requests under way at one target and measures how long each takes.
///
/// Raw memory throughout: the generator must cost less than what it measures.
final class LoadGenerator {
    private let descriptor: Int32
    private let ownAddress: [UInt8]
    private var targetAddress = [UInt8](repeating: 0xff, count: 6)
    private let exports: Int
    private static let frameSize = 9216
    private static let warmUp = 0.2
    /// Initiators send a request again after a quarter of a second.
    private static let patience = 0.25

    /// - Parameter exports: how many there are; it returns when each of them answers.
    init(interface: String, exports: Int) throws {
        let descriptor = try PacketSocket.open(interface)
        var request = ifreq()
        withUnsafeMutableBytes(of: &request) { $0.copyBytes(from: interface.utf8) }
        _ = xenlvs_interface_request(descriptor, UInt(SIOCGIFHWADDR), &request)
        let address = xenlvs_interface_address(&request)
        ownAddress = (0..<6).map { UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * $0)) }
        self.descriptor = descriptor
        self.exports = exports
        for number in 0..<exports { try findTarget(ExportAddress(number)) }
    }

    deinit { close(descriptor) }

    /// Waits until the export answers, and learns its target's address.
    private func findTarget(_ address: ExportAddress) throws {
        var bytes = [UInt8](repeating: 0, count: Self.frameSize)
        for _ in 0..<100 {
            let query = bytes.withUnsafeMutableBytes { buffer -> Int in
                header(buffer.baseAddress!, command: 1, tag: 0x7fff_ffff)
                address.write(to: buffer.baseAddress!)
                return send(descriptor, buffer.baseAddress!, 60, 0)
            }
            guard query == 60 else { continue }
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            while poll(&request, 1, 50) > 0 {
                var reply = [UInt8](repeating: 0, count: Self.frameSize)
                guard recv(descriptor, &reply, reply.count, 0) >= 32 else { continue }
                let isOurs =
                    reply[16] == UInt8(address.shelf >> 8) && reply[17] == UInt8(address.shelf & 0xff)
                    && reply[18] == address.slot
                if isOurs, reply[14] & 8 != 0, Array(reply[20..<24]) == [0x7f, 0xff, 0xff, 0xff] {
                    targetAddress = Array(reply[6..<12])
                    return
                }
            }
        }
        throw BenchFailure("no target answers for \(address)")
    }

    private func header(_ frame: UnsafeMutableRawPointer, command: UInt8, tag: UInt32) {
        frame.copyMemory(from: targetAddress, byteCount: 6)
        (frame + 6).copyMemory(from: ownAddress, byteCount: 6)
        frame.storeBytes(of: UInt16(0x88a2).bigEndian, toByteOffset: 12, as: UInt16.self)
        frame.storeBytes(of: 0x10, toByteOffset: 14, as: UInt8.self)
        frame.storeBytes(of: command, toByteOffset: 19, as: UInt8.self)
        frame.storeBytes(of: tag.bigEndian, toByteOffset: 20, as: UInt32.self)
    }

    /// Runs the workload and measures after a short while of warming up.
    func run(_ workload: Workload, process: Int32, seconds: Double) throws -> Sample {
        var load = RequestSet(workload: workload, exports: exports)
        for index in 0..<workload.depth { header(load.frame(index), command: 0, tag: 0) }
        let start = Clock.seconds()
        var measureFrom = start + Self.warmUp
        var cpu = 0.0
        var isMeasuring = false
        var lastLook = start
        while true {
            let now = Clock.seconds()
            if !isMeasuring, now >= measureFrom {
                (isMeasuring, measureFrom, cpu) = (true, now, Clock.processorSeconds(of: process))
                load.clearCounts()
            }
            if now >= measureFrom + seconds, isMeasuring { break }
            try load.sendPending(descriptor, now)
            load.receive(descriptor)
            if now - lastLook > 0.02 {
                lastLook = now
                load.repeatOverdue(now, patience: Self.patience)
            }
        }
        let elapsed = Clock.seconds() - measureFrom
        cpu = Clock.processorSeconds(of: process) - cpu
        return load.sample(elapsed: elapsed, processorSeconds: cpu)
    }
}

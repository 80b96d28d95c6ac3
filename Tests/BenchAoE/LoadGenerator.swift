import CLinux
import Glibc

/// Keeps a number of requests under way at one target and measures how long each takes.
///
/// Raw memory throughout: the generator must cost less than what it measures.
final class LoadGenerator {
    private let descriptor: Int32
    private let ownAddress: [UInt8]
    private var targetAddress = [UInt8](repeating: 0xff, count: 6)
    private let shelf: UInt16
    private let slot: UInt8
    private static let frameSize = 9216
    private static let warmUp = 0.2
    /// Initiators send a request again after a quarter of a second.
    private static let patience = 0.25

    struct Failed: Error, CustomStringConvertible { var description: String }

    init(interface: String, shelf: UInt16, slot: UInt8) throws {
        let descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0)
        var link = sockaddr_ll()
        link.sll_family = UInt16(AF_PACKET)
        link.sll_protocol = UInt16(0x88a2).bigEndian
        link.sll_ifindex = Int32(if_nametoindex(interface))
        let status = withUnsafePointer(to: &link) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
            }
        }
        guard status == 0 else { throw Failed(description: "cannot use \(interface)") }
        var size: Int32 = 32 << 20
        for option in [SO_RCVBUFFORCE, SO_SNDBUFFORCE] {
            setsockopt(descriptor, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var request = ifreq()
        withUnsafeMutableBytes(of: &request) { $0.copyBytes(from: interface.utf8) }
        _ = xenlvs_interface_request(descriptor, UInt(SIOCGIFHWADDR), &request)
        let address = xenlvs_interface_address(&request)
        ownAddress = (0..<6).map { UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * $0)) }
        self.descriptor = descriptor
        self.shelf = shelf
        self.slot = slot
        try findTarget()
    }

    deinit { close(descriptor) }

    /// Waits until the target answers, and learns its address.
    private func findTarget() throws {
        var bytes = [UInt8](repeating: 0, count: Self.frameSize)
        for _ in 0..<100 {
            let query = bytes.withUnsafeMutableBytes { buffer -> Int in
                header(buffer.baseAddress!, command: 1, tag: 0x7fff_ffff)
                return send(descriptor, buffer.baseAddress!, 60, 0)
            }
            guard query == 60 else { continue }
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            while poll(&request, 1, 50) > 0 {
                var reply = [UInt8](repeating: 0, count: Self.frameSize)
                guard recv(descriptor, &reply, reply.count, 0) >= 32 else { continue }
                if reply[14] & 8 != 0, Array(reply[20..<24]) == [0x7f, 0xff, 0xff, 0xff] {
                    targetAddress = Array(reply[6..<12])
                    return
                }
            }
        }
        throw Failed(description: "no target answers")
    }

    private func header(_ frame: UnsafeMutableRawPointer, command: UInt8, tag: UInt32) {
        frame.copyMemory(from: targetAddress, byteCount: 6)
        (frame + 6).copyMemory(from: ownAddress, byteCount: 6)
        frame.storeBytes(of: UInt16(0x88a2).bigEndian, toByteOffset: 12, as: UInt16.self)
        frame.storeBytes(of: 0x10, toByteOffset: 14, as: UInt8.self)
        frame.storeBytes(of: shelf.bigEndian, toByteOffset: 16, as: UInt16.self)
        frame.storeBytes(of: slot, toByteOffset: 18, as: UInt8.self)
        frame.storeBytes(of: command, toByteOffset: 19, as: UInt8.self)
        frame.storeBytes(of: tag.bigEndian, toByteOffset: 20, as: UInt32.self)
    }

    /// Runs the workload and measures after a short while of warming up.
    func run(_ workload: Workload, process: Int32, seconds: Double) throws -> Sample {
        var load = RequestSet(workload: workload)
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

enum Clock {
    static func seconds() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
    }

    /// What all threads of a process have run (`schedstat`, Documentation/scheduler/sched-stats.rst).
    static func processorSeconds(of process: Int32) -> Double {
        let directory = "/proc/\(process)/task"
        guard let stream = opendir(directory) else { return 0 }
        defer { closedir(stream) }
        var total = 0.0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let file = fopen("\(directory)/\(name)/schedstat", "r") else { continue }
            defer { fclose(file) }
            var text = [CChar](repeating: 0, count: 128)
            if fgets(&text, 127, file) != nil { total += strtod(text, nil) * 1e-9 }
        }
        return total
    }
}

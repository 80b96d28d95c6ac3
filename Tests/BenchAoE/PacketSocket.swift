import CLinux
import Glibc

struct BenchFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Raw sockets for AoE's frames on one interface.
enum PacketSocket {
    static func open(_ interface: String) throws -> Int32 {
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
        guard status == 0 else { throw BenchFailure("cannot use \(interface)") }
        var size: Int32 = 32 << 20
        for option in [SO_RCVBUFFORCE, SO_SNDBUFFORCE] {
            setsockopt(descriptor, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        return descriptor
    }
}

/// Where the bench's exports are: the number-th of many, e1.2 where there is one.
struct ExportAddress: CustomStringConvertible {
    let shelf: UInt16
    let slot: UInt8

    init(_ number: Int) {
        shelf = UInt16(1 + number / 200)
        slot = UInt8(2 + number % 200)
    }

    var description: String { "e\(shelf).\(slot)" }

    func write(to frame: UnsafeMutableRawPointer) {
        frame.storeBytes(of: shelf.bigEndian, toByteOffset: 16, as: UInt16.self)
        frame.storeBytes(of: slot, toByteOffset: 18, as: UInt8.self)
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
            // The directory above has the main thread's once more.
            guard !name.hasPrefix("."), let file = fopen("\(directory)/\(name)/schedstat", "r") else { continue }
            defer { fclose(file) }
            var text = [CChar](repeating: 0, count: 128)
            if fgets(&text, 127, file) != nil { total += strtod(text, nil) * 1e-9 }
        }
        return total
    }
}

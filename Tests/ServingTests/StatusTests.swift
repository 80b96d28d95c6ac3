import AoE
import CLinux
import Foundation
import Glibc
import HostModel
import Testing

@testable import Serving

@Suite("What the daemon tells")
struct StatusTests {
    private func status(_ slot: Int, path: String, writes: UInt64) throws -> ExportStatus {
        var counters = ExportCounters()
        counters.writes = writes
        let json =
            #"{"buckets":[{"belowNanoseconds":900,"count":3},{"belowNanoseconds":5000,"count":2}],"sumNanoseconds":10000}"#
        let latency = try JSONDecoder().decode(LatencySnapshot.self, from: Data(json.utf8))
        let statistics = """
            {"counters":\(String(decoding: try JSONEncoder().encode(counters), as: UTF8.self)),\
            "readLatency":\(json),"writeLatency":\(json),"requestsUnderWay":0}
            """
        #expect(latency.count == 5)
        return ExportStatus(
            record: try Sample.record(slot, path: path), state: slot == 0 ? .serving : .failed, failure: nil,
            interfaces: [], size: slot == 0 ? ByteCount(4096) : nil, isDirect: nil,
            statistics: slot == 0 ? try JSONDecoder().decode(ExportStatistics.self, from: Data(statistics.utf8)) : nil)
    }

    @Test("Prometheus's text names each family once, escapes labels, and has cumulative buckets")
    func prometheus() throws {
        let text = PrometheusText.render([
            try status(0, path: "/a\"b\\c\nd", writes: 7), try status(1, path: "/gone", writes: 0),
        ])
        let lines = text.split(separator: "\n").map(String.init)
        let label = #"address="e1.0",what="/a\"b\\c\nd""#
        #expect(lines.contains("xenlvs_export_up{\(label)} 1"))
        #expect(lines.contains(#"xenlvs_export_up{address="e1.1",what="/gone"} 0"#))
        #expect(lines.contains("xenlvs_export_size_bytes{\(label)} 4096"))
        #expect(lines.contains("xenlvs_export_writes_total{\(label)} 7"))
        #expect(lines.contains(#"xenlvs_export_read_seconds_bucket{\#(label),le="1e-06"} 3"#))
        #expect(lines.contains(#"xenlvs_export_read_seconds_bucket{\#(label),le="4e-06"} 3"#))
        #expect(lines.contains(#"xenlvs_export_read_seconds_bucket{\#(label),le="1.6e-05"} 5"#))
        #expect(lines.contains(#"xenlvs_export_read_seconds_bucket{\#(label),le="+Inf"} 5"#))
        #expect(lines.contains("xenlvs_export_read_seconds_count{\(label)} 5"))
        #expect(lines.contains("xenlvs_export_read_seconds_sum{\(label)} 1e-05"))
        let types = lines.filter { $0.hasPrefix("# TYPE") }
        #expect(Set(types).count == types.count && types.count == 14)
        // Samples of one family stand together, behind its type.
        var family = ""
        for line in lines {
            if line.hasPrefix("# TYPE") { family = String(line.split(separator: " ")[2]) }
            if !line.hasPrefix("#") { #expect(line.hasPrefix(family), "\(line)") }
        }
    }

    @Test("A line that is longer than allowed, late or cut off is no line")
    func lines() throws {
        func channel(_ bytes: [UInt8], closes: Bool) throws -> LineChannel {
            var pair: [Int32] = [-1, -1]
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
            #expect(write(pair[1], bytes, bytes.count) == bytes.count)
            if closes { close(pair[1]) }
            return LineChannel(pair[0], limit: 100)
        }
        func outcome(_ bytes: [UInt8], closes: Bool = false) throws -> Result<[UInt8], LineChannel.Ending> {
            var channel = try channel(bytes, closes: closes)
            do throws(LineChannel.Ending) { return .success(try channel.receive(within: 50)) } catch {
                return .failure(error)
            }
        }
        #expect(try outcome(Array("abc\ndef".utf8)) == .success(Array("abc".utf8)))
        #expect(try outcome([10]) == .success([]))
        #expect(try outcome([UInt8](repeating: 65, count: 101)) == .failure(.tooLong))
        #expect(try outcome(Array("abc".utf8)) == .failure(.late))
        #expect(try outcome(Array("abc".utf8), closes: true) == .failure(.closed))
        var two = try channel(Array("a\nb\n".utf8), closes: false)
        #expect(try two.receive(within: 50) == [97])
        #expect(try two.receive(within: 50) == [98])
    }

    @Test("systemd's socket may have a name in the abstract namespace; without one nothing is told")
    func notify() throws {
        let name = "xenlvs-test-\(UInt64.random(in: 0...UInt64.max))"
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: [0] + Array(name.utf8)) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + name.utf8.count)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        try #require(status == 0)
        ServiceManager(environment: ["NOTIFY_SOCKET": "@" + name]).tell("READY=1")
        var bytes = [UInt8](repeating: 0, count: 100)
        #expect(recv(descriptor, &bytes, bytes.count, 0) == 7)
        #expect(String(decoding: bytes.prefix(7), as: UTF8.self) == "READY=1")
        ServiceManager(environment: [:]).tell("READY=1")
        ServiceManager(environment: ["NOTIFY_SOCKET": String(repeating: "/x", count: 200)]).tell("READY=1")
    }

    @Test("The watchdog's interval is this process's own, or none")
    func watchdog() {
        func interval(_ environment: [String: String]) -> Int64? {
            ServiceManager(environment: environment).watchdogMicroseconds
        }
        #expect(interval([:]) == nil)
        #expect(interval(["WATCHDOG_USEC": "3000000"]) == 3_000_000)
        #expect(interval(["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "\(getpid())"]) == 3_000_000)
        #expect(interval(["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"]) == nil)
        #expect(interval(["WATCHDOG_USEC": "x"]) == nil)
        #expect(interval(["WATCHDOG_USEC": "0"]) == nil)
    }
}

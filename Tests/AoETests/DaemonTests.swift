import DiskKit
import Foundation
import Glibc
import Testing

@Suite("xenlvsd", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct DaemonTests {
    private func request(_ slot: UInt8, _ request: Request) -> Request {
        var copy = request
        copy.slot = slot
        return copy
    }

    @Test("Two exports on one interface are two targets, and a wildcard means both")
    func twoExports() throws {
        let host = try DaemonHost()
        let files = [try host.file(), try host.file(sectors: 4096)]
        for (slot, file) in files.enumerated() { try host.export(file, slot: slot) }
        let initiator = host.initiators[0]
        for slot in 0..<2 as Range<UInt8> {
            #expect(try initiator.ask(request(slot, .write(5, sectors(slot + 1)))).isGood)
            #expect(try initiator.ask(request(slot, .ata(count: 1, 0xec))).capacity == 2048 << UInt64(slot))
            #expect(try initiator.ask(request(slot, .read(5, 1))).data == sectors(slot + 1))
            #expect(try files[Int(slot)].sectors(5..<6) == sectors(slot + 1))
        }
        #expect(try initiator.isSilentFor(request(2, .read(5, 1)), control: request(0, .configuration(0))))
        var query = request(0xff, .configuration(0))
        (query.shelf, query.tag) = (0xffff, 77)
        initiator.send(query)
        var slots: Set<UInt8> = []
        while slots.count < 2 {
            let reply = try #require(initiator.receive())
            if reply.tag == 77 { slots.insert(reply.address[2]) }
        }
        #expect(slots == [0, 1])
    }

    @Test("An export on two interfaces answers each request where it came from")
    func twoInterfaces() throws {
        let host = try DaemonHost(interfaces: 3)
        try host.export(try host.file(), on: [0, 1])
        #expect(try host.initiators[0].write(1, sectors(7)).isGood)
        #expect(try host.initiators[1].read(1, 1).data == sectors(7))
        let sources = try (0..<2).map { try host.initiators[$0].ask(.configuration(0)).source }
        #expect(sources[0] != sources[1])
        // It is not served on the third.
        host.initiators[2].send(.configuration(0))
        #expect(host.initiators[2].receive(milliseconds: 300) == nil)
        // Another MTU of one of them is its own affair.
        try host.ip("link", "set", "target1", "mtu", "9000")
        try host.wait("no sixteen sectors") { try host.initiators[1].ask(.configuration(0)).sectors == 16 }
        #expect(try host.initiators[0].ask(.configuration(0)).sectors == 2)
        #expect(try host.exports()["e1.2"]?.interfaces.map(\.state) == ["up", "up"])
    }

    @Test("Exports come and go while another is under load, which loses nothing")
    func hotAddAndRemove() throws {
        let host = try DaemonHost()
        try host.export(try host.file())
        let other = try host.file()
        let load = Load(host.initiators[0])
        for round in 0..<8 {
            try host.export(other, slot: 3)
            let run = try host.xenlvs("unexport", "aoe", "e1.3")
            #expect(run.status == 0, "\(round): \(run.errors)")
        }
        let (requests, lost) = load.end()
        #expect(requests > 100 && lost == 0, "\(requests) requests, \(lost) without an answer")
        // Nothing holds the file any more.
        #expect(try host.run(["flock", "--nonblock", other.path, "true"]).status == 0)
    }

    @Test("An export in use is not taken away, unless by force, and what it has done is counted")
    func activeUnexport() throws {
        let host = try DaemonHost()
        let file = try host.file()
        try host.export(file)
        let initiator = host.initiators[0]
        for sector in 0..<10 { #expect(try initiator.write(sector, sectors(1)).isGood) }
        let copy = Request.write(3, sectors(1), tag: 0x7000_0100)
        for _ in 0..<2 { #expect(try initiator.ask(copy).isGood) }
        for sector in 0..<5 { #expect(try initiator.read(sector, 2).isGood) }
        let statistics = try #require(try host.exports("--stats")["e1.2"]?.statistics)
        #expect(statistics.counters["frames"] == 17)
        #expect(statistics.counters["writes"] == 11 && statistics.counters["sectorsWritten"] == 11)
        #expect(statistics.counters["copies"] == 1)
        #expect(statistics.counters["reads"] == 5 && statistics.counters["sectorsRead"] == 10)
        #expect(statistics.counters["errors"] == 0 && statistics.counters["dropped"] == 0)
        #expect(statistics.readLatency.count == 5 && statistics.writeLatency.count == 11)
        let (half, most) = (statistics.readLatency.p50Microseconds ?? 0, statistics.readLatency.p99Microseconds ?? 0)
        #expect(half > 0 && half <= most && most < 1_000_000)
        #expect(statistics.lastClient == "02:00:00:00:00:0a")
        let text = try host.xenlvs("exports", "--format", "prometheus").output
        #expect(text.contains("xenlvs_export_writes_total{address=\"e1.2\",what=\"\(file.path)\"} 11\n"))

        let refused = try host.xenlvs("unexport", "aoe", "e1.2")
        #expect(refused.status == 5)
        #expect(refused.errors.contains("02:00:00:00:00:0a") && refused.errors.contains("--force"))
        #expect(try initiator.read(0, 1).isGood)
        #expect(try host.xenlvs("unexport", "aoe", "e1.2", "--force").status == 0)
        #expect(try host.exports().isEmpty)
        initiator.send(.read(0, 1, tag: 99))
        #expect(initiator.receive(milliseconds: 300) == nil)
    }

    @Test("A restart brings every export back as it was")
    func restart() throws {
        let host = try DaemonHost(interfaces: 2)
        try host.export(try host.file(), slot: 1, on: [0, 1], ["--allow", "02:00:00:00:00:0a", "--queue-depth", "32"])
        try host.export(try host.file(), slot: 2, on: [1], ["--read-only"])
        let before = try host.exports()
        #expect(try host.terminate() == 0)
        try host.start()
        let after = try host.exports()
        #expect(after.count == 2)
        for (address, export) in before {
            let now = try #require(after[address])
            #expect(now.state == "serving" && now.path == export.path && now.interfaces == export.interfaces)
            #expect(now.readOnly == export.readOnly && now.allow == export.allow)
            #expect(now.durability == "writeback" && now.queueDepth == export.queueDepth)
        }
        #expect(try host.initiators[1].ask(request(2, .write(0, sectors(1)))).isAborted)
        #expect(try host.initiators[0].ask(request(1, .read(0, 1))).isGood)
        host.initiators[1].send(request(1, .read(0, 1)).from(Initiator.b))
        #expect(host.initiators[1].receive(milliseconds: 300) == nil)
        // Nobody has used it since, and what was before nobody knows.
        let refused = try host.xenlvs("unexport", "aoe", "e1.2")
        #expect(refused.status == 5 && refused.errors.contains("xenlvsd has been running for "), "\(refused.errors)")
        #expect(try host.xenlvs("unexport", "aoe", "e1.2", "--force").status == 0)
    }

    @Test("What clients have set is there after the daemon was killed")
    func killed() throws {
        let host = try DaemonHost()
        try host.export(try host.file())
        let initiator = host.initiators[0]
        #expect(try initiator.write(9, sectors(9)).isGood)
        #expect(try initiator.ask(.configuration(3, Array("abc".utf8))).aoeError == nil)
        let masks: [UInt8] = [0, 1, 0, 1, 0, 1] + initiator.clientAddress
        #expect(try initiator.ask(Request(command: 2, argument: masks)).aoeError == nil)
        #expect(try initiator.ask(Request(command: 3, argument: [1, 1] + initiator.clientAddress)).aoeError == nil)
        host.kill()
        try host.start()
        #expect(try initiator.ask(.configuration(0)).string == Array("abc".utf8))
        #expect(try initiator.ask(Request(command: 2, argument: [0, 0, 0, 0])).bytes[27] == 1)
        let reservation = try initiator.ask(Request(command: 3, argument: [0, 0]))
        #expect(reservation.bytes[25] == 1 && Array(reservation.bytes[26..<32]) == initiator.clientAddress)
        #expect(try initiator.read(9, 1).data == sectors(9))
        // The mask keeps others out.
        initiator.send(Request.read(9, 1).from(Initiator.b))
        #expect(initiator.receive(milliseconds: 300) == nil)
    }

    @Test("An interface that is removed and made anew is served again, and the other one all the time")
    func interfaceReturns() throws {
        let host = try DaemonHost(interfaces: 2)
        try host.export(try host.file(), on: [0, 1])
        try host.ip("link", "delete", "target0")
        try host.wait("it has not gone") { try host.exports()["e1.2"]?.interfaces.map(\.state) == ["gone", "up"] }
        #expect(try host.initiators[1].write(3, sectors(3)).isGood)
        #expect(try host.exports()["e1.2"]?.state == "serving")
        try host.addInterface(0)
        try host.wait("it is not back") { try host.exports()["e1.2"]?.interfaces.map(\.state) == ["up", "up"] }
        #expect(try host.initiators[2].read(3, 1).data == sectors(3))
        #expect(try host.initiators[1].read(3, 1).data == sectors(3))
    }

    @Test("An export whose only interface is down or gone is waiting, and is served again by itself")
    func onlyInterface() throws {
        let host = try DaemonHost()
        let file = try host.file()
        try host.export(file)
        try host.ip("link", "set", "target0", "down")
        try host.wait("it is not told") { try host.exports()["e1.2"]?.state == "waiting" }
        let down = try #require(try host.exports()["e1.2"])
        #expect(down.interfaces.map(\.state) == ["down"])
        #expect(down.why?.hasPrefix("target0: it is down") == true, "\(down.why ?? "")")
        let text = try host.xenlvs("exports", "--format", "prometheus").output
        #expect(text.contains("xenlvs_export_up{address=\"e1.2\",what=\"\(file.path)\"} 0\n"), "\(text)")
        try host.ip("link", "set", "target0", "up")
        try host.wait("it is not served again") { try host.exports()["e1.2"]?.state == "serving" }
        #expect(try host.initiators[0].read(0, 1).isGood)
        try host.ip("link", "delete", "target0")
        try host.wait("it has not gone") { try host.exports()["e1.2"]?.interfaces.map(\.state) == ["gone"] }
        #expect(try host.exports()["e1.2"]?.state == "waiting")
        try host.addInterface(0)
        try host.wait("it is not back") { try host.exports()["e1.2"]?.state == "serving" }
        #expect(try host.initiators[1].read(0, 1).isGood)
    }

    @Test("An interface that is missing at the start is waited for")
    func interfaceMissing() throws {
        let host = try DaemonHost(interfaces: 2)
        try host.export(try host.file(), on: [1])
        #expect(try host.terminate() == 0)
        try host.ip("link", "delete", "target1")
        try host.start()
        let waiting = try #require(try host.exports()["e1.2"])
        #expect(waiting.state == "waiting" && waiting.interfaces.map(\.state) == ["waiting"])
        #expect(waiting.why == "target1: there is no such interface")
        try host.addInterface(1)
        try host.wait("it is not served") { try host.exports()["e1.2"]?.state == "serving" }
        #expect(try host.initiators[2].read(0, 1).isGood)
    }

    @Test("A backing that is missing at the start is told with the reason, and served when it is there")
    func backingMissing() throws {
        let host = try DaemonHost()
        let (file, other) = (try host.file(), try host.file())
        try host.export(file, slot: 1)
        try host.export(other, slot: 2)
        #expect(try host.terminate() == 0)
        rename(file.path, file.path + ".away")
        defer { unlink(file.path + ".away") }
        try host.start()
        let failed = try #require(try host.exports()["e1.1"])
        #expect(failed.state == "failed" && failed.why == "No such file or directory" && failed.size == nil)
        #expect(host.log.contains("e1.1 is not served"))
        #expect(try host.initiators[0].ask(request(2, .read(0, 1))).isGood)
        rename(file.path + ".away", file.path)
        try host.wait("it is not served again") { try host.exports()["e1.1"]?.state == "serving" }
        #expect(try host.initiators[0].ask(request(1, .read(0, 1))).isGood)
    }

    @Test("A backing that has grown is announced with its new size")
    func resize() throws {
        let host = try DaemonHost()
        let file = try host.file()
        try host.export(file)
        let initiator = host.initiators[0]
        while initiator.receive(milliseconds: 100) != nil {}
        file.truncate(sectors: 8192)
        #expect(try initiator.ask(.read(8191, 1)).isNotFound)
        #expect(try host.xenlvs("exports", "--rescan").status == 0)
        let announced = try #require(initiator.receive())
        #expect(announced.tag == 0 && announced.isResponse && announced.address == [0, 1, 2])
        #expect(try initiator.ask(.ata(count: 1, 0xec)).capacity == 8192)
        #expect(try initiator.write(8191, sectors(8)).isGood)
        #expect(try initiator.read(8191, 1).data == sectors(8))
        #expect(try host.exports()["e1.2"]?.size == 8192 * 512)
        // One that has become smaller keeps its size, and what is missing is an error.
        file.truncate(sectors: 1024)
        #expect(try host.exports("--rescan")["e1.2"]?.size == 8192 * 512)
        #expect(try initiator.read(8000, 1).isAborted)
    }
}

extension Initiators {
    /// As `isSilent`, with another request that is answered.
    fileprivate func isSilentFor(_ request: Request, control: Request) throws -> Bool {
        var (request, control) = (request, control)
        (request.tag, control.tag) = (tag(), tag())
        send(request)
        send(control)
        while true {
            let reply = try #require(receive(), "the target does not answer at all")
            if reply.tag == request.tag { return false }
            if reply.tag == control.tag { return true }
        }
    }
}

/// Reads and writes without end on a thread of its own, one request at a time.
private final class Load: @unchecked Sendable {
    // Only the thread uses it until it has been joined.
    private let initiator: Initiators
    private let done = DispatchSemaphore(value: 0)
    private let lock = NSLock()
    private var isEnding = false
    private var requests = 0
    private var lost = 0

    init(_ initiator: Initiators) {
        self.initiator = initiator
        Thread { [self] in
            run()
            done.signal()
        }.start()
    }

    private func run() {
        while !lock.withLock({ isEnding }) {
            requests += 1
            let sector = requests % 2000
            let tag = initiator.tag()
            initiator.send(
                requests % 2 == 0
                    ? .write(sector, sectors(UInt8(truncatingIfNeeded: requests)), tag: tag)
                    : .read(sector, 1, tag: tag))
            var isAnswered = false
            // On a busy disk a sync takes seconds; an answer that is lost never comes.
            while !isAnswered, let reply = initiator.receive(milliseconds: 20_000) {
                isAnswered = reply.tag == tag && reply.isGood
            }
            if !isAnswered { lost += 1 }
        }
    }

    func end() -> (requests: Int, lost: Int) {
        lock.withLock { isEnding = true }
        done.wait()
        return (requests, lost)
    }
}

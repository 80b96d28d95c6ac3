import HostModel
import Testing

@testable import AoE
@testable import Serving

@Suite("How an export stands")
struct ExportEntryTests {
    /// One that its server has, on these interfaces of eth1 and eth2.
    private func entry(on interfaces: Set<String>, obstacles: [String: Failure] = [:]) throws -> ExportEntry {
        let installed = ExportEntry.Installed(
            id: AoEServer.TargetID(number: 0, generation: 1), size: ByteCount(4096), isDirect: true,
            interfaces: interfaces, obstacles: obstacles)
        return ExportEntry(record: try Sample.record(0), phase: .installed(installed), isKept: true)
    }

    private func port(
        _ name: String, isPresent: Bool = true, isUp: Bool = true, silence: UInt64? = nil
    ) -> PortStatus {
        PortStatus(
            interface: name, isPresent: isPresent, isUp: isUp, mtu: 1500, address: "02:00:00:00:00:01",
            silence: silence)
    }

    @Test("It is served as long as one of its interfaces is up")
    func served() throws {
        let entry = try entry(on: ["eth1", "eth2"])
        let ports = [port("eth1", isUp: false, silence: 7), port("eth2")]
        let status = entry.status(ports: ports, statistics: nil)
        #expect(status.state == .serving && status.failure == nil)
        #expect(status.interfaces.map(\.state) == [.down, .up])
        #expect(status.interfaces[0].why == PortStatus.down && status.interfaces[1].why == nil)
    }

    @Test("It is waiting where none of them is, says why of each, and is served again when one comes back")
    func unreached() throws {
        let entry = try entry(on: ["eth1", "eth2"])
        let cases: [([PortStatus], [ExportStatus.Interface.State])] = [
            ([port("eth1", isPresent: false, isUp: false), port("eth2", isUp: false, silence: 7)], [.gone, .down]),
            ([port("eth1", isUp: false, silence: 7), port("eth2", isUp: false, silence: 8)], [.down, .down]),
            ([port("eth1", silence: 9), port("eth2", isPresent: false, isUp: false)], [.waiting, .gone]),
            ([], [.gone, .gone]),
        ]
        for (ports, states) in cases {
            let status = entry.status(ports: ports, statistics: nil)
            #expect(status.state == .waiting && status.interfaces.map(\.state) == states)
            let why = status.failure?.why ?? ""
            #expect(why.contains("eth1: ") && why.contains("; eth2: "), "\(why)")
            #expect(status.failure?.remedy != nil && status.interfaces.allSatisfy { $0.why != nil })
            #expect(
                PrometheusText.render([status]).contains("\nxenlvs_export_up{address=\"e1.0\",what=\"/srv/disk\"} 0\n"))
        }
        let back = entry.status(ports: [port("eth1"), port("eth2", isUp: false)], statistics: nil)
        #expect(back.state == .serving && back.failure == nil)
    }

    @Test("One that another target keeps from one interface, while the other is down, names both and the way out")
    func taken() throws {
        let taken = Failure(.busy, "cannot serve e1.0 on eth2", why: "the target at X answers", remedy: "end it")
        let status = try entry(on: ["eth1"], obstacles: ["eth2": taken])
            .status(ports: [port("eth1", isUp: false, silence: 7)], statistics: nil)
        #expect(status.state == .waiting && status.interfaces.map(\.state) == [.down, .waiting])
        #expect(status.failure?.why == "eth1: \(PortStatus.down); eth2: the target at X answers")
        #expect(status.failure?.remedy == "end it")
    }
}

import HostModel
import Testing

@testable import Operations

@Suite("What multipathd says of its paths")
struct MultipathMapsTests {
    @Test("The checker's state may be several words")
    func states() {
        let output = """
            dev dm_st  chk_st
            sdb active ready
            sdc failed i/o timeout
            sdd active i/o pending
            sde failed faulty  \r
            sdaf undef undef
            """
        #expect(
            MultipathMaps.parsePathStates(output) == [
                "sdb": "active ready", "sdc": "failed i/o timeout", "sdd": "active i/o pending",
                "sde": "failed faulty", "sdaf": "undef undef",
            ])
    }

    @Test("What is no line of a path is passed over, and what cannot be printed is not")
    func garbage() {
        let output = "fail\n\n   \nsd\nsdb\nnvme0n1 active ready\ntimeout receiving packet\n"
        #expect(MultipathMaps.parsePathStates(output).isEmpty && MultipathMaps.parsePathStates("").isEmpty)
        // A disk of which anything is said is none that is known to be used.
        let strange = MultipathMaps.parsePathStates(
            "sdb\tfailed\ti/o\ttimeout\nsdc \u{1b}[31mfailed\nsdd \(String(repeating: "x", count: 10_000))\n")
        #expect(strange["sdb"] == "failed i/o timeout" && strange["sdc"] == "?[31mfailed")
        #expect(strange["sdd"]?.count == 300)
    }

    @Test(
        "A path that multipathd has failed is down, with what its checker says",
        .enabled(if: canMakeDeviceNodes, "needs device nodes"))
    func failed() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.startMultipathd()
        let portals = ["10.0.0.1", "10.0.0.2"]
        for portal in portals { host.network.serve(.init(serial: 1, megabytes: 64), at: portal) }
        try await host.attach(at: portals)
        let disks = try host.mapped.sorted()
        try #require(disks.count == 2)
        host.network.setPathStates("dev dm_st chk_st\n\(disks[0]) active ready\n\(disks[1]) failed i/o timeout\n")
        let row = try #require(try await host.row())
        #expect(row.state == .degraded, "\(row)")
        #expect(row.paths.map(\.isUp) == [true, false] && row.paths.first?.map == "active ready")
        #expect(row.paths.last?.why == "multipathd has it as failed i/o timeout")
    }
}

import DeviceMapper
import Foundation
import HostModel
import Hosts
import Migration
import Storage
import Testing

@testable import Operations

@Suite("Migrations by switches")
struct SwitchedMigrationTests {
    private static let identity = MappedIdentity.ofSwitch(VolumeName(unchecked: "web1"), logicalVolumeUUID: "abc")
    private static let lv = BlockDeviceNumber(major: 253, minor: 0)
    private static let sectors: UInt64 = 131_072

    private static func device(_ table: MappingTable?, openCount: Int = 0) -> MappedDevice {
        MappedDevice(
            name: identity.name, uuid: identity.uuid, number: BlockDeviceNumber(major: 253, minor: 9),
            isSuspended: false, table: table, hasInactiveTable: false, openCount: openCount)
    }

    private static func replica(_ minor: UInt32) -> MappingTable {
        MappingTable(linearTo: BlockDeviceNumber(major: 147, minor: minor), sectors: sectors)
    }

    private func withHost(_ mapper: SimulatedMapper, _ body: (HostContext) async throws -> Void) async throws {
        let root = FileManager.default.temporaryDirectory.path + "/xenlvs-switched-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try Data("host: nodea\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        let paths = Paths(
            state: root + "/state", run: root + "/run", links: root + "/links", configuration: root + "/xenlvs.yaml")
        try await body(
            try HostContext(
                paths: paths, runner: RecordedPrograms(), crashPoints: [], trace: { _ in },
                tree: DeviceTree(owner: geteuid()), initiator: .live, mapper: mapper))
    }

    private func volume(_ state: VolumeState = .active) throws -> Volume {
        var volume = try Sample.volume("web1")
        volume.switchGoal = .volume
        volume.state = state
        return volume
    }

    @Test("A closed switch refuses every request, as dmsetup shows it")
    func closedTable() {
        let table = MappingTable(closed: 16)
        #expect(table.isClosed && table.soleDevice == nil)
        #expect(table.description == "0 16 error ")
        #expect(MappingTable(parsing: "0 16 error ") == table && MappingTable(parsing: "0 16 error")?.isClosed == true)
        #expect(!Self.replica(3).isClosed)
    }

    @Test("A switch is closed once, and never below whoever has it open")
    func closing() async throws {
        let mapper = SimulatedMapper([Self.device(Self.replica(3))])
        try await withHost(mapper) { host in
            try await host.switches.close(try volume())
            try await host.switches.close(try volume())
        }
        #expect(mapper.changes == ["change xenlvs-switch-web1 to 0 131072 error "])
        let open = SimulatedMapper([Self.device(Self.replica(3), openCount: 1)])
        try await withHost(open) { host in
            let failure = await #expect(throws: Failure.self) {
                try await host.switches.close(try volume(), patience: .milliseconds(50))
            }
            #expect(failure?.code == .busy)
        }
        #expect(open.changes.isEmpty)
    }

    @Test("On the target a switch is made closed, whatever a run that was cut off has left")
    func madeClosed() async throws {
        let none = SimulatedMapper()
        try await withHost(none) { try await $0.switches.bringUpClosed(try volume()) }
        #expect(none.devices.first?.table?.isClosed == true)
        let onVolume = SimulatedMapper([Self.device(MappingTable(linearTo: Self.lv, sectors: Self.sectors))])
        try await withHost(onVolume) { try await $0.switches.bringUpClosed(try volume()) }
        #expect(onVolume.devices.first?.table?.isClosed == true)
    }

    private func facts(
        _ found: MappedDevice?, _ volume: Volume, _ migrations: [OpenMigration]
    ) -> SwitchFacts {
        SwitchFacts(volume, Self.identity, found, SwitchEnds(plain: Self.lv), migrations)
    }

    private func migration(_ role: Role, decided: Bool, usesSwitches: Bool = true) throws -> OpenMigration {
        var migration = try Sample.migration(role, decided: decided)
        migration.usesSwitches = usesSwitches
        return migration
    }

    @Test("What a migration has made of a switch is no finding while it is open, and one afterwards")
    func verdicts() throws {
        let (active, closed) = (try volume(), Self.device(MappingTable(closed: Self.sectors)))
        let under = try migration(.source, decided: false)
        #expect(facts(closed, active, [under]).verdict == .migration)
        #expect(facts(closed, active, []).verdict == .closed)
        #expect(facts(closed, active, []).remedy?.contains("link repair") == true)
        #expect(facts(Self.device(Self.replica(3)), active, [under]).verdict == .migration)
        #expect(facts(Self.device(Self.replica(3)), active, []).verdict == .stillOnReplica)
        #expect(facts(Self.device(Self.replica(4)), active, [under]).verdict == .stillOnReplica, "of another minor")
        // Before the decision the guest has its disk here; after it nobody may have one.
        #expect(facts(nil, active, [under]).verdict == .missing)
        #expect(facts(nil, active, [try migration(.source, decided: true)]).verdict == .migration)
        let threeFreezes = try migration(.source, decided: false, usesSwitches: false)
        #expect(facts(closed, active, [threeFreezes]).verdict == .closed)
    }

    @Test("A source that has handed over may keep its links to closed switches until it is tidied up")
    func links() throws {
        let link = Sample.link("/dev/mapper/xenlvs-switch-web1", 253, 9)
        let duty = LinkDuty(try volume(), [try migration(.source, decided: true)])
        #expect(LinkVerdict(link, duty, plain: BlockDeviceNumber(major: 253, minor: 9)) == .migration)
        let other = LinkDuty(try volume(), [try migration(.source, decided: true, usesSwitches: false)])
        #expect(LinkVerdict(link, other, plain: BlockDeviceNumber(major: 253, minor: 9)) == .mustNotBe)
        #expect(LinkVerdict(Sample.link("/dev/vg0/web1", 253, 0), duty, plain: Self.lv) == .mustNotBe)
    }

    @Test("A target whose source is lost settles by its switches")
    func resolution() {
        let plan = MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false)
        let settle: [Step] = [.leadTargetToVolume, .takeDownTargetReplica, .cleanTarget]
        let paused = TargetFacts(isDecided: true, guest: .paused, copies: .upToDate)
        #expect(TargetResolution(paused, plan) == .finish([.startOnTarget] + settle))
        let running = TargetFacts(isDecided: true, guest: .running, copies: .upToDate)
        #expect(TargetResolution(running, plan) == .finish(settle))
    }

    @Test("Led past its replica a guest has written to one host alone, from then on")
    func moment() throws {
        let (source, target) = (try HostName("nodea"), try HostName("nodeb"))
        let kinds: [MigrationEvent.Kind] = [.stepBegan(.leadTargetToVolume), .stepBegan(.takeDownTargetReplica)]
        let history = kinds.enumerated().map {
            MigrationEvent(sequence: $0.offset + 1, time: Int64($0.offset) * 1000, kind: $0.element)
        }
        #expect(DataMoment(ofSource: history, target: target) == .replicaTakenDown(target, at: 0))
        let back = [MigrationEvent(sequence: 1, time: 7, kind: .stepBegan(.leadSourceToVolume))]
        #expect(DataMoment(ofTarget: back, source: source) == .replicaTakenDown(source, at: 7))
    }

    @Test("The method has the shortest freezes, and whoever insists on another is told what speaks against it")
    func choice() throws {
        let (source, domain) = (try HostName("nodea"), try DomainName("web1"))
        let bare = MethodChoice.Objection(
            host: source, why: "web1 has no switch", remedy: "'xenlvs domain prepare web1', then start web1 anew")
        let unable = MethodChoice.Objection(host: source, why: "Xen on nodea has no shadow paging", remedy: nil)
        let able = MethodChoice(nil, settling: .late, switches: [], live: [])
        #expect(able.method == .live && able.reason.contains("while it runs"))
        // Its disks could be swapped, and only Xen cannot follow it: one freeze, and why it is not live.
        let one = MethodChoice(nil, settling: .late, switches: [], live: [unable])
        #expect(one.method == .oneFreeze && one.reason.contains("not live, because \(unable.why)"), "\(one.reason)")
        #expect(one.findings(domain, source).allSatisfy { $0.severity == .fine })
        #expect(MethodChoice(nil, settling: .early, switches: [], live: [unable]).method == .threeFreeze)
        for (switches, live) in [([bare], []), ([bare], [unable])] {
            let three = MethodChoice(nil, settling: .late, switches: switches, live: live)
            #expect(three.method == .threeFreeze)
            #expect((switches + live).allSatisfy { three.reason.contains($0.why) }, "\(three.reason)")
            #expect(three.findings(domain, source).allSatisfy { $0.severity == .fine })
        }
        #expect(MethodChoice(nil, settling: .early, switches: [], live: []).method == .threeFreeze)
        let wished = MethodChoice(.oneFreeze, settling: .late, switches: [bare], live: [unable])
        #expect(wished.method == .oneFreeze)
        let finding = try #require(wished.findings(domain, source).first)
        #expect(finding.severity == .blocking && finding.remedy?.contains("xenlvs domain prepare") == true)
        #expect(wished.findings(domain, source).count == 1, "one freeze needs no live hand-over")
        #expect(
            MethodChoice(.live, settling: .late, switches: [bare], live: [unable]).findings(domain, source).count == 2)
        #expect(MethodChoice(.threeFreeze, settling: .late, switches: [], live: []).reason == "as was asked for")
    }

    @Test("Shared disks are never copied, and the guest moves live where Xen can")
    func sharedChoice() throws {
        let (source, domain) = (try HostName("nodea"), try DomainName("web1"))
        let unable = MethodChoice.Objection(host: source, why: "Xen on nodea has no shadow paging", remedy: nil)
        #expect(MethodChoice(shared: nil, live: []).method == .live)
        let saved = MethodChoice(shared: nil, live: [unable])
        #expect(saved.method == .oneFreeze && saved.reason.contains("no shadow paging"))
        #expect(saved.findings(domain, source).allSatisfy { $0.severity == .fine })
        for wish in [MigrationPlan.Method.live, .threeFreeze] {
            let findings = MethodChoice(shared: wish, live: [unable]).findings(domain, source)
            #expect(findings.contains { $0.severity == .blocking }, "\(wish)")
        }
        #expect(
            MethodChoice(shared: .oneFreeze, live: []).findings(domain, source).allSatisfy { $0.severity == .fine })
    }
}

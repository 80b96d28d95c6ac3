import DeviceMapper
import Foundation
import HostModel
import Hosts
import Replication
import Storage
import Testing

@testable import Operations

@Suite("Switches of a host's volumes")
struct VolumeSwitchTests {
    private static let identity = MappedIdentity.ofSwitch(VolumeName(unchecked: "web1"), logicalVolumeUUID: "abc")
    private static let lower = MappedIdentity.ofLower(VolumeName(unchecked: "web1"), logicalVolumeUUID: "abc")
    private static let lv = BlockDeviceNumber(major: 253, minor: 0)

    private static func device(
        _ identity: MappedIdentity, uuid: String? = nil, openCount: Int = 0, isSuspended: Bool = false
    ) -> MappedDevice {
        MappedDevice(
            name: identity.name, uuid: uuid ?? identity.uuid, number: BlockDeviceNumber(major: 253, minor: 9),
            isSuspended: isSuspended, table: MappingTable(linearTo: lv, sectors: 131_072), hasInactiveTable: false,
            openCount: openCount)
    }

    private func withHost(
        _ mapper: SimulatedMapper, _ body: (HostContext, RecordedPrograms) async throws -> Void
    ) async throws {
        let root = FileManager.default.temporaryDirectory.path + "/xenlvs-switch-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try Data("host: nodea\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        let programs = RecordedPrograms()
        let paths = Paths(
            state: root + "/state", run: root + "/run", links: root + "/links", configuration: root + "/xenlvs.yaml")
        try await body(
            try HostContext(
                paths: paths, runner: programs, crashPoints: [], trace: { _ in }, tree: DeviceTree(owner: geteuid()),
                initiator: .live, mapper: mapper), programs)
    }

    private func volume(_ goal: SwitchGoal? = .volume) throws -> Volume {
        var volume = try Sample.volume("web1")
        volume.switchGoal = goal
        return volume
    }

    private func drbd(_ minor: UInt32) -> BlockDeviceNumber { BlockDeviceNumber(major: 147, minor: minor) }

    @Test("A switch is led elsewhere once, with the volume's size, and is let alone where it leads there already")
    func leads() async throws {
        let web1 = try volume()
        let mapper = SimulatedMapper([Self.device(Self.identity, openCount: 1)])
        try await withHost(mapper) { host, _ in
            let first = try await host.switches.lead(web1, to: drbd(3))
            let second = try await host.switches.lead(web1, to: drbd(3))
            #expect(first != nil && second == nil)
        }
        #expect(mapper.changes == ["change xenlvs-switch-web1 to 0 131072 linear 147:3 0"])
    }

    @Test("A suspended switch is not taken for one that leads where it has to")
    func suspended() async throws {
        let web1 = try volume()
        let mapper = SimulatedMapper([Self.device(Self.identity, isSuspended: true)])
        try await withHost(mapper) { host, _ in
            let facts = try await host.switches.facts(web1)
            #expect(facts.verdict == .suspended)
            let change = try await host.switches.lead(web1, to: Self.lv)
            #expect(change != nil)
        }
    }

    @Test("A stranger of the switch's name is neither changed nor removed")
    func stranger() async throws {
        let web1 = try volume()
        let mapper = SimulatedMapper([Self.device(Self.identity, uuid: "other-1")])
        try await withHost(mapper) { host, _ in
            let failure = await #expect(throws: Failure.self) {
                try await host.switches.lead(web1, to: drbd(3))
            }
            #expect(failure?.code == .refused)
            try await host.switches.takeAway(web1)
            let facts = try await host.switches.facts(web1)
            #expect(facts.verdict == .foreign)
        }
        #expect(mapper.changes.isEmpty)
    }

    @Test("With a volume go the device below DRBD and the switch; without a switch nothing is looked for")
    func takeAway() async throws {
        let web1 = try volume()
        let mapper = SimulatedMapper([Self.device(Self.identity), Self.device(Self.lower)])
        try await withHost(mapper) { host, _ in
            try await host.switches.takeAway(try volume(nil))
            #expect(mapper.changes.isEmpty)
            try await host.switches.takeAway(web1)
            try await host.switches.takeAway(web1)
        }
        #expect(mapper.changes == ["remove xenlvs-lower-web1", "remove xenlvs-switch-web1"])
    }

    @Test("A switch that is open stays")
    func busy() async throws {
        let web1 = try volume()
        let mapper = SimulatedMapper([Self.device(Self.identity, openCount: 1)])
        try await withHost(mapper) { host, _ in
            let failure = await #expect(throws: Failure.self) { try await host.switches.takeAway(web1) }
            #expect(failure?.code == .busy)
        }
        #expect(mapper.devices.count == 1)
    }

    @Test("No switch is led to a replica that is gone, and what to do is told")
    func replicaGone() async throws {
        let web1 = try volume()
        let mapper = SimulatedMapper([Self.device(Self.identity, openCount: 1)])
        try await withHost(mapper) { host, _ in
            let worker = HostWorker(host: host, version: "test")
            // DRBD's highest minor, which no host has.
            let failure = await #expect(throws: Failure.self) {
                try await worker.lead(web1, toReplica: 1_048_575)
            }
            #expect(failure?.code == .failed && failure?.host == "nodea" && failure?.remedy?.isEmpty == false)
            #expect(failure?.what.contains("/dev/drbd1048575") == true)
        }
        #expect(mapper.changes.isEmpty)
    }

    @Test(
        "No guest is led to a replica that would not take its requests",
        arguments: [
            ("Primary suspended:no", "UpToDate", 3, nil),
            ("Secondary suspended:no", "UpToDate", 3, "Read-only file system"),
            ("Primary suspended:no", "Diskless", 3, "its disk Diskless"),
            ("Primary suspended:no", "Failed", 3, "would fail, or wait"),
            ("Primary suspended:user", "UpToDate", 3, "would fail, or wait"),
            ("Primary suspended:no", "UpToDate", 4, "would fail, or wait"),
        ] as [(String, String, Int, String?)])
    func objections(_ role: String, _ disk: String, _ minor: Int, _ words: String?) throws {
        let events = """
            exists resource name:xenlvs-web1 role:\(role)
            exists device name:xenlvs-web1 volume:0 minor:\(minor) disk:\(disk)
            exists -
            """
        let status = try ReplicaStatus.parse(events2: events, resource: "xenlvs-web1")
        let why = StandaloneReplica.objection(to: status, minor: 3)
        if let words { #expect(why?.contains(words) == true) } else { #expect(why == nil) }
        #expect(StandaloneReplica.objection(to: nil, minor: 3)?.contains("gone") == true)
    }

    @Test("Where a stranger has the switch's name no LV is made")
    func createRefused() async throws {
        let mapper = SimulatedMapper([Self.device(Self.identity, uuid: "other-1")])
        try await withHost(mapper) { host, programs in
            let failure = await #expect(throws: Failure.self) {
                try await VolumeManager(host: host).create(
                    try VolumeName("web1"), size: .mebibytes(64), at: try Sample.lvPlace("web1"), hasSwitch: true)
            }
            #expect(failure?.code == .refused)
            #expect(failure?.why == "its UUID is other-1")
            #expect(programs.mutations.isEmpty)
        }
    }

    @Test("A swap is refused without a switch, of an old copy and of no volume, each with what to do")
    func swapRefused() async throws {
        try await withHost(SimulatedMapper()) { host, _ in
            let manager = SwapManager(worker: HostWorker(host: host, version: "test"))
            func refusal(_ name: String) async throws -> Failure? {
                await #expect(throws: Failure.self) {
                    try await manager.swap(try VolumeName(name), device: nil, onto: .replica)
                }
            }
            let unknown = try await refusal("web1")
            #expect(unknown?.code == .notFound)
            try host.put(try volume(nil))
            let bare = try await refusal("web1")
            #expect(bare?.code == .refused && bare?.remedy?.contains("xenlvs domain prepare") == true)
            var old = try volume()
            old.state = .retired(migration: "web1-20261121-0001")
            try host.put(old)
            let retired = try await refusal("web1")
            #expect(retired?.why?.contains("web1-20261121-0001") == true)
        }
    }
}

import DeviceMapper
import Foundation
import HostModel
import Hosts
import Migration
import Storage
import Testing

@testable import Operations

@Suite("What is recorded of a switch that is made, and a migration that begins meanwhile")
struct SwitchRecordTests {
    private static let identity = MappedIdentity.ofSwitch(VolumeName(unchecked: "web1"), logicalVolumeUUID: "abc")

    /// A host that has just made the switch of web1, which is recorded without one.
    private func withHost(_ body: (DomainPreparer, Volume, SimulatedMapper) async throws -> Void) async throws {
        let root = FileManager.default.temporaryDirectory.path + "/xenlvs-record-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try Data("host: nodea\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        let mapper = SimulatedMapper([
            MappedDevice(
                name: Self.identity.name, uuid: Self.identity.uuid, number: BlockDeviceNumber(major: 253, minor: 9),
                isSuspended: false, table: MappingTable(linearTo: Sample.lower, sectors: 131_072),
                hasInactiveTable: false, openCount: 0)
        ])
        let paths = Paths(
            state: root + "/state", run: root + "/run", links: root + "/links", configuration: root + "/xenlvs.yaml")
        let host = try HostContext(
            paths: paths, runner: RecordedPrograms(), crashPoints: [], trace: { _ in },
            tree: DeviceTree(owner: geteuid()), initiator: .live, mapper: mapper)
        let volume = try Sample.volume("web1")
        try host.put(volume)
        try await body(DomainPreparer(worker: HostWorker(host: host, version: "test")), volume, mapper)
    }

    /// A migration has begun since it was looked for, or has ended.
    private func insertMigration(_ host: HostContext, isOpen: Bool) throws {
        let spec = try TargetHost.spec()
        try host.database.insert(
            MigrationRecord(
                id: spec.id.text, domain: spec.domain.text, role: .source, epoch: 0, spec: try JSONText.encode(spec),
                machine: try JSONText.encode(MigrationMachine(plan: spec.plan)), decided: false, isOpen: isOpen,
                created: 1, updated: 1), minors: [], ports: [])
    }

    private func expectRefused(_ failure: Failure?) {
        #expect(failure?.code == .busy && failure?.what == "cannot put a switch before 'web1'")
        #expect(failure?.why == "migration web1-20261121-0001 is not finished")
        #expect(failure?.remedy?.contains("xenlvs migration status web1-20261121-0001") == true)
    }

    @Test("A switch that was just made goes again, and the volume stays recorded without one")
    func made() async throws {
        try await withHost { preparer, volume, mapper in
            try insertMigration(preparer.host, isOpen: true)
            var wanted = volume
            wanted.switchGoal = .volume
            expectRefused(await failure { try await preparer.recordMade(wanted) })
            #expect(try preparer.host.recordedVolume(volume.name) == volume)
            #expect(mapper.changes == ["remove xenlvs-switch-web1"])
        }
    }

    @Test("Without one, or after its end, it is recorded and stays", arguments: [false, true])
    func allowed(_ hasEnded: Bool) async throws {
        try await withHost { preparer, volume, mapper in
            if hasEnded { try insertMigration(preparer.host, isOpen: false) }
            var wanted = volume
            wanted.switchGoal = .volume
            try await preparer.recordMade(wanted)
            #expect(try preparer.host.recordedVolume(volume.name) == wanted)
            #expect(mapper.changes.isEmpty)
        }
    }

    @Test("No adoption is recorded beside a migration, and none begins beside an adoption")
    func adoption() async throws {
        try await withHost { preparer, volume, mapper in
            var pending = volume
            pending.adoption = SwitchAdoption(group: "u", former: "abc", next: "def")
            let begun = await failure {
                try insertMigration(preparer.host, isOpen: true)
                try DomainPreparer.record(pending, on: preparer.host)
            }
            expectRefused(begun)
            let recorded = try preparer.host.recordedVolume(volume.name)
            #expect(recorded == volume)
            #expect(mapper.changes.isEmpty)
        }
        try await withHost { preparer, volume, _ in
            var pending = volume
            pending.adoption = SwitchAdoption(group: "u", former: "abc", next: "def")
            try DomainPreparer.record(pending, on: preparer.host)
            let starter = MigrationStarter(worker: preparer.worker)
            #expect(await failure { try starter.begin(try TargetHost.spec()) }?.code == .busy)
        }
    }
}

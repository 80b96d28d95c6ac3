import Foundation
import HostModel
import Hosts
import Storage
import Testing

@testable import Operations

@Suite("What hangs on a volume that is to be removed")
struct VolumeDependantsTests {
    private static let reference = LogicalVolumeReference(
        group: VolumeGroupName(unchecked: "vg0"), name: LogicalVolumeName(unchecked: "web1"))

    /// A thick one and a thin one, each of web1, and one of another LV, as `lvs` lists them.
    private func snapshots() throws -> [Snapshot] {
        try SnapshotCommands.parse(
            """
            {"report": [{"lv": [
            {"vg_name":"vg0", "lv_name":"web1.cp1", "origin":"web1", "lv_size":"12582912", "data_percent":"41.67", \
            "lv_attr":"swi-a-s---"},
            {"vg_name":"vg0", "lv_name":"thin", "origin":"web1", "lv_size":"67108864", "data_percent":"0.00", \
            "lv_attr":"Vwi---tz-k"},
            {"vg_name":"vg0", "lv_name":"other", "origin":"web10", "lv_size":"12582912", "data_percent":"1.00", \
            "lv_attr":"swi-a-s---"}]}]}
            """)
    }

    private func uses(_ snapshots: [Snapshot], _ checkpoints: [Checkpoint], uuid: String? = "abc") -> [VolumeUse] {
        VolumeDependants(of: Self.reference, uuid: uuid, among: snapshots, checkpoints).uses
    }

    @Test("Snapshots of any kind count, and those of a checkpoint by the checkpoint")
    func kinds() throws {
        let checkpoint = try Sample.checkpoint(of: "web1")
        #expect(uses(try snapshots(), []) == [VolumeUse(.snapshot, "web1.cp1"), VolumeUse(.snapshot, "thin")])
        #expect(
            uses(try snapshots(), [checkpoint]) == [VolumeUse(.checkpoint, "web1-1"), VolumeUse(.snapshot, "thin")])
        #expect(uses([], []).isEmpty)
    }

    @Test("A checkpoint is known by its snapshot, and by the LV's UUID where that is lost")
    func checkpoints() throws {
        let checkpoint = try Sample.checkpoint(of: "web1")
        #expect(uses([], [checkpoint]) == [VolumeUse(.checkpoint, "web1-1")])
        #expect(uses([], [checkpoint], uuid: nil).isEmpty)
        #expect(uses([], [checkpoint], uuid: "def").isEmpty)
        #expect(uses(try snapshots(), [checkpoint], uuid: nil).first == VolumeUse(.checkpoint, "web1-1"))
    }

    // MARK: Storage that is removed

    @Test("No LV is removed with its snapshots")
    func store() async throws {
        let host = try TargetHost()
        host.programs.takeSnapshot("before", of: "db")
        let store = VolumeStore(runner: host.programs)
        let found = await failure {
            try await store.remove(try VolumeName("db"), .data, at: try Sample.lvPlace("db"))
        }
        #expect(found?.code == .busy && found?.what == "cannot remove vg0/db")
        #expect(found?.why == "it has a snapshot 'before'")
        #expect(found?.remedy?.contains("xenlvs volume remove before") == true)
        #expect(host.programs.mutations.isEmpty)
        try await store.remove(try VolumeName("old"), .data, at: try Sample.lvPlace("old"))
        #expect(host.programs.names == ["db", "root", "before"])
    }

    /// Somebody takes a snapshot while `lvremove` waits for LVM's lock.
    private struct LatePrograms: CommandRunner {
        let programs: RecordedPrograms

        func run(_ command: Command) async throws -> CommandResult {
            if command.arguments.first == "lvremove" { programs.takeSnapshot("late", of: "db") }
            return try await programs.run(command)
        }
    }

    @Test("Nor with one that is taken between the look and the removal")
    func late() async throws {
        let host = try TargetHost()
        let store = VolumeStore(runner: LatePrograms(programs: host.programs))
        let found = await failure {
            try await store.remove(try VolumeName("db"), .data, at: try Sample.lvPlace("db"))
        }
        #expect(found?.code == .busy && found?.why == "it has a snapshot 'late'")
        #expect(host.programs.names == ["db", "old", "root", "late"])
    }

    @Test("'volume remove' tells what hangs on the volume, and what removes that")
    func volumeRemove() async throws {
        let host = try TargetHost()
        func refusal() async -> Failure? {
            await failure { _ = try await VolumeManager(host: host.host).remove(try VolumeName("db"), force: true) }
        }
        host.programs.takeSnapshot("db.cp1", of: "db")
        let snapshot = await refusal()
        #expect(snapshot?.code == .busy && snapshot?.why == "it has a snapshot 'db.cp1'")
        try CheckpointStore(host.host.paths).save(try Sample.checkpoint(of: "db"))
        let checkpoint = await refusal()
        #expect(checkpoint?.code == .busy && checkpoint?.why == "the checkpoint 'db-1' needs it")
        #expect(checkpoint?.remedy?.contains("xenlvs domain checkpoint remove db-1") == true)
        #expect(host.programs.mutations.isEmpty)
    }

    // MARK: Before a migration

    private func findings(_ host: TargetHost, removesSource: Bool, configured: Bool = false) async throws -> [Finding] {
        let text = "host: nodeb\n" + (configured ? "remove_source: true\n" : "")
        try Data(text.utf8).write(to: URL(fileURLWithPath: host.root + "/xenlvs.yaml"))
        let context = try HostContext(paths: host.host.paths, runner: host.programs)
        return try await MigrationStarter(worker: HostWorker(host: context, version: "test")).removalFindings(
            MigrationRequest(
                domain: try DomainName("db"), target: try HostName("nodea"), targetGroup: nil,
                removesSource: removesSource), [try VolumeName("db"), try VolumeName("unknown")])
    }

    @Test("A migration that is to remove its source is refused where something hangs on that, and says what")
    func refused() async throws {
        let host = try TargetHost()
        #expect(try await findings(host, removesSource: true).isEmpty)
        try CheckpointStore(host.host.paths).save(try Sample.checkpoint(of: "db"))
        for name in ["db.cp1", "before"] { host.programs.takeSnapshot(name, of: "db") }
        let found = try await findings(host, removesSource: true)
        let finding = try #require(found.first)
        #expect(found.count == 1 && finding.severity == .blocking && finding.host == "nodeb")
        #expect(finding.what == "the volume db cannot be removed after the migration")
        #expect(finding.why == "the checkpoint 'db-1' needs it; it has a snapshot 'before'")
        for words in [
            "xenlvs domain checkpoint remove db-1", "xenlvs volume remove before", "migrate without --remove-source",
        ] {
            #expect(finding.remedy?.contains(words) == true, "\(String(describing: finding.remedy))")
        }
        #expect(try await findings(host, removesSource: false).isEmpty)
    }

    @Test("So it is where the configuration has it removed, and the configuration is named")
    func configured() async throws {
        let host = try TargetHost()
        host.programs.takeSnapshot("before", of: "db")
        let finding = try #require(try await findings(host, removesSource: false, configured: true).first)
        #expect(finding.severity == .blocking)
        #expect(finding.remedy?.contains("'remove_source: false' in \(host.root)/xenlvs.yaml") == true)
        #expect(host.programs.mutations.isEmpty)
    }
}

import DeviceMapper
import Foundation
import Glibc
import HostModel
import Hosts
import ISCSI
import Storage
import Synchronization
import Testing

@testable import Operations

@Suite("Paths are checked within the daemon")
struct PathCheckerTests {
    private final class Stage: Sendable {
        let root = "/tmp/xenlvs-checker-\(UInt64.random(in: 0...UInt64.max))"
        let mapper = SimulatedMapper()
        let lines = Mutex<[String]>([])
        let paths: Paths

        init() throws {
            for place in ["/dev", "/sys", "/proc", "/state"] {
                try FileManager.default.createDirectory(atPath: root + place, withIntermediateDirectories: true)
            }
            paths = Paths(
                state: root + "/state", run: root + "/run", links: root + "/dev/xenlvs",
                configuration: root + "/xenlvs.yaml")
            try PrivateDirectory.prepare(paths.run)
        }

        deinit { try? FileManager.default.removeItem(atPath: root) }

        func checker() -> PathChecker {
            let (keeper, say) = (keeper, say)
            return PathChecker(pause: .milliseconds(10), say: say) { try PathWatch(keeper, say: say) }
        }

        var keeper: MapKeeper {
            MapKeeper(
                mapper: mapper, runner: ProcessRunner(),
                tree: DeviceTree(
                    devices: root + "/dev", sysfs: root + "/sys", processes: root + "/proc", root: root,
                    owner: geteuid()), paths: paths)
        }

        var say: @Sendable (String) -> Void {
            return { line in self.lines.withLock { $0.append(line) } }
        }

        /// As the kernel shows a disk that has no node yet.
        func showDisk(_ name: String, number: String, _ page: [UInt8]) throws {
            let place = "\(root)/sys/block/\(name)"
            try FileManager.default.createDirectory(atPath: place + "/device", withIntermediateDirectories: true)
            for (file, bytes) in [
                ("dev", Array(number.utf8)), ("size", Array("2048".utf8)), ("device/state", Array("running".utf8)),
                ("device/vpd_pg83", page),
            ] {
                try Data(bytes).write(to: URL(fileURLWithPath: "\(place)/\(file)"))
            }
        }

        func makeMap(queues: Bool) throws {
            let record = MapRecord(
                name: VolumeName(unchecked: "data"), wwid: "36001405000000000", policy: MapPolicy(),
                isOfAttachment: true)
            var target = record.policy.target(over: [BlockDeviceNumber(major: 8, minor: 16)])
            target.queuesWithoutPath = queues
            try mapper.create(record.identity, MappingTable(over: target, sectors: 2048))
            try MapStore(paths).save(record)
        }

        /// On a thread of its own: it waits for what needs one of the few that tests have.
        func end(_ checker: PathChecker) async throws -> Bool {
            try await Blocking.run("the end") { checker.end(within: .seconds(60)) }
        }

        func wait(_ condition: () throws -> Bool) async throws {
            for _ in 0..<6000 {
                if try condition() { return }
                try await Task.sleep(for: .milliseconds(10))
            }
            Issue.record("it has not come to that: \(mapper.changes) \(lines.withLock { $0 })")
        }
    }

    @Test("A map that is made later is looked after, and no request of it waits after the end")
    func laterMap() async throws {
        let stage = try Stage()
        let checker = stage.checker()
        #expect(
            try MapKeeper(mapper: stage.mapper, runner: ProcessRunner(), tree: DeviceTree(), paths: stage.paths)
                .isWatched)
        try stage.makeMap(queues: true)
        // The kernel has no such disk any more.
        try await stage.wait {
            stage.mapper.changes.contains(
                "tell xenlvs-mpath-data \(MultipathMessage.failPath(BlockDeviceNumber(major: 8, minor: 16)))")
        }
        #expect(!stage.mapper.changes.contains("tell xenlvs-mpath-data \(MultipathMessage.failIfNoPath)"))
        #expect(try await stage.end(checker))
        #expect(stage.mapper.changes.last == "tell xenlvs-mpath-data \(MultipathMessage.failIfNoPath)")
    }

    @Test("What keeps a disk out of a map keeps no path that it has from being looked at")
    func incomplete() async throws {
        let stage = try Stage()
        let page = FakeISCSI.page(.init(serial: 7, megabytes: 1))
        try stage.showDisk("sdz", number: "65:144", page)
        let record = MapRecord(
            name: VolumeName(unchecked: "data"), wwid: try SCSIPage.wwid(identification: page), policy: MapPolicy(),
            isOfAttachment: false)
        let lost = BlockDeviceNumber(major: 8, minor: 16)
        try stage.mapper.create(record.identity, MappingTable(over: record.policy.target(over: [lost]), sectors: 2048))
        try MapStore(stage.paths).save(record)
        let watch = try PathWatch(stage.keeper, say: stage.say)
        await watch.tick()
        let lines = stage.lines.withLock { $0 }
        #expect(lines.contains { $0.contains("there is no node of sdz") }, "\(lines)")
        #expect(stage.mapper.changes.contains("tell xenlvs-mpath-data \(MultipathMessage.failPath(lost))"))
    }

    @Test("Where somebody else checks paths it waits for its turn, and says so once")
    func turn() async throws {
        let stage = try Stage()
        try stage.makeMap(queues: false)
        var other: FileLock? = try FileLock(path: MapKeeper.watchLock(stage.paths), purpose: "checking paths")
        let checker = stage.checker()
        try await stage.wait { !stage.lines.withLock { $0.isEmpty } }
        try await Task.sleep(for: .milliseconds(100))
        #expect(stage.lines.withLock { $0 }.count == 1 && stage.mapper.changes.count == 1)
        #expect(stage.lines.withLock { $0 }[0].contains("checking paths is under way in another process"))
        other = nil
        _ = other == nil
        try await stage.wait { stage.mapper.changes.count > 1 }
        #expect(try await stage.end(checker))
        #expect(stage.lines.withLock { $0 }.contains("paths are checked here now"))
    }
}

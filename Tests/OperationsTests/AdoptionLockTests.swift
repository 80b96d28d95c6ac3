import Foundation
import HostModel
import Hosts
import Storage
import Synchronization
import Testing

@testable import Operations

@Suite("A guest's device that is looked at under LVM's lock")
struct AdoptionLockTests {
    @Test("A snapshot that was taken while the lock was waited for is seen, and nothing is begun")
    func snapshot() async throws {
        let root = FileManager.default.temporaryDirectory.path + "/xenlvs-adopt-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: root) }
        for directory in ["/lock", "/state"] {
            try FileManager.default.createDirectory(atPath: root + directory, withIntermediateDirectories: true)
        }
        try Data("host: nodea\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        let (lvm, mapper) = (LockedLVM(locks: root + "/lock"), SimulatedMapper())
        let host = try HostContext(
            paths: Paths(
                state: root + "/state", run: root + "/run", links: root + "/links",
                configuration: root + "/xenlvs.yaml"),
            runner: lvm, crashPoints: [], trace: { _ in }, tree: DeviceTree(owner: geteuid()), initiator: .live,
            mapper: mapper)
        let volume = try Sample.volume("web1")
        try host.put(volume)
        let failure = await #expect(throws: Failure.self) { _ = try await SwitchAdopter(host: host).adopt(volume) }
        #expect(failure?.code == .refused && failure?.why?.contains("origin") == true)
        #expect(try host.recordedVolume(volume.name) == volume)
        #expect(mapper.changes.isEmpty)
        // With the lock held, and without waiting for it.
        #expect(lvm.asked == ["lvs --nolocking, held", "vgs --nolocking, held"])
        #expect(lvm.isFree)
    }
}

/// LVM with a group in which web1 has got a snapshot.
private final class LockedLVM: CommandRunner {
    private let locks: String
    private let state = Mutex<[String]>([])

    init(locks: String) { self.locks = locks }

    /// What it was asked, and whether its lock was held then.
    var asked: [String] { state.withLock { $0 } }

    var isFree: Bool {
        do {
            let lock = try FileLock(path: locks + "/V_vg0", purpose: "a test")
            withExtendedLifetime(lock) {}
            return true
        } catch { return false }
    }

    func run(_ command: Command) async throws -> CommandResult {
        let output: String
        switch command.arguments.first {
        case "lvmconfig": output = "locking_dir=\"\(locks)\"\nuse_lvmlockd=0\nwait_for_locks=1\n"
        case "lvs": output = Self.volume
        case "vgs": output = Self.group
        default: throw Failure(.usage, "nothing else is to be done: \(command)")
        }
        if command.arguments.first != "lvmconfig" {
            let words = command.arguments.prefix(2).joined(separator: " ") + (isFree ? ", free" : ", held")
            state.withLock { $0.append(words) }
        }
        return CommandResult(termination: .exited(0), output: output, errors: "")
    }

    private static let volume = """
        {"report": [{"lv": [{"vg_name":"vg0", "lv_name":"web1", "lv_uuid":"abc", "lv_size":"67108864", \
        "lv_attr":"owi-aos---", "lv_tags":"", "lv_layout":"linear", "lv_role":"public,origin,thickorigin", \
        "lv_health_status":"", "lv_device_open":"open", "lv_kernel_major":"253", "lv_kernel_minor":"0"}]}]}
        """

    private static let group = """
        {"report": [{"vg": [{"vg_name":"vg0", "vg_uuid":"u", "vg_size":"8585740288", "vg_free":"1073741824", \
        "vg_extent_size":"4194304", "vg_attr":"wz--n-", "vg_missing_pv_count":"0"}]}]}
        """
}

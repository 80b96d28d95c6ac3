import DeviceMapper
import Foundation
import HostModel
import Hosts
import Storage
import Synchronization
import Testing

@testable import Operations

@Suite("A guest's device that becomes a switch under LVM's lock")
struct AdoptionLockTests {
    private static let volume = VolumeName(unchecked: "web1")
    private static let reference = LogicalVolumeReference(
        group: VolumeGroupName(unchecked: "vg0"), name: LogicalVolumeName(unchecked: "web1"))
    private static let identities = SwitchAdopter.Identities(
        volume, reference, SwitchAdoption(group: "u", former: "abc", next: "def"))

    /// The devices of an adoption before LVM has the new UUID.
    private static func devices() -> [MappedDevice] {
        let table = MappingTable(parsing: "0 131072 linear 202:16 2048")
        let coming = BlockDeviceNumber(major: 253, minor: 1)
        return [
            (identities.adopted, Sample.lower, MappingTable(linearTo: coming, sectors: 131_072)),
            (identities.coming, coming, table),
        ].map { identity, number, table in
            MappedDevice(
                name: identity.name, uuid: identity.uuid, number: number, isSuspended: false, table: table,
                hasInactiveTable: false, openCount: 0)
        }
    }

    private func withHost(
        _ mapper: SimulatedMapper, isOrigin: Bool = false, _ body: (HostContext, LockedLVM) async throws -> Void
    ) async throws {
        let root = FileManager.default.temporaryDirectory.path + "/xenlvs-adopt-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: root) }
        for directory in ["/lock", "/state"] {
            try FileManager.default.createDirectory(atPath: root + directory, withIntermediateDirectories: true)
        }
        try Data("host: nodea\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        let lvm = LockedLVM(locks: root + "/lock", isOrigin: isOrigin)
        let host = try HostContext(
            paths: Paths(
                state: root + "/state", run: root + "/run", links: root + "/links",
                configuration: root + "/xenlvs.yaml"),
            runner: lvm, crashPoints: [], trace: { _ in }, tree: DeviceTree(owner: geteuid()), initiator: .live,
            mapper: mapper)
        try await body(host, lvm)
    }

    /// The volume as it is recorded while it is adopted.
    private func pending(_ host: HostContext) throws -> Volume {
        var volume = try Sample.volume("web1")
        volume.adoption = SwitchAdoption(group: "u", former: "abc", next: "def")
        try host.put(volume)
        return volume
    }

    @Test("A snapshot that was taken while the lock was waited for is seen, and nothing is begun")
    func snapshot() async throws {
        let mapper = SimulatedMapper()
        try await withHost(mapper, isOrigin: true) { host, lvm in
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

    @Test("While nobody knows whether LVM will have the new UUID nothing is taken back, whatever LVM says")
    func unknown() async throws {
        let mapper = SimulatedMapper(Self.devices())
        try await withHost(mapper) { host, lvm in
            let (adopter, pending) = (SwitchAdopter(host: host), try pending(host))
            let failure = await #expect(throws: Failure.self) {
                _ = try await adopter.settling(pending) {
                    try await adopter.locked(Self.reference.group) { lock in
                        try await adopter.commit(Self.volume, Self.reference.group, Self.identities, under: lock)
                    }
                }
            }
            #expect(failure?.code == .needsRecovery && failure?.remedy?.contains("xenlvs link repair web1") == true)
            #expect(mapper.changes.isEmpty)
            #expect(try host.recordedVolume(pending.name) == pending)
            #expect(lvm.asked == ["vgcfgrestore --nolocking, held"])
        }
    }

    @Test("What was begun is taken back under the lock, once no command of a killed run may give the LV its new UUID")
    func waits() async throws {
        let mapper = SimulatedMapper(Self.devices())
        try await withHost(mapper) { host, lvm in
            let (adopter, pending) = (SwitchAdopter(host: host), try pending(host))
            let file = adopter.metadataFile(Self.volume)
            lvm.watch(file)
            let command = Process()
            command.executableURL = URL(fileURLWithPath: "/bin/sh")
            command.arguments = [
                "-c", "read line; sleep 3; :", "lvm-worker", "--", "vgcfgrestore", "--file", file, "vg0",
            ]
            // However long it takes to begin, and to be seen, it goes on for as long after that.
            let input = Pipe()
            command.standardInput = input
            try command.run()
            // A child is there before its program is.
            for _ in 0..<6000 where try !ProcessTable.isTakingMetadata(from: file) {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(try ProcessTable.isTakingMetadata(from: file))
            #expect(try !ProcessTable.isTakingMetadata(from: file + "x"))
            try input.fileHandleForWriting.close()
            // It ends where the LV's device, which is not there, would get its link.
            await #expect(throws: Failure.self) { _ = try await adopter.settled(pending) }
            #expect(lvm.asked.prefix(2) == ["lvs --nolocking, held", "lvchange --refresh, free"])
            #expect(
                mapper.changes == [
                    "change xenlvs-switch-web1 to 0 131072 linear 202:16 2048", "remove xenlvs-coming-web1",
                    "rename xenlvs-switch-web1 to vg0-web1",
                ])
            command.waitUntilExit()
        }
    }
}

/// LVM with a group in which web1 is, and has got a snapshot where a test wants it. It never says how a change of metadata ends.
private final class LockedLVM: CommandRunner {
    private let locks: String
    private let isOrigin: Bool
    private let state = Mutex((asked: [String](), file: String?.none))

    init(locks: String, isOrigin: Bool) {
        self.locks = locks
        self.isOrigin = isOrigin
    }

    /// What it was asked, whether its lock was held then, and whether a command took metadata from a file.
    var asked: [String] { state.withLock { $0.asked } }
    func watch(_ file: String) { state.withLock { $0.file = file } }

    var isFree: Bool {
        do {
            let lock = try FileLock(path: locks + "/V_vg0", purpose: "a test")
            withExtendedLifetime(lock) {}
            return true
        } catch { return false }
    }

    func run(_ command: Command) async throws -> CommandResult {
        let verb = command.arguments.first
        if verb != "lvmconfig" {
            let file = state.withLock { $0.file }
            let isTaking = try file.map { try ProcessTable.isTakingMetadata(from: $0) } ?? false
            let words =
                command.arguments.prefix(2).joined(separator: " ") + (isFree ? ", free" : ", held")
                + (isTaking ? ", beside vgcfgrestore" : "")
            state.withLock { $0.asked.append(words) }
        }
        let output: String
        switch verb {
        case "lvmconfig": output = "locking_dir=\"\(locks)\"\nuse_lvmlockd=0\nwait_for_locks=1\n"
        case "lvs": output = volume
        case "vgs": output = Self.group
        case "lvchange": output = ""
        case "vgcfgrestore": throw Failure(.outcomeUnknown, "'\(command)' is still running", why: "it took too long")
        default: throw Failure(.usage, "nothing else is to be done: \(command)")
        }
        return CommandResult(termination: .exited(0), output: output, errors: "")
    }

    private var volume: String {
        """
        {"report": [{"lv": [{"vg_name":"vg0", "lv_name":"web1", "lv_uuid":"abc", "lv_size":"67108864", \
        "lv_attr":"\(isOrigin ? "o" : "-")wi-aos---", "lv_tags":"", "lv_layout":"linear", \
        "lv_role":"public\(isOrigin ? ",origin,thickorigin" : "")", \
        "lv_health_status":"", "lv_device_open":"open", "lv_kernel_major":"253", "lv_kernel_minor":"0"}]}]}
        """
    }

    private static let group = """
        {"report": [{"vg": [{"vg_name":"vg0", "vg_uuid":"u", "vg_size":"8585740288", "vg_free":"1073741824", \
        "vg_extent_size":"4194304", "vg_attr":"wz--n-", "vg_missing_pv_count":"0"}]}]}
        """
}

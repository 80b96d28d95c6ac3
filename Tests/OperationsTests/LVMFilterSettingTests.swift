import DeviceMapper
import Foundation
import Glibc
import HostModel
import Hosts
import Storage
import Synchronization
import Testing

@testable import Operations

/// LVM's own `lvmconfig` reads everything that is written here.
@Suite("LVM is kept off guests' disks")
struct LVMFilterSettingTests {
    @Test("It is set once, with LVM's word before and after, and taken back to what was there")
    func setAndTakenBack() async throws {
        let host = try LVMTestHost(local: "local {\n}\n")
        #expect(try await LVMReach.read(host.context).kindsLookedInto().count == 5)
        let found = try await host.setting.set()
        #expect(found.map(\.severity) == [.fine, .fine] && found[1].what.contains("/dev/mapper/xenlvs-switch-web1 of"))
        #expect(try await LVMReach.read(host.context).kindsLookedInto().isEmpty)
        #expect(host.local?.hasPrefix("local {\n}\n#") == true && host.mode == 0o644)
        #expect(host.text("lvmlocal.conf.before-xenlvs") == "local {\n}\n")
        let text = host.local
        let again = try await host.setting.set()
        #expect(again.count == 1 && again[0].what.contains("nothing to do") && host.local == text)

        let removed = try await host.setting.remove()
        #expect(removed.map(\.severity) == [.warning] && host.local == "local {\n}\n")
        #expect(host.text("lvmlocal.conf.before-xenlvs") == nil)
        #expect(try await host.setting.remove().map(\.severity) == [.fine])
        #expect(!FileManager.default.fileExists(atPath: host.context.paths.run + "/lvm-trial"))
    }

    @Test("Where there was no file there is none afterwards, and one of an older version is brought up to date")
    func noFile() async throws {
        let host = try LVMTestHost()
        _ = try await host.setting.set()
        #expect(host.text("lvmlocal.conf.before-xenlvs") == nil && host.local != nil)
        try host.write("lvmlocal.conf", try #require(host.local).replacing(#", "r|^/dev/etherd/|""#, with: ""))
        #expect(try await LVMReach.read(host.context).kindsLookedInto() == ["AoE devices"])
        _ = try await host.setting.set()
        #expect(try await LVMReach.read(host.context).kindsLookedInto().isEmpty)
        _ = try await host.setting.remove()
        #expect(host.local == nil)
    }

    @Test("An administrator's filter stays, and the line that is to take its place is told")
    func foreignFilter() async throws {
        let host = try LVMTestHost(main: #"devices { global_filter = [ "r|^/dev/drbd|", "r|^/dev/zd|" ] }"#)
        let refused = await failure { _ = try await host.setting.set() }
        #expect(
            refused?.code == .refused && refused?.why?.contains("AoE devices") == true, "\(String(describing: refused))"
        )
        let line = try #require(refused?.remedy?.split(separator: ": ", maxSplits: 1).last)
        #expect(line.hasSuffix(#""r|^/dev/zd|" ]"#) && host.local == nil)
        // What is told is what puts it right.
        try host.write("lvm.conf", "devices { \(line) }")
        let found = try await host.setting.set()
        #expect(found.count == 1 && found[0].what.contains("nothing to do") && host.local == nil)

        let wide = try LVMTestHost(main: #"devices { global_filter = [ "a|^/dev/sd|", "r|.*|" ] }"#)
        let narrow = await failure { _ = try await wide.setting.set() }
        #expect(narrow?.why?.contains("disks of iSCSI sessions") == true)
        #expect(narrow?.remedy?.contains("accepts disks of iSCSI sessions under another name") == true)

        let strict = try LVMTestHost(main: #"devices { global_filter = [ "a|^/dev/vda|", "r|.*|" ] }"#)
        #expect(try await strict.setting.set().map(\.what) == ["LVM keeps off guests' disks; there is nothing to do"])
    }

    @Test("A host with a volume group of its own on such a device is left alone")
    func ownGroup() async throws {
        let host = try LVMTestHost()
        host.lvm.add("/dev/mapper/san", ["/dev/disk/by-id/dm-uuid-mpath-3600"], group: "system")
        let refused = await failure { _ = try await host.setting.set() }
        #expect(
            refused?.code == .refused && refused?.why?.contains("/dev/mapper/san of the volume group system") == true)
        #expect(host.local == nil)
    }

    @Test("A guest's volume group that is active here is not taken away from under whoever uses it")
    func activeGroup() async throws {
        let host = try LVMTestHost()
        host.lvm.activate()
        let busy = await failure { _ = try await host.setting.set() }
        #expect(busy?.code == .busy && busy?.remedy?.contains("vgchange --activate n guest") == true)
        #expect(host.local == nil)
    }

    @Test("A file that is none, or that LVM does not read, is left alone")
    func notWritten() async throws {
        let linked = try LVMTestHost()
        try linked.write("managed", "local {\n}\n")
        try FileManager.default.createSymbolicLink(
            atPath: linked.directory + "/lvmlocal.conf", withDestinationPath: "managed")
        #expect(await failure { _ = try await linked.setting.set() }?.code == .refused)
        // In front of it a section is left open: LVM would not read any of it.
        let broken = try LVMTestHost(local: "devices {\n")
        let refused = await failure { _ = try await broken.setting.set() }
        #expect(refused != nil && broken.local == "devices {\n")
    }

    @Test("Another filter behind xenlvs's is noticed, and the file as it was before")
    func shadowed() async throws {
        let host = try LVMTestHost()
        _ = try await host.setting.set()
        let text = try #require(host.local) + "devices { global_filter = [ \"a|.*|\" ] }\n"
        try host.write("lvmlocal.conf", text)
        let failed = await failure { _ = try await host.setting.set() }
        #expect(failed?.code == .failed && failed?.why?.contains("all the same") == true && host.local == text)
    }

    @Test("Where LVM has a list there is nothing to set")
    func list() async throws {
        let host = try LVMTestHost(main: "devices { use_devicesfile = 1 }")
        #expect(try await LVMReach.read(host.context).list == nil)
        try FileManager.default.createDirectory(
            atPath: host.directory + "/devices", withIntermediateDirectories: false)
        try host.write("devices/system.devices", "IDTYPE=devname IDNAME=/dev/vdb DEVNAME=/dev/vdb PVID=x\n")
        #expect(try await LVMReach.read(host.context).looks(into: ["/dev/vdb"]))
        #expect(try await !LVMReach.read(host.context).looks(into: ["/dev/drbd0"]))
        #expect(try await host.setting.set().map(\.severity) == [.fine])
        #expect(host.local == nil)
    }
}

/// A host whose LVM reads a directory of the test's.
private final class LVMTestHost {
    let root: String
    let context: HostContext
    let lvm: TestLVM
    var directory: String { root + "/etc/lvm" }
    var setting: LVMFilterSetting { LVMFilterSetting(host: context) }

    init(main: String = "global { use_aio = 0 }", local: String? = nil) throws {
        root = "/tmp/xenlvs-lvm-filter-\(UInt64.random(in: 0...UInt64.max))"
        for place in ["/etc/lvm", "/dev", "/sys", "/proc", "/state"] {
            try FileManager.default.createDirectory(atPath: root + place, withIntermediateDirectories: true)
        }
        lvm = TestLVM(directory: root + "/etc/lvm")
        try Data("host: nodea\n".utf8).write(to: URL(filePath: root + "/xenlvs.yaml"))
        context = try HostContext(
            paths: Paths(
                state: root + "/state", run: root + "/run", links: root + "/dev/xenlvs",
                configuration: root + "/xenlvs.yaml"),
            runner: lvm, crashPoints: [], trace: { _ in },
            tree: DeviceTree(
                devices: root + "/dev", sysfs: root + "/sys", processes: root + "/proc", root: root, owner: geteuid()),
            initiator: .live, mapper: SimulatedMapper())
        try write("lvm.conf", main)
        if let local {
            try write("lvmlocal.conf", local)
            chmod(directory + "/lvmlocal.conf", 0o644)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    var local: String? { text("lvmlocal.conf") }
    func text(_ name: String) -> String? { try? String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8) }
    func write(_ name: String, _ text: String) throws {
        try text.write(toFile: "\(directory)/\(name)", atomically: false, encoding: .utf8)
    }
    var mode: mode_t {
        var status = stat()
        stat(directory + "/lvmlocal.conf", &status)
        return status.st_mode & 0o777
    }
}

/// The real `lvmconfig`; physical volumes as LVM would show them by that configuration.
private final class TestLVM: CommandRunner {
    private struct State {
        var volumes: [(path: String, names: [String], group: String)] = [
            ("/dev/vda2", [], "vg0"), ("/dev/mapper/xenlvs-switch-web1", [], "guest"),
        ]
        var isActive = false
    }
    private let directory: String
    private let state = Mutex(State())

    init(directory: String) { self.directory = directory }

    func add(_ path: String, _ names: [String], group: String) {
        state.withLock { $0.volumes.append((path, names, group)) }
    }
    func activate() { state.withLock { $0.isActive = true } }

    func run(_ command: Command) async throws -> CommandResult {
        let place = command.environment["LVM_SYSTEM_DIR"] ?? directory
        switch command.arguments.first {
        case "pvs":
            let filter = try LVMDeviceFilter(parsing: try run(LVMDeviceFilter.query(), place).output)
            let rows = try state.withLock { state in
                try state.volumes.filter { try filter.accepts(anyOf: [$0.path] + $0.names) }
            }.map { #"{"pv_name":"\#($0.path)","vg_name":"\#($0.group)"}"# }
            return result(#"{"report":[{"pv":[\#(rows.joined(separator: ","))]}]}"#)
        case "lvs":
            let letter = state.withLock { $0.isActive } ? "a" : "-"
            return result(
                """
                {"report":[{"lv":[{"vg_name":"guest","lv_name":"root","lv_uuid":"u","lv_size":"4194304",\
                "lv_attr":"-wi-\(letter)-----","lv_tags":"","lv_layout":"linear","lv_role":"public","lv_health_status":"",\
                "lv_device_open":"","lv_kernel_major":"-1","lv_kernel_minor":"-1"}]}]}
                """)
        case "lvmconfig": return try run(command, place)
        default: throw Failure(.failed, "nobody expects \(command)")
        }
    }

    private func run(_ command: Command, _ place: String) throws -> CommandResult {
        let words = command.arguments.map { Command.quoted($0) }.joined(separator: " ")
        guard
            let pipe = popen("LVM_SYSTEM_DIR=\(place) LVM_SUPPRESS_FD_WARNINGS=1 /sbin/\(words) 2>/dev/null", "r")
        else { throw Failure.system("cannot run \(command)") }
        var output: [UInt8] = []
        while case let byte = fgetc(pipe), byte != EOF { output.append(UInt8(truncatingIfNeeded: byte)) }
        let code = pclose(pipe) >> 8
        guard command.acceptedExitCodes.contains(code) else {
            throw Failure(.failed, "'\(command)' ended with \(code)")
        }
        return result(String(decoding: output, as: UTF8.self), code)
    }

    private func result(_ output: String, _ code: Int32 = 0) -> CommandResult {
        CommandResult(termination: .exited(code), output: output, errors: "")
    }
}

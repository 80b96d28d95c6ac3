import DeviceMapper
import Foundation
import Glibc
import HostModel
import Hosts
import ISCSI
import Storage
import Synchronization

@testable import Operations

/// A host whose `/etc`, `/dev`, `/sys` and `/proc` are directories, with open-iscsi, a kernel, multipathd and targets.
final class ISCSIAttachmentHost {
    static let target = try! ISCSIName("iqn.2026-11.invalid.xenlvs.nodeb:web1")
    let root: String
    let host: HostContext
    let network: FakeISCSI
    let mapper: SimulatedMapper
    var manager: ISCSIAttachmentManager { ISCSIAttachmentManager(host: host) }

    init() throws {
        root = "/tmp/xenlvs-iscsi-\(UInt64.random(in: 0...UInt64.max))"
        for directory in ["/dev/mapper", "/dev/disk/by-path", "/sys", "/proc", "/state"] {
            try FileManager.default.createDirectory(atPath: root + directory, withIntermediateDirectories: true)
        }
        try Data("host: nodea\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        let tree = DeviceTree(
            devices: root + "/dev", sysfs: root + "/sys", processes: root + "/proc", root: root, owner: geteuid())
        let network = FakeISCSI(tree: tree)
        self.network = network
        mapper = SimulatedMapper { network.show($0, $1) }
        host = try HostContext(
            paths: Paths(
                state: root + "/state", run: root + "/run", links: root + "/dev/xenlvs",
                configuration: root + "/xenlvs.yaml"),
            runner: network, crashPoints: [], trace: { _ in }, tree: tree,
            initiator: InitiatorEdges(
                ask: { _, _ in [] }, interfaces: { [] }, isClaimed: { network.isClaimed($0.node) }), mapper: mapper)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    @discardableResult
    func attach(
        _ target: ISCSIName = ISCSIAttachmentHost.target, as name: String = "web1", at portals: [String] = ["10.0.0.1"],
        chapFile: String? = nil
    ) async throws -> AttachedISCSIDisk {
        try await manager.attach(
            ISCSIAttachRequest(
                name: try VolumeName(name), target: target,
                paths: try portals.map { ISCSIPath(portal: try Portal($0)) },
                chapFile: chapFile, limit: .seconds(1)))
    }

    /// Somebody checks the paths of our own maps, for as long as the value lives.
    func watchPaths() throws -> FileLock {
        try PrivateDirectory.prepare(host.paths.run)
        return try FileLock(path: MapKeeper.watchLock(host.paths), purpose: "checking paths")
    }

    func row(_ name: String = "web1") async throws -> ISCSIAttachmentSummary? {
        try await ISCSIAttachmentCatalog(host: host).all().first { $0.name.text == name }
    }

    func repair(_ name: String = "web1") async throws -> LinkRepairRow {
        try await LinkKeeper(host: host).repair(try VolumeName(name), waitingForTarget: .zero)
    }

    /// As if the host had been started again.
    func reboot() throws {
        try network.reboot()
        for map in try MapStore(host.paths).all() { try mapper.remove(map.identity) }
    }

    /// What the journal has of the only attachment.
    var recorded: DiskIdentity? { get throws { try host.iscsiAttachments().first?.identity } }

    /// The disks that the only attachment's map is made of.
    var mapped: [String] {
        get throws {
            guard let attachment = try host.iscsiAttachments().first,
                let device = ISCSIDevice.read(attachment, in: host.tree)
            else { return [] }
            return MultipathMaps.disks(below: device, in: host.tree)
        }
    }

    var link: String? { try? FileManager.default.destinationOfSymbolicLink(atPath: root + "/dev/xenlvs/web1") }
    var records: [String] {
        ((try? FileManager.default.subpathsOfDirectory(atPath: root + "/etc/iscsi/nodes")) ?? []).sorted()
    }
    func text(_ path: String) -> String? { try? String(contentsOfFile: root + path, encoding: .utf8) }
    func mode(_ path: String) -> mode_t {
        var status = stat()
        stat(root + path, &status)
        return status.st_mode & 0o777
    }
}

/// Targets on a network, and the kernel that logs in to them, by the files and commands of open-iscsi and multipathd.
final class FakeISCSI: CommandRunner {
    struct Disk: Equatable {
        var serial: UInt8
        var megabytes: Int64
        /// The 16 bytes of its designator, where they do not follow from the serial number.
        var designator: [UInt8]?
    }

    private struct State {
        /// By portal: what a probe finds, and what the kernel does.
        var probed: [String: Disk] = [:]
        var served: [String: Disk] = [:]
        var sessions: [Int: String] = [:]
        var next = 1
        var mutations: [String] = []
        var claimed: Set<String> = []
        var loginCode: Int32 = 0
        var runsMultipathd = false
        var pathStates = ""
        /// Disks that multipathd was told to leave out.
        var leftOut: Set<String> = []
        var ignoresRescans = false
        var volumeGroups = ""
        var filter = "global_filter=[\"a|.*|\"]"
    }

    /// As an exit code: the login never ends.
    static let hanging: Int32 = -1
    private let tree: DeviceTree
    private let state = Mutex(State())

    init(tree: DeviceTree) { self.tree = tree }

    var mutations: [String] { state.withLock { $0.mutations } }
    func isClaimed(_ node: String) -> Bool { state.withLock { $0.claimed.contains(node) } }
    func claim(_ node: String) { state.withLock { _ = $0.claimed.insert(node) } }
    func failLogins(with code: Int32) { state.withLock { $0.loginCode = code } }
    func setLVMFilter(_ text: String) { state.withLock { $0.filter = text } }
    func setRecoverySeconds(_ seconds: Int) throws {
        for session in ISCSISession.all(in: tree) {
            try write("\(seconds)", to: "\(tree.sysfs)/class/iscsi_session/session\(session.number)/recovery_tmo")
        }
    }
    func startMultipathd() { state.withLock { $0.runsMultipathd = true } }
    /// What multipathd says of its paths.
    func setPathStates(_ text: String) { state.withLock { $0.pathStates = text } }
    /// As for a process that may not write below `/sys`.
    func ignoreRescans() { state.withLock { $0.ignoresRescans = true } }
    /// What `vgs` prints.
    func setVolumeGroups(_ json: String) { state.withLock { $0.volumeGroups = json } }

    /// - Parameter kernel: what the kernel finds instead, as after a change between the probe and the login.
    func serve(_ disk: Disk?, at portal: String = "10.0.0.1", kernel: Disk? = nil) {
        state.withLock {
            $0.probed[portal + ":3260"] = disk
            $0.served[portal + ":3260"] = kernel ?? disk
        }
    }

    static func page(_ disk: Disk) -> [UInt8] {
        let plain: [UInt8] = [0x60, 1, 0x40, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, disk.serial]
        return [0, 0x83, 0, 20, 1, 3, 0, 16] + (disk.designator ?? plain)
    }

    func run(_ command: Command) async throws -> CommandResult {
        if command.effect == .mutation { state.withLock { $0.mutations.append(command.description) } }
        switch (command.tool, command.arguments.last) {
        case (.iscsiProbe, let text?): return result(try probe(text))
        case (.iscsiadm, "--login"): return try login(command)
        case (.iscsiadm, "--logout"): try logout(Int(command.arguments[3]) ?? 0)
        case (.iscsiadm, "--rescan"): try rescan(Int(command.arguments[3]) ?? 0)
        case (.lvm, _) where command.arguments.first == "vgs": return result(state.withLock { $0.volumeGroups })
        case (.lvm, "devices/devicesfile"): return result("use_devicesfile=0\ndevicesfile=\"system.devices\"\n")
        case (.lvm, _): return result(state.withLock { $0.filter } + "\n")
        case (.multipathd, "daemon"):
            guard state.withLock({ $0.runsMultipathd }) else { throw Failure(.failed, "no daemon") }
            return result("pid 17 running\n")
        case (.multipathd, let disk?) where command.arguments.starts(with: ["add", "path"]):
            state.withLock { _ = $0.leftOut.remove(disk) }
            try makeMap()
        case (.multipathd, let disk?) where command.arguments.starts(with: ["del", "path"]):
            state.withLock { _ = $0.leftOut.insert(disk) }
            try makeMap()
        case (.multipathd, _) where command.arguments.first == "resize": try makeMap()
        case (.multipathd, _) where command.arguments.starts(with: ["show", "paths"]):
            return result(state.withLock { $0.pathStates })
        case (.multipath, let name?) where command.arguments.contains("-f"): unlink("\(tree.devices)/mapper/\(name)")
        default: break
        }
        return result("")
    }

    private func result(_ output: String, _ code: Int32 = 0) -> CommandResult {
        CommandResult(termination: .exited(code), output: output, errors: "")
    }

    private func probe(_ text: String) throws -> String {
        let request = try JSONDecoder().decode(ProbeRequest.self, from: Data(text.utf8))
        guard let disk = state.withLock({ $0.probed[request.portal.description] }) else {
            return try JSONText.encode(ProbeAnswer(trouble: .unreachable("Connection refused")))
        }
        let last = UInt64(disk.megabytes * 2048 - 1)
        let capacity = (0..<8).map { UInt8(truncatingIfNeeded: last >> (56 - 8 * $0)) } + [0, 0, 2, 0]
        let unit = ProbedUnit(lun: 1, identification: Self.page(disk), serial: [], capacity: capacity)
        return try JSONText.encode(ProbeAnswer(offers: [], units: [unit]))
    }

    private func login(_ command: Command) throws -> CommandResult {
        let (target, portal) = (command.arguments[3], command.arguments[5])
        let (code, disk, number) = state.withLock { state in
            state.next += 1
            state.sessions[state.next] = portal
            return (state.loginCode, state.served[portal], state.next)
        }
        guard code == 0 || code == Self.hanging, let disk else { return result("", code == 0 ? 8 : code) }
        if code == Self.hanging { throw Failure(.outcomeUnknown, "'\(command)' is still running") }
        let address = portal.split(separator: ":")
        let session = "\(tree.sysfs)/class/iscsi_session/session\(number)"
        try write(target, to: "\(session)/targetname")
        try write("LOGGED_IN", to: "\(session)/state")
        try write(command.arguments[7], to: "\(session)/ifacename")
        let connection = "\(tree.sysfs)/class/iscsi_connection/connection\(number):0"
        try write(String(address[0]), to: "\(connection)/persistent_address")
        try write(String(address[1]), to: "\(connection)/persistent_port")
        try showDisk(disk, number)
        let name = "\(tree.devices)/disk/by-path/ip-\(portal)-iscsi-\(target)-lun-1"
        unlink(name)
        symlink("\(tree.devices)/sd\(number)", name)
        return result("")
    }

    private func showDisk(_ disk: Disk, _ number: Int) throws {
        let unit = "\(tree.sysfs)/class/iscsi_session/session\(number)/device/target\(number):0:0/\(number):0:0:1"
        try write("running", to: "\(unit)/state")
        try Data(Self.page(disk)).write(to: URL(fileURLWithPath: "\(unit)/vpd_pg83"))
        try write("8:\(number * 16)", to: "\(unit)/block/sd\(number)/dev")
        try write("\(disk.megabytes * 2048)", to: "\(unit)/block/sd\(number)/size")
        try node("sd\(number)", 8, number * 16, disk)
        let block = "\(tree.sysfs)/block/sd\(number)"
        try? FileManager.default.createDirectory(atPath: "\(tree.sysfs)/block", withIntermediateDirectories: true)
        unlink(block)
        symlink("\(unit)/block/sd\(number)", block)
        unlink("\(unit)/block/sd\(number)/device")
        symlink(unit, "\(unit)/block/sd\(number)/device")
    }

    private func node(_ name: String, _ major: Int, _ minor: Int, _ disk: Disk) throws {
        try write("\(disk.megabytes * 2048)", to: "\(tree.sysfs)/dev/block/\(major):\(minor)/size")
        try FileManager.default.createDirectory(
            atPath: "\(tree.sysfs)/dev/block/\(major):\(minor)/holders", withIntermediateDirectories: true)
        unlink("\(tree.devices)/\(name)")
        guard mknod("\(tree.devices)/\(name)", S_IFBLK | 0o600, dev_t(major << 8 | minor)) == 0 else {
            throw Failure(.failed, "cannot make a node for a test")
        }
    }

    /// As multipathd does: of the disks that it knows by now, under the name that its configuration has for them.
    private func makeMap() throws {
        let text = KernelFile.read(tree.root + MultipathConfiguration.path) ?? ""
        let leftOut = state.withLock { $0.leftOut }
        let disks = ISCSISession.all(in: tree).flatMap(\.disks).filter { !leftOut.contains($0.name) }
        guard let first = disks.first, let wwid = first.wwid, text.contains("wwid \(wwid)\n        alias web1") else {
            return
        }
        try node("mapper/web1", 253, 7, Disk(serial: 0, megabytes: first.size.sectors / 2048))
        let place = "\(tree.sysfs)/dev/block/253:7"
        try write("web1", to: "\(place)/dm/name")
        try write("mpath-\(wwid)", to: "\(place)/dm/uuid")
        try? FileManager.default.removeItem(atPath: "\(place)/slaves")
        for disk in disks where disk.wwid == wwid { try write("", to: "\(place)/slaves/\(disk.name)/dev") }
    }

    /// As the kernel and udev do it for a map that xenlvs has made.
    func show(_ name: String, _ device: MappedDevice?) {
        unlink("\(tree.devices)/mapper/\(name)")
        guard let device, let table = device.table else { return }
        let place = "\(tree.sysfs)/dev/block/\(device.number)"
        try? FileManager.default.removeItem(atPath: "\(place)/slaves")
        try? node(
            "mapper/\(name)", Int(device.number.major), Int(device.number.minor),
            Disk(serial: 0, megabytes: Int64(table.sectors / 2048)))
        try? write(name, to: "\(place)/dm/name")
        try? write(device.uuid, to: "\(place)/dm/uuid")
        for path in table.multipath?.paths ?? [] { try? write("", to: "\(place)/slaves/sd\(path.minor / 16)/dev") }
    }

    private func rescan(_ number: Int) throws {
        let disk = state.withLock { state in
            state.ignoresRescans ? nil : state.sessions[number].flatMap { state.served[$0] }
        }
        guard let disk else { return }
        try showDisk(disk, number)
    }

    /// As an administrator does it: the kernel learns what its LUNs are by now.
    func rescanByHand() throws {
        for session in ISCSISession.all(in: tree) { try rescan(session.number) }
    }

    private func logout(_ number: Int) throws {
        for path in [
            "\(tree.sysfs)/class/iscsi_session/session\(number)",
            "\(tree.sysfs)/class/iscsi_connection/connection\(number):0",
        ] {
            try? FileManager.default.removeItem(atPath: path)
        }
        unlink("\(tree.devices)/sd\(number)")
    }

    /// Sessions are lost, or there again: all of them, or those with one portal.
    func setSessions(_ word: String, at portal: String? = nil) throws {
        for session in ISCSISession.all(in: tree) where portal == nil || session.portal?.address == portal {
            try write(word, to: "\(tree.sysfs)/class/iscsi_session/session\(session.number)/state")
        }
    }

    /// As if the host had been started again.
    func reboot() throws {
        for session in ISCSISession.all(in: tree) { try logout(session.number) }
        for path in ["\(tree.devices)/mapper/web1", "\(tree.devices)/xenlvs", "\(tree.sysfs)/dev/block/253:7"] {
            try? FileManager.default.removeItem(atPath: path)
        }
        state.withLock { $0.mutations = [] }
    }

    private func write(_ text: String, to path: String) throws {
        let directory = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data("\(text)\n".utf8).write(to: URL(fileURLWithPath: path))
    }
}

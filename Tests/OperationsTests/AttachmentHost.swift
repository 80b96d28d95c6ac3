import DeviceMapper
import Foundation
import Glibc
import HostModel
import Hosts
import Storage
import Synchronization

@testable import AoE
@testable import Operations

/// Whether this machine lets the tests make block device nodes; containers may not.
let canMakeDeviceNodes: Bool = {
    let path = "/tmp/xenlvs-node-\(UInt64.random(in: 0...UInt64.max))"
    defer { unlink(path) }
    return mknod(path, S_IFBLK | 0o600, dev_t(152 << 8)) == 0
}()

/// A host whose `/dev`, `/sys` and `/proc` are directories, with a kernel's AoE initiator in them and a wire to ask.
final class AttachmentHost {
    let root: String
    let kernel: FakeInitiator
    let mapper: SimulatedMapper
    let host: HostContext
    let manager: AttachmentManager
    private let wire: FakeWire

    init() throws {
        root = "/tmp/xenlvs-attach-\(UInt64.random(in: 0...UInt64.max))"
        for directory in [
            "/dev/etherd", "/dev/mapper", "/sys/block", "/sys/module", "/sys/dev/block", "/proc", "/state",
        ] {
            try FileManager.default.createDirectory(atPath: root + directory, withIntermediateDirectories: true)
        }
        try Data("host: nodea\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        let tree = DeviceTree(
            devices: root + "/dev", sysfs: root + "/sys", processes: root + "/proc", owner: geteuid())
        let (kernel, wire) = (FakeInitiator(tree: tree), FakeWire())
        self.kernel = kernel
        self.wire = wire
        mapper = SimulatedMapper { kernel.show($0, $1) }
        host = try HostContext(
            paths: Paths(
                state: root + "/state", run: root + "/run", links: root + "/dev/xenlvs",
                configuration: root + "/xenlvs.yaml"),
            runner: kernel, crashPoints: [], trace: { _ in }, tree: tree,
            initiator: InitiatorEdges(
                ask: { wire.ask($0, $1) }, interfaces: { ["eth1", "eth2", "vif3.0"] },
                isClaimed: { kernel.isClaimed($0.path) }), mapper: mapper)
        manager = AttachmentManager(host: host)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    /// Puts a target on the wire, where the kernel finds it too.
    func serve(
        _ address: String = "e1.0", megabytes: Int64 = 64, serial: String = "S1", on interfaces: [String] = ["eth1"]
    ) throws {
        let size = ByteCount.mebibytes(megabytes)
        let address = try AoEAddress(address)
        kernel.serve(address, size: size, on: interfaces)
        wire.set(
            address,
            try interfaces.enumerated().map { index, name in
                try AttachmentTests.target(
                    address.description, on: name, mac: "02:00:00:00:00:0\(index + 1)",
                    identity: DiscoveredTarget.Identity(size: size, model: "xenlvs", serial: serial))
            })
    }

    /// Lets somebody else answer as well.
    func answer(also target: DiscoveredTarget) { wire.add(target) }

    func silence(_ address: String) throws {
        wire.set(try AoEAddress(address), [])
        kernel.silence(try AoEAddress(address))
    }

    @discardableResult
    func attach(
        _ address: String = "e1.0", as name: String = "web1", on interfaces: [String] = [], takesFlushes: Bool = false
    ) async throws -> AttachedDevice {
        try await manager.attach(
            AttachRequest(
                name: try VolumeName(name), address: try AoEAddress(address),
                interfaces: try interfaces.map { try InterfaceName($0) }, limit: .seconds(1),
                takesFlushes: takesFlushes))
    }

    /// As if the host had been started again: the kernel knows nothing, and devtmpfs is empty.
    func reboot() throws {
        kernel.reboot()
        for device in mapper.devices where device.isOurs {
            try mapper.remove(.ofCover(VolumeName(unchecked: "web1"), over: "e1.0"))
        }
        try? FileManager.default.removeItem(atPath: root + "/dev/xenlvs")
    }

    func link(_ name: String = "web1") -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: root + "/dev/xenlvs/\(name)")
    }

    /// Lets a process have a file open.
    func open(_ path: String, by pid: Int, _ name: String) throws {
        let directory = root + "/proc/\(pid)"
        try FileManager.default.createDirectory(atPath: directory + "/fd", withIntermediateDirectories: true)
        try Data("\(name)\n".utf8).write(to: URL(fileURLWithPath: directory + "/comm"))
        symlink(path, directory + "/fd/7")
    }
}

/// Who answers on the wire.
final class FakeWire: Sendable {
    private let targets = Mutex<[AoEAddress: [DiscoveredTarget]]>([:])

    func set(_ address: AoEAddress, _ answers: [DiscoveredTarget]) { targets.withLock { $0[address] = answers } }

    func add(_ answer: DiscoveredTarget) { targets.withLock { $0[answer.address, default: []].append(answer) } }

    func ask(_ interfaces: [String], _ address: AoEAddress?) -> [DiscoveredTarget] {
        targets.withLock { $0 }.values.joined().filter {
            interfaces.contains($0.interface) && (address == nil || $0.address == address)
        }
    }
}

/// The kernel's initiator, by the files that it shows and takes.
final class FakeInitiator: CommandRunner {
    private struct State {
        var served: [AoEAddress: (size: ByteCount, interfaces: [String])] = [:]
        var mutations: [String] = []
        var claimed: Set<String> = []
        var failing: Set<Tool> = []
        var bringsUp = true
        var takesFlushes = true
    }

    private let tree: DeviceTree
    private let state = Mutex(State())

    init(tree: DeviceTree) { self.tree = tree }

    /// What was ordered, without the questions for targets.
    var mutations: [String] { state.withLock { $0.mutations } }

    func serve(_ address: AoEAddress, size: ByteCount, on interfaces: [String]) {
        state.withLock { $0.served[address] = (size, interfaces) }
    }

    func silence(_ address: AoEAddress) { state.withLock { _ = $0.served.removeValue(forKey: address) } }
    func claim(_ path: String) { state.withLock { _ = $0.claimed.insert(path) } }
    func letGo(_ path: String) { state.withLock { _ = $0.claimed.remove(path) } }
    func isClaimed(_ path: String) -> Bool { state.withLock { $0.claimed.contains(path) } }
    func fail(_ tool: Tool) { state.withLock { _ = $0.failing.insert(tool) } }
    /// As if what lies over two devices took flushes only where both do.
    func refuseFlushes() { state.withLock { $0.takesFlushes = false } }
    /// The kernel gives a device up: it is down for as long as something is built on it.
    func giveUp(_ address: AoEAddress) throws {
        try write("down,closewait", to: "\(tree.sysfs)/block/etherd!\(address)/state")
    }
    func keepDown() { state.withLock { $0.bringsUp = false } }

    func reboot() {
        unload()
        state.withLock { $0.mutations = [] }
    }

    func run(_ command: Command) async throws -> CommandResult {
        if command.effect == .mutation {
            if state.withLock({ $0.failing.contains(command.tool) }) {
                throw Failure(.outcomeUnknown, "'\(command)' is still running", why: "it took too long")
            }
            try apply(command)
        }
        if command.tool == .losetup, command.arguments.first == "--find" {
            try write("0", to: "\(tree.sysfs)/dev/block/7:3/size")
            mknod("\(tree.devices)/loop3", S_IFBLK | 0o600, dev_t(7 << 8 | 3))
            return CommandResult(termination: .exited(0), output: "/dev/loop3\n", errors: "")
        }
        return CommandResult(termination: .exited(0), output: "", errors: "")
    }

    private func apply(_ command: Command) throws {
        let words = command.arguments
        if words != ["discover", ""], command.tool != .losetup {
            state.withLock { $0.mutations.append(command.description) }
        }
        switch (command.tool, words.first) {
        case (.modprobe, "-r"): unload()
        case (.modprobe, "aoe"):
            try write(words[1].replacing("aoe_iflist=", with: "").replacing("\"", with: ""), to: parameter)
        case (.aoeControl, "interfaces"): try write(words[1], to: parameter)
        case (.aoeControl, "discover"): try discover()
        case (.aoeControl, "flush"): forget(words[1])
        case (.aoeControl, "revalidate"): try revalidate(try AoEAddress(words[1]))
        default: break
        }
    }

    private var parameter: String { "\(tree.sysfs)/module/aoe/parameters/aoe_iflist" }

    private func write(_ text: String, to path: String) throws {
        let directory = path.split(separator: "/").dropLast().joined(separator: "/")
        try FileManager.default.createDirectory(atPath: "/" + directory, withIntermediateDirectories: true)
        try Data("\(text)\n".utf8).write(to: URL(fileURLWithPath: path))
    }

    private func discover() throws {
        let (served, bringsUp) = state.withLock { ($0.served, $0.bringsUp) }
        let list = try String(contentsOfFile: parameter, encoding: .utf8).split(whereSeparator: \.isWhitespace)
        for (address, target) in served where bringsUp {
            let heard = target.interfaces.filter { name in list.isEmpty || list.contains { $0 == name } }
            if !heard.isEmpty { try add(address, target.size, heard) }
        }
    }

    /// A device with one partition's worth of room between the minors.
    private func add(_ address: AoEAddress, _ size: ByteCount, _ interfaces: [String]) throws {
        let directory = "\(tree.sysfs)/block/etherd!\(address)"
        let node = "\(tree.devices)/etherd/\(address)"
        let number = "152:\(Int(address.slot) * 16)"
        try write("up", to: "\(directory)/state")
        try write(interfaces.joined(separator: ","), to: "\(directory)/netif")
        try write("020000000001", to: "\(directory)/mac")
        try write(number, to: "\(directory)/dev")
        try write("\(size.sectors)", to: "\(directory)/size")
        try FileManager.default.createDirectory(
            atPath: "\(tree.sysfs)/dev/block/\(number)/holders", withIntermediateDirectories: true)
        try write("\(size.sectors)", to: "\(tree.sysfs)/dev/block/\(number)/size")
        unlink(node)
        guard mknod(node, S_IFBLK | 0o600, dev_t(152 << 8 | Int(address.slot) * 16)) == 0 else {
            throw Failure(.failed, "cannot make a node for a test")
        }
    }

    private func revalidate(_ address: AoEAddress) throws {
        guard let target = state.withLock({ $0.served[address] }) else { return }
        for place in ["block/etherd!\(address)", "dev/block/152:\(Int(address.slot) * 16)"] {
            try write("\(target.size.sectors)", to: "\(tree.sysfs)/\(place)/size")
        }
    }

    private func forget(_ address: String) {
        try? FileManager.default.removeItem(atPath: "\(tree.sysfs)/block/etherd!\(address)")
        unlink("\(tree.devices)/etherd/\(address)")
    }

    /// As the kernel and udev do it for a mapped device over the first target.
    func show(_ name: String, _ device: MappedDevice?) {
        let (node, below) = ("\(tree.devices)/mapper/\(name)", "\(tree.sysfs)/dev/block/152:0/holders")
        unlink(node)
        for holder in KernelFile.names(in: below) { unlink("\(below)/\(holder)") }
        guard let device, let table = device.table else { return }
        let place = "\(tree.sysfs)/dev/block/\(device.number)"
        let word = state.withLock { $0.takesFlushes } ? "write back" : "write through"
        for (file, text) in [
            ("size", "\(table.sectors)"), ("dm/name", name), ("dm/uuid", device.uuid), ("queue/write_cache", word),
            ("holders/.keep", ""),
        ] { try? write(text, to: "\(place)/\(file)") }
        unlink("\(place)/holders/.keep")
        symlink(place, "\(tree.sysfs)/block/dm-\(device.number.minor)")
        symlink(place, "\(below)/dm-\(device.number.minor)")
        mknod(node, S_IFBLK | 0o600, dev_t(Int(device.number.major) << 8 | Int(device.number.minor)))
    }

    private func unload() {
        for address in KernelDevice.all(in: tree) { forget(address.description) }
        try? FileManager.default.removeItem(atPath: "\(tree.sysfs)/module/aoe")
    }
}

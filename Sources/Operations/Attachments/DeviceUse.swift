import AoE
import FoundationEssentials
import HostModel
import Hosts
import Storage

#if canImport(Glibc)
    import Glibc
#endif

/// One look at who has devices of other hosts. Changes nothing.
///
/// It has to find everybody: to give an AoE device back while it is open leaves the kernel with one whose memory is freed
/// under its users (`flush`, drivers/block/aoe/aoedev.c, asks nobody where a device is named).
struct DeviceUse: Sendable {
    let host: HostContext
    private let use: HostUse
    private let loops: [LoopDevice]
    /// The processes that have a file open, by its path.
    private let openers: [String: [String]]

    static func look(_ host: HostContext) async throws -> DeviceUse {
        var loops: [LoopDevice] = []
        if access("/dev/loop-control", F_OK) == 0 {
            loops = try LoopDevices.parse(try await host.runner.run(LoopDevices.list()).output)
        }
        return DeviceUse(
            host: host, use: try await host.currentUse(asksLVM: false), loops: loops,
            openers: OpenFiles.openers(below: "\(host.tree.devices)/", in: host.tree.processes))
    }

    /// What holds the device or one of its partitions.
    func uses(of device: KernelDevice) async throws -> [VolumeUse] {
        let devices = device.blockDevices(in: host.tree)
        let uses = try plainUses(of: devices)
        return uses.isEmpty ? try await unexplained(device, devices) : uses
    }

    /// Whoever says so: domains, holders, mounts, loop devices, processes.
    func plainUses(of devices: [BlockDevice]) throws -> [VolumeUse] {
        // Who has what xenlvs has put over a device has the device; that itself is nobody.
        let covers = devices.compactMap { FlushCover.over($0, in: host.tree) }
        let devices = devices + covers
        let own = covers.map { "dm-\($0.number.minor)" }
        let nodes = devices.map(\.node)
        var uses = use.domains(on: devices.map(\.number)).map { VolumeUse(.domain, $0) }
        for part in devices {
            uses += try part.holders().filter { !own.contains($0) }.map { VolumeUse(.holder, $0) }
            uses += try part.mountPoints().map { VolumeUse(.mount, $0) }
        }
        uses += loops.filter { nodes.contains($0.file) }.map { VolumeUse(.holder, $0.path) }
        uses += Set(nodes.flatMap { openers[$0] ?? [] }).sorted().map { VolumeUse(.process, $0) }
        return uses
    }

    /// The same, by new looks, after some patience with those who only look at it themselves, such as udev.
    static func lastingUses(of device: KernelDevice, on host: HostContext) async throws -> [VolumeUse] {
        try await lasting(on: host) { try await $0.uses(of: device) }
    }

    static func lasting(
        on host: HostContext, _ look: (DeviceUse) async throws -> [VolumeUse]
    ) async throws -> [VolumeUse] {
        let deadline = ContinuousClock.now + .seconds(5)
        while true {
            let uses = try await look(Self.look(host))
            let mayPass = uses.allSatisfy { $0.kind == .process || $0.kind == .open }
            guard !uses.isEmpty, mayPass, ContinuousClock.now < deadline else { return uses }
            try await Task.sleep(for: .milliseconds(250))
        }
    }

    /// Claims that nothing above accounts for: a mount in another namespace, swap, another subsystem of the kernel.
    private func unexplained(_ device: KernelDevice, _ devices: [BlockDevice]) async throws -> [VolumeUse] {
        let open = [VolumeUse(.open, device.address.description)]
        let covers = devices.compactMap { FlushCover.over($0, in: host.tree) }
        switch device.state {
        // What xenlvs itself has put over it keeps it open.
        case .closewait where covers.isEmpty: return open
        case .closewait:
            for cover in covers { if try await host.initiator.isClaimed(cover) { return open } }
            return []
        // The kernel lets nobody open it.
        case .down, .absent: return []
        case .up:
            for part in devices {
                // What is under a cover is claimed by it.
                if try await host.initiator.isClaimed(FlushCover.over(part, in: host.tree) ?? part) { return open }
            }
            return []
        }
    }
}

/// Who has files open, by what the kernel shows of every process.
enum OpenFiles {
    /// The processes that have a file open whose path begins with `prefix`, this one left out: `dd (pid 17)`.
    ///
    /// Only names are read, so that a file system that hangs cannot stop it.
    static func openers(below prefix: String, in directory: String = "/proc") -> [String: [String]] {
        let own = String(getpid())
        var found: [String: [String]] = [:]
        for process in names(in: directory) where process != own && process.allSatisfy(\.isNumber) {
            let files = "\(directory)/\(process)/fd"
            for path in Set(names(in: files).compactMap { target("\(files)/\($0)") }) where path.hasPrefix(prefix) {
                let name = KernelFile.read("\(directory)/\(process)/comm")?.filter { !$0.isNewline }
                found[path, default: []].append("\(name ?? "a process") (pid \(process))")
            }
        }
        return found
    }

    private static func names(in directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }

    private static func target(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink(path, &buffer, buffer.count)
        guard length > 0 else { return nil }
        return String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

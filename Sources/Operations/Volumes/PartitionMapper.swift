import AoE
import DeviceMapper
import FoundationEssentials
import HostModel
import Hosts
import Migration
import Replication
import Serving
import Storage

/// A partition of a volume, as a device of this host that can only be read.
public struct MappedPartition: Sendable, Encodable, Equatable {
    public var number: Int
    /// `/dev/loop3p1`.
    public var device: String
    /// In bytes from the beginning of the volume.
    public var start: ByteCount
    public var size: ByteCount
}

/// Makes the partitions within a volume or attachment visible on this host, to be looked at.
///
/// A loop device over the volume's device lets the kernel read the partition table itself, in every format that it knows; it
/// is read-only as a whole, which a mapping of the parts alone would not be, and serves LVs, files and attachments alike.
public struct PartitionMapper: Sendable {
    private let host: HostContext

    public init(host: HostContext) { self.host = host }

    /// Maps the partitions, or lists those that are mapped already.
    /// - Throws: `.busy` while a domain, a replica or a migration has the volume, or others may write to it over AoE: what
    ///   it holds changes then; `.refused` where the kernel finds no partition; `.notFound` for an unknown name.
    public func map(_ name: VolumeName) async throws -> [MappedPartition] {
        try await VolumeLock.holding(name, of: host) {
            let device = try await self.device(of: name)
            if let loop = try await maps(of: device).first { return try await partitions(of: loop) }
            try await requireAtRest(name, device)
            // By its node, so that what the loop device shows as its file is known again.
            let command = LoopDevices.attach(device.node, readOnly: true, partitions: true)
            let loop = try LoopDevices.parseAttached(try await host.runner.run(command).output)
            let found = try await partitions(of: loop)
            guard found.isEmpty else { return found }
            try await host.runner.run(LoopDevices.detach(loop))
            throw Failure(
                .refused, "'\(name)' has no partitions", why: "the kernel finds no partition table that it knows",
                remedy: "a file system without partitions can be mounted itself: \(host.links.path(of: name))")
        }
    }

    /// Takes the mapped partitions away. Returns the loop devices that went.
    /// - Throws: `.busy` while one of them is mounted or open.
    public func unmap(_ name: VolumeName) async throws -> [String] {
        try await VolumeLock.holding(name, of: host) {
            let device = try await self.device(of: name)
            let loops = try await maps(of: device)
            for loop in loops {
                try requireUnused(loop)
                try await host.runner.run(LoopDevices.detach(loop))
                try await waitUntilGone(loop, device)
            }
            return loops
        }
    }

    /// The loop devices that `map` has made over a device.
    func maps(of device: BlockDevice) async throws -> [String] {
        try LoopDevices.parse(try await host.runner.run(LoopDevices.list()).output)
            .filter { $0.file == device.node && $0.isReadOnly && $0.isWhole }.map(\.path)
    }

    private func device(of name: VolumeName) async throws -> BlockDevice {
        let repair = "bring it back with 'xenlvs link repair \(name)'"
        if let attachment = try host.attachments().first(where: { $0.name == name }) {
            if case .aoe(let target) = attachment, AoEInitiator(host: host).device(target.address)?.state != .up {
                throw Failure(.failed, "'\(name)' has no device now", why: "its target is not up", remedy: repair)
            }
            guard let device = LinkKeeper(host: host).device(of: attachment) else {
                throw Failure(.failed, "'\(name)' has no device now", why: "its target is not up", remedy: repair)
            }
            return device
        }
        guard let volume = try host.recordedVolume(name) else {
            throw Failure(
                .notFound, "there is no volume or attachment '\(name)'",
                remedy: "see 'xenlvs volume list' and 'xenlvs attachments'")
        }
        guard let device = try await LinkKeeper(host: host).plainDevice(volume) else {
            throw Failure(.failed, "'\(name)' has no device now", why: "it is not active", remedy: repair)
        }
        return device
    }

    private func requireAtRest(_ name: VolumeName, _ device: BlockDevice) async throws {
        let use = try await host.currentUse(asksLVM: false)
        let own = try host.recordedVolume(name).map(use.devices) ?? []
        var uses = use.domains(on: [device.number] + own.map(\.number)).map { VolumeUse(.domain, $0) }
        uses += use.migrations(of: name).map { VolumeUse(.migration, $0.id.text) }
        if let replica = use.replica(of: name) { uses.append(VolumeUse(.replica, replica.resource)) }
        guard let first = uses.first else { return try await requireNoWriters(name, device) }
        throw Failure(
            .busy, "cannot map the partitions of '\(name)'", why: first.sentence,
            remedy: "\(first.remedy), or map those of a snapshot")
    }

    /// Who writes to it over AoE shows nowhere in the kernel; where the daemon does not run nobody does.
    private func requireNoWriters(_ name: VolumeName, _ device: BlockDevice) async throws {
        let exports: [ExportStatus]
        do { exports = try await ControlClient.ask(.list(statistics: false), of: host.paths) } catch {
            if (error as? Failure)?.code == .unreachable { return }
            throw error
        }
        let written = exports.map(\.record).first { record in
            !record.isReadOnly && (record.volume == name || resolvedPath(record.path) == device.node)
        }
        guard let written else { return }
        throw Failure(
            .busy, "cannot map the partitions of '\(name)'",
            why: "it is exported as \(written.address), and other hosts may write to it",
            remedy: "'xenlvs unexport aoe \(written.address)' first, or map those of a snapshot")
    }

    /// The kernel's partitions of a loop device, waiting a moment for their nodes.
    private func partitions(of loop: String) async throws -> [MappedPartition] {
        let name = String(loop.dropFirst("/dev/".count))
        let directory = "\(host.tree.sysfs)/block/\(name)"
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let found = entries.filter { $0.hasPrefix("\(name)p") }.compactMap { entry -> MappedPartition? in
            func number(_ file: String) -> Int64? {
                KernelFile.read("\(directory)/\(entry)/\(file)").flatMap { Int64($0.filter { !$0.isWhitespace }) }
            }
            guard let index = number("partition"), let start = number("start"), let size = number("size") else {
                return nil
            }
            return MappedPartition(
                number: Int(index), device: "/dev/\(entry)", start: .sectors(start), size: .sectors(size))
        }.sorted { $0.number < $1.number }
        let deadline = ContinuousClock.now + .seconds(5)
        while found.contains(where: { (try? BlockDevice(at: $0.device)) == nil }), ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(50))
        }
        return found
    }

    private func requireUnused(_ loop: String) throws {
        let name = loop.dropFirst("/dev/".count)
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "\(host.tree.sysfs)/block/\(name)")) ?? []
        let paths = [loop] + entries.filter { $0.hasPrefix("\(name)p") }.map { "/dev/\($0)" }
        for device in paths.compactMap({ try? BlockDevice(at: $0) }) {
            let uses =
                try device.mountPoints().map { VolumeUse(.mount, $0) }
                + device.holders().map { VolumeUse(.holder, $0) }
            guard let first = uses.first else { continue }
            throw Failure(.busy, "cannot take \(device.path) away", why: first.sentence, remedy: first.remedy)
        }
    }

    /// A loop device that is open goes at its last close (losetup(8)); udev looks at it for a moment.
    private func waitUntilGone(_ loop: String, _ device: BlockDevice) async throws {
        let deadline = ContinuousClock.now + .seconds(5)
        while try await maps(of: device).contains(loop) {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .busy, "\(loop) is not gone yet", why: "something has it or one of its partitions open",
                    remedy: "end whoever has it ('lsof \(loop)*'): it goes by itself then")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

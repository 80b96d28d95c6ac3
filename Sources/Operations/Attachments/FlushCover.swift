import AoE
import DeviceMapper
import HostModel
import Hosts
import Storage

#if canImport(Glibc)
    import Glibc
#endif

/// A device over an attached AoE disk, to which its link leads, that takes flushes.
///
/// What Linux's AoE initiator shows has no cache, and Xen's backend then tells a guest that its disk cannot be flushed. A guest
/// that comes from a disk with a cache, from an LV on the host with the volume, goes on flushing: Linux learns it at a
/// disk's first connect alone (`blkif_recover`, drivers/block/xen-blkfront.c), so that each flush fails with an I/O error
/// (`blkif_request_flush_invalid`). What the target has answered is on stable storage already: the flushes go to a device
/// that has nothing to write, a loop device over an empty file in memory.
struct FlushCover: Sendable {
    let host: HostContext

    /// How long requests under way may keep a change of its size waiting.
    private static let limit = Duration.seconds(10)

    /// Makes it, or lets it have the device's size. Returns its path.
    /// - Throws: `.refused` where a stranger has its name, or it does not take flushes; then it is gone again.
    func bringUp(_ identity: MappedIdentity, over device: BlockDevice) async throws -> String {
        let size = try device.size()
        let drain = try await openDrain(identity, size)
        let table = MappingTable(
            linearTo: device.number, flushing: try BlockDevice(at: node(drain), sysfs: host.tree.sysfs).number,
            sectors: UInt64(size.sectors))
        let (mapper, limit) = (host.mapper, Self.limit)
        try await Blocking.run("device-mapper") {
            guard let found = try mapper.find(name: identity.name) ?? mapper.find(uuid: identity.uuid) else {
                return try mapper.create(identity, table)
            }
            try found.require(identity)
            if found.table == nil { return try mapper.create(identity, table) }
            if found.isSuspended { try mapper.resume(identity) }
            if found.table != table { _ = try mapper.change(identity, to: table, limit: limit) }
        }
        // While the table has it, it stays; then it goes by itself.
        try await host.runner.run(LoopDevices.detach(drain))
        let path = Self.path(identity, in: host.tree)
        guard try BlockDevice(at: path, sysfs: host.tree.sysfs).hasVolatileCache() else {
            try await remove(identity)
            throw Failure(
                .refused, "\(device.path) cannot take the flushes of a guest that comes from a disk with a cache",
                why: "\(path) was made for that over it, and does not take them either",
                remedy: "use iSCSI; or shut the guest down and start it on the disk as it is")
        }
        return path
    }

    /// `.busy` where something has it open; nothing happens where there is none.
    func remove(_ identity: MappedIdentity) async throws {
        let mapper = host.mapper
        try await Blocking.run("device-mapper") { try mapper.remove(identity) }
        try DurableFile.remove(drainFile(identity))
    }

    /// The loop device that flushes go to, found or made. It is as large as the disk, which device-mapper demands of it.
    private func openDrain(_ identity: MappedIdentity, _ size: ByteCount) async throws -> String {
        try PrivateDirectory.prepare(host.paths.run)
        let file = drainFile(identity)
        try SparseFile.make(file, size: size)
        // systemd makes the node, by which the kernel loads the module, before anything else.
        if access("\(host.tree.devices)/loop-control", F_OK) != 0 {
            try await host.runner.run(LoopDevices.loadModule)
        }
        let output = try await host.runner.run(LoopDevices.attach(file, isDirect: false)).output
        let drain = try LoopDevices.parseAttached(output)
        try await host.runner.run(LoopDevices.refreshSize(drain))
        return drain
    }

    private func drainFile(_ identity: MappedIdentity) -> String { "\(host.paths.run)/\(identity.name).flushes" }

    private func node(_ path: String) -> String { host.tree.devices + path.dropFirst("/dev".count) }

    static func path(_ identity: MappedIdentity, in tree: DeviceTree) -> String {
        "\(tree.devices)/mapper/\(identity.name)"
    }

    /// The one that is over a device, whosever it is; nil where there is none.
    static func over(_ device: BlockDevice, in tree: DeviceTree) -> BlockDevice? {
        for holder in (try? device.holders()) ?? [] where holder.hasPrefix("dm-") {
            let place = "\(tree.sysfs)/block/\(holder)/dm"
            guard let uuid = KernelFile.word("\(place)/uuid"), MappedIdentity.isOfCover(uuid),
                let name = KernelFile.word("\(place)/name")
            else { continue }
            return try? BlockDevice(at: "\(tree.devices)/mapper/\(name)", sysfs: tree.sysfs)
        }
        return nil
    }
}

extension Attachment {
    var cover: MappedIdentity? {
        takesFlushes == true ? .ofCover(name, over: address.description) : nil
    }

    /// Where its link leads.
    func linkPath(in tree: DeviceTree) -> String {
        cover.map { FlushCover.path($0, in: tree) } ?? KernelDevice.path(address, in: tree)
    }
}

extension HostContext {
    /// What the link of an attachment has to lead to, made where it is not there.
    func linkTarget(_ attachment: Attachment, _ device: BlockDevice) async throws -> String {
        guard let cover = attachment.cover else { return device.path }
        return try await FlushCover(host: self).bringUp(cover, over: device)
    }
}

import AoE
import DeviceMapper
import HostModel
import Hosts
import Storage

/// The device that the link of a shared AoE disk leads to: one line over the kernel's own, which takes flushes.
///
/// What Linux's AoE initiator shows has no cache, and a guest that comes from the host with the volume, whose disk has one,
/// goes on flushing: each flush would be an I/O error to it (`KernelMapper`). What the target has answered is on stable
/// storage already, so the flushes end here.
struct FlushCover: Sendable {
    let host: HostContext

    /// How long requests under way may keep a change of its size waiting.
    private static let limit = Duration.seconds(10)

    /// Makes it, or lets it have the device's size. Returns its path.
    /// - Throws: `.refused` where a stranger has its name, or the kernel does not let it take flushes; then it is gone again.
    func bringUp(_ identity: MappedIdentity, over device: BlockDevice) async throws -> String {
        let table = MappingTable(linearTo: device.number, sectors: UInt64(try device.size().sectors))
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
        let path = Self.path(identity, in: host.tree)
        guard try BlockDevice(at: path, sysfs: host.tree.sysfs).hasVolatileCache() else {
            try await remove(identity)
            throw Failure(
                .refused, "\(device.path) cannot take the flushes of a guest that comes from another host",
                why: "this kernel does not let \(path) take them: Linux since 6.5 does not",
                remedy: "share the disk over iSCSI, or shut the guest down and start it on the other host")
        }
        return path
    }

    /// `.busy` where something has it open; nothing happens where there is none.
    func remove(_ identity: MappedIdentity) async throws {
        let mapper = host.mapper
        try await Blocking.run("device-mapper") { try mapper.remove(identity) }
    }

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

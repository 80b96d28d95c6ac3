import AoE
import HostModel
import Hosts
import Storage

extension AttachmentManager {
    /// Gives an attached device back: link, device and record go. Nothing happens to it while anything uses it.
    ///
    /// - Parameter force: gives up what the host has not written back yet, for a target that does not answer any more.
    /// - Returns: what was removed, one line each.
    /// - Throws: `.busy` with who uses it; `.refused` where the link was changed by hand; `.failed` where what is still in
    ///   memory cannot be written; `.outcomeUnknown` where the kernel has not let go of it in time.
    public func detach(_ name: VolumeName, force: Bool) async throws -> [String] {
        try await VolumeLock.holding(name, of: host) {
            let attachment = try host.aoeAttachment(name)
            try await checkIsUnused(attachment.address, doing: Self.what(attachment))
            return try await AoEInitiator.holding(host) { try await detach(attachment, force) }
        }
    }

    private func detach(_ attachment: Attachment, _ force: Bool) async throws -> [String] {
        let path = KernelDevice.path(attachment.address, in: host.tree)
        let link = AttachedLink(
            host: host, name: attachment.name, path: attachment.linkPath(in: host.tree),
            target: attachment.address.description, what: Self.what(attachment))
        var removed = try await link.takeAway {
            try await checkIsUnused(attachment.address, doing: Self.what(attachment))
            if !force, initiator.device(attachment.address)?.state == .up {
                try await link.writeBack(LinkKeeper(host: host).device(of: .aoe(attachment))?.path ?? path)
            }
        }
        if let cover = attachment.cover { try await FlushCover(host: host).remove(cover) }
        if initiator.device(attachment.address) != nil {
            try await initiator.forget(attachment.address)
            removed.append(path)
        }
        try host.database.removeAttachment(attachment.name)
        return removed + ["the record of \(attachment.name), the target \(attachment.address)"]
    }

    private static func what(_ attachment: Attachment) -> String { "cannot detach '\(attachment.name)'" }
}

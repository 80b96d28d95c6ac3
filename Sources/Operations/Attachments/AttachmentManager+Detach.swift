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
        let link = try ownLink(of: attachment)
        var removed: [String] = []
        // Whoever starts to use it does so by the link: without it, the next look is the last that is needed.
        if try host.links.remove(attachment.name) { removed.append(host.links.path(of: attachment.name)) }
        do {
            try await checkIsUnused(attachment.address, doing: Self.what(attachment))
            if !force { try await writeBack(attachment) }
        } catch {
            if let link { try host.links.set(attachment.name, to: link) }
            throw error
        }
        if initiator.device(attachment.address) != nil {
            try await initiator.forget(attachment.address)
            removed.append(KernelDevice.path(attachment.address, in: host.tree))
        }
        try host.database.removeAttachment(attachment.name)
        return removed + ["the record of \(attachment.name), the target \(attachment.address)"]
    }

    private static func what(_ attachment: Attachment) -> String { "cannot detach '\(attachment.name)'" }

    /// What the link holds, to be put back; nil where there is none that leads anywhere.
    private func ownLink(of attachment: Attachment) throws -> String? {
        let what = Self.what(attachment)
        switch try host.links.read(attachment.name) {
        case .absent: return nil
        case .notALink(let kind):
            throw Failure(
                .refused, what, why: "\(kind) is in the place of its link", remedy: "move it away by hand")
        case .link(let target, let end):
            guard target == KernelDevice.path(attachment.address, in: host.tree) else {
                throw Failure(
                    .refused, what, why: "its link leads to \(target), and not to \(attachment.address)",
                    remedy: "see 'xenlvs link show \(attachment.name)'; remove the link by hand once nothing uses it")
            }
            switch end {
            case .device: return target
            case .dangling, .notABlockDevice: return nil
            }
        }
    }

    private func writeBack(_ attachment: Attachment) async throws {
        guard let device = initiator.device(attachment.address), device.state == .up else { return }
        do {
            try await host.runner.run(
                InitiatorCommands.writeBack(KernelDevice.path(attachment.address, in: host.tree)))
        } catch {
            let failure = Failure(error, doing: "cannot write it back")
            throw Failure(
                .failed, Self.what(attachment),
                why: "what the host has of it in memory cannot be written: \(failure.why ?? failure.what)",
                remedy: "see that its target answers ('xenlvs attachments'); --force gives up what is not written",
                causes: [failure])
        }
    }
}

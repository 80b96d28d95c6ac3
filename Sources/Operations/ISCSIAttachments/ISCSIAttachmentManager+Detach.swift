import HostModel
import Hosts
import ISCSI
import Storage

extension ISCSIAttachmentManager {
    /// Gives an attached disk back: link, map, sessions with their disks, records. Nothing happens while anything uses it.
    ///
    /// - Parameter force: gives up what the host has not written back yet, for a target that does not answer any more.
    /// - Returns: what was removed, one line each.
    /// - Throws: `.busy` with who uses it; `.refused` where the link was changed by hand; `.failed` where what is still in
    ///   memory cannot be written; `.outcomeUnknown` where the kernel has not let go of it in time.
    public func detach(_ name: VolumeName, force: Bool) async throws -> [String] {
        try await VolumeLock.holding(name, of: host) {
            let attachment = try host.iscsiAttachment(name)
            try await checkIsUnused(attachment)
            return try await OpenISCSI.holding(host) { try await detach(attachment, force) }
        }
    }

    private func detach(_ attachment: ISCSIAttachment, _ force: Bool) async throws -> [String] {
        let link = AttachedLink(
            host: host, name: attachment.name, path: ISCSIDevice.path(attachment, in: host.tree),
            target: attachment.target.text, what: Self.what(attachment))
        var removed = try await link.takeAway {
            try await checkIsUnused(attachment)
            if !force, let device = ISCSIDevice.read(attachment, in: host.tree) {
                try await link.writeBack(device.node)
            }
        }
        removed += try await letGo(attachment, force: force)
        try host.database.removeAttachment(attachment.name)
        try await maps.writeConfiguration()
        return removed + ["the record of \(attachment.name), the target \(attachment.target)"]
    }

    /// Map, sessions and open-iscsi's records go.
    @discardableResult
    func letGo(_ attachment: ISCSIAttachment, force: Bool) async throws -> [String] {
        var removed: [String] = []
        if attachment.isMultipath { try await maps.remove(attachment) }
        for path in attachment.paths {
            guard let session = initiator.session(path, of: attachment) else { continue }
            try await initiator.logout(session)
            removed.append("the session with \(path.words)")
        }
        let deadline = ContinuousClock.now + .seconds(10)
        while let left = attachment.paths.lazy.compactMap({ initiator.session($0, of: attachment) }).first {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .outcomeUnknown, "session \(left.number) with \(attachment.target) has not ended",
                    why: "the kernel still has it (\(left.state))",
                    remedy: "see 'dmesg', then run the same command again")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        try initiator.remove(attachment)
        if attachment.isMultipath, attachment.ownMap == nil { await maps.forget(attachment.identity.wwid) }
        return removed
    }

    private static func what(_ attachment: ISCSIAttachment) -> String { "cannot detach '\(attachment.name)'" }

    /// Throws `.busy` with everybody who has the device.
    private func checkIsUnused(_ attachment: ISCSIAttachment) async throws {
        let uses = try await DeviceUse.lasting(on: host) { try await $0.uses(of: attachment) }
        guard let first = uses.first else { return }
        throw Failure(
            .busy, Self.what(attachment), why: uses.map(\.sentence).joined(separator: "; "), remedy: first.remedy)
    }
}

extension DeviceUse {
    /// What holds an attached disk, its map or its partitions.
    func uses(of attachment: ISCSIAttachment) async throws -> [VolumeUse] {
        let devices = ISCSIDevice.all(attachment, in: host.tree)
        let uses = try plainUses(of: devices)
        guard uses.isEmpty else { return uses }
        // A disk whose session is down is not opened: that could take as long as its time-outs.
        let isUp = ISCSISession.all(in: host.tree).contains { session in
            session.isUp && attachment.paths.contains { session.takes($0, to: attachment.target) }
        }
        guard isUp else { return [] }
        for device in devices where try await host.initiator.isClaimed(device) {
            return [VolumeUse(.open, attachment.name.text)]
        }
        return []
    }
}

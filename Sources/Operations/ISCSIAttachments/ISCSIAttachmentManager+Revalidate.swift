import HostModel
import Hosts
import ISCSI
import Storage

extension ISCSIAttachmentManager {
    /// Takes over the size of a disk that has grown, also while it is in use.
    /// - Throws: `.refused` for one that has become smaller or is another; `.failed` where the kernel does not see the new
    ///   size in time.
    public func revalidate(_ name: VolumeName, limit: Duration) async throws -> RevalidatedDisk {
        let deadline = ContinuousClock.now + limit
        return try await VolumeLock.holding(name, of: host) {
            let attachment = try host.iscsiAttachment(name)
            return try await OpenISCSI.holding(host) {
                let opinion = await probing.ask(attachment, as: try initiator.initiatorName())
                guard let found = opinion.identity, [.asRecorded, .grown].contains(opinion.verdict) else {
                    throw Failure(
                        .refused, "cannot revalidate '\(name)'", why: opinion.why, remedy: opinion.remedy)
                }
                try await takeOver(found.size, attachment, deadline)
                var larger = attachment
                larger.identity.size = found.size
                if larger != attachment { try host.database.update(try larger.record()) }
                let numbers = ISCSIDevice.all(larger, in: host.tree).map(\.number)
                return RevalidatedDisk(
                    size: found.size, former: attachment.identity.size,
                    domains: try await host.currentUse(asksLVM: false).domains(on: numbers))
            }
        }
    }

    private func takeOver(_ size: ByteCount, _ attachment: ISCSIAttachment, _ deadline: ContinuousClock.Instant)
        async throws
    {
        guard let device = ISCSIDevice.read(attachment, in: host.tree) else {
            throw Failure(
                .failed, "cannot revalidate '\(attachment.name)'", why: "its device is not there",
                remedy: "bring it back with 'xenlvs link repair \(attachment.name)'")
        }
        func isDone() throws -> Bool {
            try ISCSIDevice.disks(attachment, in: host.tree).allSatisfy { $0.size == size } && device.size() == size
        }
        if try isDone() { return }
        for path in attachment.paths {
            if let session = initiator.session(path, of: attachment), session.isUp {
                try await initiator.rescan(session)
            }
        }
        if attachment.isMultipath { try await maps.resize(attachment) }
        while try !isDone() {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .failed, "the kernel has not taken the new size of '\(attachment.name)' over",
                    why: "it has \(try device.size().bytes) bytes, not \(size.bytes)",
                    remedy: "see 'dmesg', then run it again")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

import HostModel
import Hosts
import ISCSI
import Storage

extension ISCSIAttachmentManager {
    /// Takes over the size of a disk that has grown, also while it is in use. A path that is down at that time is left out of
    /// the map, and taken in again when it is back.
    /// - Throws: `.refused` for one that has become smaller or is another; `.failed` where the kernel does not see the new
    ///   size in time, or the disk has no device here.
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
                var larger = attachment
                larger.identity.size = found.size
                try await takeOver(larger, deadline)
                if larger != attachment { try host.database.update(try larger.record()) }
                let numbers = ISCSIDevice.all(larger, in: host.tree).map(\.number)
                return RevalidatedDisk(
                    size: found.size, former: attachment.identity.size,
                    domains: try await host.currentUse(asksLVM: false).domains(on: numbers))
            }
        }
    }

    private func takeOver(_ larger: ISCSIAttachment, _ deadline: ContinuousClock.Instant) async throws {
        guard let device = ISCSIDevice.read(larger, in: host.tree) else {
            throw Failure(
                .failed, "cannot revalidate '\(larger.name)'", why: "its device is not there",
                remedy: "bring it back with 'xenlvs link repair \(larger.name)', which takes the new size over, too")
        }
        let size = larger.identity.size
        func disksHaveIt() -> Bool {
            let disks = ISCSIDevice.disksInReach(larger, in: host.tree)
            return !disks.isEmpty && disks.allSatisfy { $0.size == size }
        }
        if try disksHaveIt() && device.size() == size { return }
        for path in larger.paths {
            if let session = initiator.session(path, of: larger), session.isUp { try await initiator.rescan(session) }
        }
        try await wait(for: larger, device, until: deadline) { disksHaveIt() }
        if larger.isMultipath { try await maps.resize(larger) }
        try await wait(for: larger, device, until: deadline) { try device.size() == size }
    }

    private func wait(
        for larger: ISCSIAttachment, _ device: BlockDevice, until deadline: ContinuousClock.Instant,
        _ isDone: () throws -> Bool
    ) async throws {
        while try !isDone() {
            guard ContinuousClock.now < deadline else {
                let disks = ISCSIDevice.disksInReach(larger, in: host.tree).map { "\($0.name) has \($0.size.bytes)" }
                let sizes = (disks + ["its device has \(try device.size().bytes)"]).joined(separator: ", ")
                throw Failure(
                    .failed, "the kernel has not taken the new size of '\(larger.name)' over",
                    why: disks.isEmpty
                        ? "none of its paths is up" : "\(sizes) bytes, not \(larger.identity.size.bytes)",
                    remedy: "see 'xenlvs attachments' and 'dmesg', then run it again")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

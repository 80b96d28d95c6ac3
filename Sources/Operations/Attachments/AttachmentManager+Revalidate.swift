import AoE
import HostModel
import Hosts
import Storage

extension AttachmentManager {
    /// Takes over the size of a target that has grown, also while it is in use: Xen's block backend tells a running guest.
    /// - Throws: `.refused` for a target that has become smaller or is another device; `.notFound` where nobody answers;
    ///   `.failed` where the kernel does not see the new size in time.
    public func revalidate(_ name: VolumeName, limit: Duration) async throws -> RevalidatedDisk {
        let deadline = ContinuousClock.now + limit
        return try await VolumeLock.holding(name, of: host) {
            let attachment = try host.aoeAttachment(name)
            return try await AoEInitiator.holding(host) {
                let size = try await grownSize(of: attachment, deadline)
                try await takeOver(size, attachment, deadline)
                var larger = attachment
                larger.identity.size = size
                if larger != attachment { try host.database.update(try larger.record()) }
                if let device = initiator.ready(attachment.address, size) {
                    let path = try await host.linkTarget(larger, device)
                    // One that had grown before a boot has no link yet.
                    if case .absent = try host.links.read(name) { try host.links.set(name, to: path) }
                }
                let devices = initiator.device(attachment.address)?.blockDevices(in: host.tree) ?? []
                let numbers = (devices + devices.compactMap { FlushCover.over($0, in: host.tree) }).map(\.number)
                return RevalidatedDisk(
                    size: size, former: attachment.identity.size,
                    domains: try await host.currentUse(asksLVM: false).domains(on: numbers))
            }
        }
    }

    private func grownSize(of attachment: Attachment, _ deadline: ContinuousClock.Instant) async throws -> ByteCount {
        let what = "cannot revalidate '\(attachment.name)'"
        let targets = try await answers(for: attachment.address, until: deadline) {
            try await initiator.ask(for: [attachment])
        }
        let found = try targets.identity(doing: what)
        switch TargetVerdict(found, recorded: attachment.identity) {
        case .asRecorded, .grown: return found.size
        case .shrunk, .another, .unusable, .silent:
            let opinion = TargetOpinion(attachment, targets)
            throw Failure(.refused, what, why: opinion.why, remedy: opinion.remedy)
        }
    }

    private func takeOver(
        _ size: ByteCount, _ attachment: Attachment, _ deadline: ContinuousClock.Instant
    ) async throws {
        guard let device = initiator.device(attachment.address), device.state == .up else {
            throw Failure(
                .failed, "cannot revalidate '\(attachment.name)'", why: "its device is not up",
                remedy: "see 'xenlvs attachments'; 'xenlvs link repair \(attachment.name)' brings it back")
        }
        guard device.size != size else { return }
        try await host.runner.run(InitiatorCommands.revalidate(attachment.address))
        while initiator.ready(attachment.address, size) == nil {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .failed, "the kernel has not taken the new size of \(attachment.address) over",
                    why: "it has \(initiator.device(attachment.address)?.size.bytes ?? 0) bytes, not \(size.bytes)",
                    remedy: "see 'dmesg', then run it again")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

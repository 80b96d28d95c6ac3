import AoE
import HostModel
import Hosts
import Storage

/// Brings attachments back, as at boot: module, interfaces, devices, links.
///
/// A link is made only to a device that is, in size and serial number, the recorded one. Nothing is taken away.
struct AttachmentRecovery: Sendable {
    let host: HostContext
    private let initiator: AoEInitiator
    private let keeper: LinkKeeper

    /// How long another command may have an attachment.
    private static let patience = Duration.seconds(5)

    init(host: HostContext) {
        self.host = host
        initiator = AoEInitiator(host: host)
        keeper = LinkKeeper(host: host)
    }

    /// One row for each of `attachments`. Targets that do not answer are asked again until `limit` is over.
    func run(_ attachments: [Attachment], limit: Duration) async throws -> [LinkRepairRow] {
        let deadline = ContinuousClock.now + limit
        var rows: [VolumeName: LinkRepairRow] = [:]
        var pending: [Attachment] = []
        for attachment in attachments {
            let facts = try keeper.facts(.aoe(attachment))
            if facts.verdict == .right, initiator.device(attachment.address)?.state == .up {
                rows[attachment.name] = keeper.row(attachment.name, .wasRight)
            } else {
                pending.append(attachment)
            }
        }
        if !pending.isEmpty {
            do {
                try await prepare()
                for (name, row) in try await bringBack(pending, deadline) { rows[name] = row }
            } catch {
                let failure = Failure(error, doing: "cannot bring the attachments back")
                for attachment in pending where rows[attachment.name] == nil {
                    rows[attachment.name] = keeper.row(attachment.name, failure)
                }
            }
        }
        return attachments.compactMap { rows[$0.name] }
    }

    private func prepare() async throws {
        try await AoEInitiator.holding(host) {
            let known = try host.aoeAttachments()
            let others = try await initiator.interfacesInUseByOthers(than: known)
            _ = try await initiator.use(.needed(by: known.map(\.interfaces), others: others))
        }
    }

    private func bringBack(
        _ attachments: [Attachment], _ deadline: ContinuousClock.Instant
    ) async throws -> [VolumeName: LinkRepairRow] {
        var rows: [VolumeName: LinkRepairRow] = [:]
        while true {
            let pending = attachments.filter { rows[$0.name]?.needsOperator ?? true }
            for attachment in pending { await letGo(attachment) }
            try await host.runner.run(InitiatorCommands.discover)
            let answers = try await initiator.ask(for: pending)
            for attachment in pending {
                let opinion = TargetOpinion(attachment, TargetPaths(attachment.address, among: answers))
                rows[attachment.name] = await judge(attachment, opinion)
            }
            if !rows.values.contains(where: \.needsOperator) || ContinuousClock.now >= deadline { return rows }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// A device that the kernel has given up comes back only once nobody has it open: a cover that nobody uses is taken away.
    private func letGo(_ attachment: Attachment) async {
        guard let cover = attachment.cover, initiator.device(attachment.address)?.state == .closewait else { return }
        // In use, it stays.
        try? await FlushCover(host: host).remove(cover)
    }

    private func judge(_ attachment: Attachment, _ opinion: TargetOpinion) async -> LinkRepairRow {
        guard opinion.verdict == .asRecorded else {
            return keeper.row(attachment.name, .failed, opinion.why, opinion.remedy)
        }
        guard let device = initiator.ready(attachment.address, attachment.identity.size) else {
            let device = initiator.device(attachment.address)
            let state = device.map { "it is \($0.state.rawValue) with \($0.size.bytes) bytes" } ?? "it is not there"
            return keeper.row(
                attachment.name, .failed, "the kernel does not bring \(attachment.address) up: \(state)",
                "see 'dmesg', then 'xenlvs link repair \(attachment.name)'")
        }
        do {
            return try await VolumeLock.holding(attachment.name, of: host, patience: Self.patience) {
                try await link(attachment, device)
            }
        } catch { return keeper.row(attachment.name, Failure(error, doing: "cannot set the link")) }
    }

    /// Reads everything anew under the lock: another command may have detached it.
    private func link(_ attachment: Attachment, _ device: BlockDevice) async throws -> LinkRepairRow {
        guard try host.aoeAttachment(attachment.name) == attachment else {
            return keeper.row(attachment.name, .busy, "another command has changed it meanwhile")
        }
        let facts = try keeper.facts(.aoe(attachment))
        switch facts.verdict {
        case .right: return keeper.row(attachment.name, .wasRight)
        case .missing, .dangling:
            try host.links.set(attachment.name, to: try await host.linkTarget(attachment, device))
            return keeper.row(attachment.name, .made)
        case .replacedByHand, .notALink, .notRecorded, .mustNotBe, .onReplica, .migration, .rightlyAbsent:
            return keeper.row(attachment.name, .refused, facts.why, facts.remedy)
        }
    }
}

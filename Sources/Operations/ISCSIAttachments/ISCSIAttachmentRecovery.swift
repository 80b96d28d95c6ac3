import HostModel
import Hosts
import ISCSI
import ISCSIHost
import Storage

/// Brings iSCSI attachments back, as at boot: targets are asked, sessions begun, links made.
///
/// A link is made only to a disk that is, in WWID and serial number, the recorded one, and no smaller; where it is not,
/// nothing is logged in to. One that has grown is recorded with its new size. One usable path of several is enough. A link
/// that is there is taken away where a portal leads to another disk now, since the kernel goes on using what the LUN is without
/// a word; and where the kernel itself has learned that it is another one.
struct ISCSIAttachmentRecovery: Sendable {
    let host: HostContext
    private let initiator: OpenISCSI
    private let keeper: LinkKeeper

    /// How long another command may have an attachment.
    private static let patience = Duration.seconds(5)
    /// For devices to appear after a login, whatever the targets took.
    private static let deviceLimit = Duration.seconds(20)

    init(host: HostContext) {
        self.host = host
        initiator = OpenISCSI(host: host)
        keeper = LinkKeeper(host: host)
    }

    /// One row for each of `attachments`. Targets that do not answer are asked again until `limit` is over.
    func run(_ attachments: [ISCSIAttachment], limit: Duration) async -> [LinkRepairRow] {
        let deadline = ContinuousClock.now + limit
        var rows: [VolumeName: LinkRepairRow] = [:]
        var pending = attachments
        while true {
            for (attachment, opinion) in await ask(pending) {
                let row = await repair(attachment, opinion)
                rows[attachment.name] = row
                // That another disk is there does not pass by waiting.
                let isSettled = (try? opinion.get().leadsElsewhere) ?? false
                if isSettled || !row.needsOperator { pending.removeAll { $0 == attachment } }
            }
            if pending.isEmpty || ContinuousClock.now >= deadline { break }
            try? await Task.sleep(for: .milliseconds(500))
        }
        return attachments.compactMap { rows[$0.name] }
    }

    /// What the targets say, all of them asked at the same time.
    private func ask(_ attachments: [ISCSIAttachment]) async -> [(ISCSIAttachment, Result<ISCSIOpinion, Failure>)] {
        await withTaskGroup(of: (Int, Result<ISCSIOpinion, Failure>).self) { group in
            for (index, attachment) in attachments.enumerated() {
                group.addTask {
                    do {
                        let name = try initiator.initiatorName()
                        return (index, .success(await ISCSIProbing(host: host).ask(attachment, as: name)))
                    } catch { return (index, .failure(Failure(error, doing: "cannot ask its target"))) }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }
                .map { (attachments[$0.0], $0.1) }
        }
    }

    /// Every path has its session, and its disk in the map.
    private func isComplete(_ attachment: ISCSIAttachment) throws -> Bool {
        try keeper.facts(.iscsi(attachment)).verdict == .right
            && attachment.paths.allSatisfy { path in
                guard let session = initiator.session(path, of: attachment), session.isUp else { return false }
                return !session.disks(of: attachment).contains { ISCSIDevice.leavesOut($0, attachment, in: host.tree) }
            }
    }

    /// Whether what the targets say lets the device be made, or completed.
    private func mayBegin(_ attachment: ISCSIAttachment, _ opinion: ISCSIOpinion) throws -> Bool {
        switch opinion.verdict {
        case .asRecorded: true
        // A device that a guest may have open gets another size only when the operator says so, by 'attachments --revalidate'.
        case .grown: try keeper.facts(.iscsi(attachment)).verdict != .right
        case .shrunk, .another, .unusable, .silent: false
        }
    }

    /// Whether the kernel itself has learned that the only disk is another one. In a map such a disk is not used by whoever
    /// checks its paths, and the others may go on.
    private func isOnAnotherDisk(_ attachment: ISCSIAttachment, _ facts: LinkFacts) -> Bool {
        !attachment.isMultipath && keeper.leadsToAnotherDisk(facts, .iscsi(attachment))
    }

    private func repair(
        _ attachment: ISCSIAttachment, _ opinion: Result<ISCSIOpinion, Failure>
    ) async -> LinkRepairRow {
        do {
            let opinion = try opinion.get()
            if [.asRecorded, .silent].contains(opinion.verdict), try isComplete(attachment) {
                return keeper.row(attachment.name, .wasRight)
            }
            guard
                try mayBegin(attachment, opinion) || opinion.leadsElsewhere
                    || isOnAnotherDisk(attachment, keeper.facts(.iscsi(attachment)))
            else { return keeper.row(attachment.name, .failed, opinion.why, opinion.remedy) }
            return try await VolumeLock.holding(attachment.name, of: host, patience: Self.patience) {
                try await OpenISCSI.holding(host) { try await repairLocked(attachment, opinion) }
            }
        } catch {
            let failure = Failure(error, doing: "cannot bring it back")
            return keeper.row(attachment.name, failure, isRefusal: failure.code == .refused)
        }
    }

    /// Reads everything anew under the lock: another command may have detached it.
    private func repairLocked(_ attachment: ISCSIAttachment, _ opinion: ISCSIOpinion) async throws -> LinkRepairRow {
        guard case .iscsi(attachment) = try host.attachment(attachment.name) else {
            return keeper.row(attachment.name, .busy, "another command has changed it meanwhile")
        }
        let facts = try keeper.facts(.iscsi(attachment))
        switch facts.verdict {
        case .right, .missing, .dangling: break
        case .replacedByHand where keeper.leadsToAnotherDisk(facts, .iscsi(attachment)): break
        case .replacedByHand, .notALink, .notRecorded, .mustNotBe, .onReplica, .migration, .rightlyAbsent:
            return keeper.row(attachment.name, .refused, facts.why, facts.remedy)
        }
        let isOnAnother = isOnAnotherDisk(attachment, facts)
        let isTakenAway =
            opinion.leadsElsewhere || isOnAnother ? try host.links.remove(attachment.name) : false
        guard try mayBegin(attachment, opinion) else {
            let why = [
                isOnAnother && !opinion.leadsElsewhere ? facts.why : nil, opinion.why,
                isTakenAway ? "its link was taken away" : nil,
            ]
            return keeper.row(
                attachment.name, .failed, why.compactMap(\.self).joined(separator: "; "), opinion.remedy)
        }
        let credentials = try attachment.chapFile.map { try CHAPFile.read($0) }
        let before = attachment.paths.filter { initiator.session($0, of: attachment) != nil }
        var found = attachment
        if opinion.verdict == .grown, let size = opinion.identity?.size { found.identity.size = size }
        do {
            let node = try await ISCSIBringUp(host: host).run(
                found, by: found.paths.filter { opinion.isUsable($0) }, credentials,
                deadline: .now + Self.deviceLimit)
            if found != attachment { try host.database.update(try found.record()) }
            if facts.verdict != .right { try host.links.set(attachment.name, to: node) }
        } catch {
            try await endSessions(of: attachment, but: before)
            throw error
        }
        return row(facts.verdict == .right ? .wasRight : .made, found, formerly: attachment, opinion)
    }

    /// Of what can be used, with what is to be said of it all the same: that it has grown, and the paths that are missing.
    private func row(
        _ result: LinkRepairRow.Result, _ now: ISCSIAttachment, formerly: ISCSIAttachment, _ opinion: ISCSIOpinion
    ) -> LinkRepairRow {
        var remarks: [String] = []
        if now != formerly { remarks.append("it has grown from \(formerly.identity.size) to \(now.identity.size)") }
        let missing = now.paths.filter { initiator.session($0, of: now) == nil }
        remarks += missing.map { path in
            let trouble = opinion.troubles[path].map { ": \($0.why ?? $0.what)" } ?? ""
            return "it is without the path \(path.words)\(trouble)"
        }
        return keeper.row(
            now.name, result, remarks.isEmpty ? nil : remarks.joined(separator: "; "),
            missing.isEmpty
                ? nil : "where xenlvsd runs it begins the session once it can; else 'xenlvs link repair \(now.name)'")
    }

    /// What was begun for a disk that turned out to be another one, or did not come, is ended again.
    private func endSessions(of attachment: ISCSIAttachment, but before: [ISCSIPath]) async throws {
        for path in attachment.paths where !before.contains(path) {
            if let session = initiator.session(path, of: attachment) { try await initiator.logout(session) }
        }
    }
}

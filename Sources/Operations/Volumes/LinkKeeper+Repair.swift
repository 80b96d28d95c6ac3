import HostModel
import Migration
import Replication
import Storage

/// What was done about one link.
public struct LinkRepairRow: Sendable, Encodable {
    public enum Result: String, Sendable, Codable {
        case made
        case replaced
        case wasRight = "was-right"
        /// It is as it has to be, without leading to the volume: on a replica, or not there.
        case leftAlone = "left-alone"
        /// Nothing was done, and the operator has to.
        case refused
        case failed
        /// Another command had the volume all the time.
        case busy
    }

    public var name: VolumeName
    public var path: String
    /// What the link holds now.
    public var target: String?
    public var result: Result
    public var why: String?
    public var remedy: String?

    /// Whether something is left for the operator to do.
    public var needsOperator: Bool {
        switch result {
        case .made, .replaced, .wasRight, .leftAlone, .busy: false
        case .refused, .failed: true
        }
    }
}

extension LinkKeeper {
    /// How long a repair waits for another command that has the volume. At boot several repairs run side by side.
    private static let patience = Duration.seconds(30)

    /// Puts the links of all active volumes back, as at boot. One that fails does not keep the others from being done.
    ///
    /// A link that leads to another device than the volume's is left alone: a guest may be running on it.
    /// - Parameter limit: how long to wait for the targets of attachments, all of them together; nil leaves them out.
    public func repairAll(
        waitingForTargets limit: Duration? = LinkKeeper.targetPatience
    ) async throws -> [LinkRepairRow] {
        let volumes = try host.recordedVolumes()
        var rows: [LinkRepairRow] = []
        for volume in volumes where !volume.needsAttachment {
            rows.append(await repair(volume.name, replacing: false))
        }
        let later = volumes.filter(\.needsAttachment)
        guard let limit else {
            return rows + later.map { row($0.name, .leftAlone, "it needs an attachment, and these are left out") }
        }
        rows += try await repair(try host.attachments(), limit)
        for volume in later { rows.append(await repair(volume.name, replacing: false)) }
        return rows
    }

    /// How long a target that does not answer is asked again, where nobody says otherwise.
    public static let targetPatience = Duration.seconds(5)

    /// Puts one link back; here, where nothing uses what it leads to, also one that was changed by hand.
    /// - Parameter limit: how long to wait for an attachment's target.
    public func repair(
        _ name: VolumeName, waitingForTarget limit: Duration = LinkKeeper.targetPatience
    ) async throws -> LinkRepairRow {
        if let attachment = try host.attachments().first(where: { $0.name == name }),
            let row = try await repair([attachment], limit).first
        {
            return row
        }
        guard try host.recordedVolume(name) != nil else {
            throw Failure(.notFound, "there is no volume '\(name)'", remedy: "see 'xenlvs volume list'")
        }
        return await repair(name, replacing: true)
    }

    /// Brings an attachment back where something of it is missing. Throws what is left for the operator to do.
    func complete(_ name: VolumeName, within limit: Duration) async throws {
        let row = try await repair(name, waitingForTarget: limit)
        guard row.result == .busy || row.needsOperator else { return }
        throw Failure(
            row.result == .busy ? .busy : .failed,
            "the attachment '\(name)' is there already, and cannot be brought back",
            why: row.why, remedy: row.remedy ?? "see 'xenlvs attachments'")
    }

    /// Both protocols at the same time: neither has to wait for the other's targets.
    private func repair(_ attachments: [RecordedAttachment], _ limit: Duration) async throws -> [LinkRepairRow] {
        async let sessions = ISCSIAttachmentRecovery(host: host).run(attachments.compactMap(\.overISCSI), limit: limit)
        let devices = try await AttachmentRecovery(host: host).run(attachments.compactMap(\.overAoE), limit: limit)
        return devices + (await sessions)
    }

    private func repair(_ name: VolumeName, replacing: Bool) async -> LinkRepairRow {
        do {
            return try await VolumeLock.holding(name, of: host, patience: Self.patience) {
                try await repairLocked(name, replacing: replacing)
            }
        } catch {
            return row(name, Failure(error, doing: "cannot repair the link"))
        }
    }

    /// Reads everything anew under the lock: the journal may have changed while it was waited for.
    private func repairLocked(_ name: VolumeName, replacing: Bool) async throws -> LinkRepairRow {
        guard let recorded = try host.recordedVolume(name) else {
            throw Failure(.notFound, "the volume '\(name)' was removed meanwhile")
        }
        var notes: [String] = []
        let volume = try await SwitchAdopter(host: host).settled(recorded)
        if recorded.adoption != nil {
            notes.append(
                volume.switchGoal == nil
                    ? "its guest was being given a switch; that was taken back"
                    : "its guest was being given a switch; that is done")
        }
        let migrations = try OpenMigration.all(in: host.database)
        if let note = try await repairSwitch(volume, LinkDuty(volume, migrations)) { notes.append(note) }
        let facts = try await self.facts(name, volume, migrations)
        let duty = LinkDuty(volume, migrations)
        func row(_ result: LinkRepairRow.Result, _ why: String? = nil, _ remedy: String? = nil) -> LinkRepairRow {
            self.row(name, result, (notes + [why].compactMap(\.self)).joined(separator: "; ").nonempty, remedy)
        }
        switch facts.verdict {
        case .right: return row(.wasRight)
        case .onReplica, .migration, .rightlyAbsent: return row(.leftAlone, reason(duty))
        case .notALink, .mustNotBe, .notRecorded: return row(.refused, facts.why, facts.remedy)
        case .missing, .dangling:
            try await pointToVolume(volume, duty)
            return facts.target.map { row(.replaced, "it led to \($0), which is not there") } ?? row(.made)
        case .replacedByHand:
            // A loop device or an LV that is not active yet is no reason to think of a hand.
            if try await isRightOnceActive(volume) { return row(.wasRight) }
            guard replacing else { return row(.refused, facts.why, facts.remedy) }
            try await requireUnused(name)
            try await pointToVolume(volume, duty)
            return row(.replaced, "it led to \(facts.target ?? "something else")")
        }
    }

    /// What came of a repair, of a volume's link or of an attachment's.
    func row(
        _ name: VolumeName, _ result: LinkRepairRow.Result, _ why: String? = nil, _ remedy: String? = nil
    ) -> LinkRepairRow {
        var held: String?
        if case .link(let target, _)? = try? host.links.read(name) { held = target }
        return LinkRepairRow(
            name: name, path: host.links.path(of: name), target: held, result: result, why: why, remedy: remedy)
    }

    /// The same where it has failed.
    func row(_ name: VolumeName, _ failure: Failure, isRefusal: Bool = false) -> LinkRepairRow {
        row(
            name, failure.code == .busy ? .busy : isRefusal ? .refused : .failed,
            failure.why.map { "\(failure.what): \($0)" } ?? failure.what, failure.remedy)
    }

    private func isRightOnceActive(_ volume: Volume) async throws -> Bool {
        if try await linkedDevice(volume) != nil { return false }
        let plain = try BlockDevice(at: try await checkedDevice(volume)).number
        guard case .link(_, .device(_, plain)) = try host.links.read(volume.name) else { return false }
        return true
    }

    /// Sets the link, after the volume is known to be the recorded one.
    private func pointToVolume(_ volume: Volume, _ duty: LinkDuty) async throws {
        if case .volumeOrReplica(let migration, _) = duty,
            try await host.currentUse(asksLVM: false).replica(of: volume.name) != nil
        {
            throw Failure(
                .refused, "will not point the link to the volume below its replica",
                why: "migration \(migration.id) is not finished",
                remedy: "run 'xenlvs migration resume \(migration.id)', or abort it")
        }
        let target =
            if volume.switchGoal == nil { try await checkedDevice(volume) } else {
                try await host.switches.bringUp(volume)
            }
        try host.links.set(volume.name, to: target)
    }

    /// Makes the volume's switch as at boot, or puts right what a killed run has left of it. A replica that a swap had made
    /// ended with the boot in which it was made: it had no peer, so its data are the volume's. Returns what is to be said.
    private func repairSwitch(_ volume: Volume, _ duty: LinkDuty) async throws -> String? {
        guard volume.switchGoal != nil else { return nil }
        switch duty {
        case .volume, .volumeOrReplica: break
        case .migration, .handedOver, .none: return nil
        }
        try await host.switches.bringUp(volume)
        if let move = volume.switchGoal?.move { return try await repairMove(volume, move) }
        if case .volume = duty, try await host.switches.facts(volume).verdict == .closed {
            _ = try await host.switches.lead(volume, to: try await host.switches.checkedDevice(volume).number)
            return "its switch was closed, as a hand-over that was cut off leaves it; it leads to the volume again"
        }
        guard case .replica = volume.switchGoal,
            try await host.currentUse(asksLVM: false).replica(of: volume.name) == nil
        else { return nil }
        let facts = try await host.switches.facts(volume)
        guard facts.verdict == .stillOnVolume else { return nil }
        var settled = volume
        settled.switchGoal = .volume
        try host.put(settled)
        try await SwapManager(worker: HostWorker(host: host, version: Version.text)).tidy(settled)
        return "its replica ended with a restart; it is on the volume"
    }

    /// What is left to do of a move that was cut off, and can be done without whoever has begun it.
    private func repairMove(_ volume: Volume, _ move: VolumeMove) async throws -> String? {
        let now = try host.recordedVolume(volume.name)?.switchGoal?.move
        if now?.stage == .preparing, move.stage != .preparing {
            return
                "the copy to \(move.place) has failed, or cannot go on; it is on the volume, and the copy begins anew "
                + "when the swap is repeated"
        }
        guard try await host.switches.facts(volume).verdict == .onTarget else { return nil }
        let worker = HostWorker(host: host, version: Version.text)
        let settled = try await DiskMove(worker: worker, options: MoveOptions(), listener: MoveListener()).settle(
            volume, move)
        return "its swap to \(settled.place) is finished"
    }

    /// The device of the volume, activated, after a look at whether it is what the journal has.
    private func checkedDevice(_ volume: Volume) async throws -> String {
        switch volume.place {
        case .logicalVolume(let group, let name):
            let reference = LogicalVolumeReference(group: group, name: name)
            let output = try await host.runner.run(LVMCommands.findVolume(reference)).output
            guard let found = try LVMReport.volumes(output).first else {
                throw Failure(.notFound, "there is no LV \(reference)", remedy: "see 'lvs' and 'pvs'")
            }
            try volume.check(found)
        case .attachment: return try await host.switches.checkedDevice(volume).path
        case .file(let directory):
            let pool = try FilePool(directory)
            guard try pool.size(of: volume.name) == volume.size else {
                throw Failure(
                    .inconsistent, "\(pool.path(of: volume.name)) is not what is recorded for \(volume.name)",
                    why: "it is not there, or has not \(volume.size.bytes) bytes",
                    remedy: "see 'xenlvs volume show \(volume.name)'")
            }
        }
        return try await store.device(volume.name, .data, at: volume.place)
    }

    /// Throws `.busy` where a domain has what the link leads to.
    private func requireUnused(_ name: VolumeName) async throws {
        guard case .link(let target, .device(_, let number)) = try host.links.read(name) else { return }
        if let domain = try await host.currentUse(asksLVM: false).domains(on: [number]).first {
            throw Failure(
                .busy, "will not turn the link away from \(target)", why: "the domain \(domain) uses it",
                remedy: "shut the domain down first, or record it with 'xenlvs link set \(name) \(target)'")
        }
    }
}

extension Volume {
    /// It can be brought up only after an attachment.
    fileprivate var needsAttachment: Bool {
        place.attachment != nil || switchGoal?.move?.place.attachment != nil
    }
}

extension String {
    fileprivate var nonempty: String? { isEmpty ? nil : self }
}

import Domains
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// What one host does alone, the other one being dead for good.
extension HostWorker {
    /// What there is of the migration on a target. A guest that is only half restored is destroyed: nothing can come of it.
    func targetFacts(_ spec: MigrationSpec) async throws -> TargetFacts {
        let guest = try await targetGuest(spec)
        var copies: [TargetFacts.Copies] = []
        for volume in spec.volumes { copies.append(try await copy(of: volume, spec, .target)) }
        return TargetFacts(
            isDecided: try recorded(spec.id).record.decided, guest: guest,
            copies: copies.contains(.incomplete) ? .incomplete : copies.contains(.unknown) ? .unknown : .upToDate)
    }

    private func targetGuest(_ spec: MigrationSpec) async throws -> TargetFacts.Guest {
        // Of a live hand-over that was broken off; it has the disks open.
        let arriving = try await arrivals(spec)
        try requireWaiting(arriving, spec)
        for domain in arriving { try await host.runner.run(XLCommands.destroy(domain.id)) }
        let isSaved = try host.images.state(spec.id, .settlement) == .whole
        switch try await clearUnfinished(spec) {
        case .absent:
            if isSaved { return .saved }
            return host.images.exists(spec.id, .received) ? .received : .absent
        case .present(_, .paused): return isSaved ? .pausedInSettlement : .paused
        case .present(_, .active): return .running
        case .present(_, let state):
            throw Failure(
                .refused, "the domain \(spec.domain) is \(state.rawValue)", host: host.name.text,
                remedy: "let it run, or destroy it if nothing can be made of it; see 'xl list'")
        }
    }

    /// Whether a copy is complete: by the kernel's word where DRBD is up, otherwise by what it has left on disk.
    private func copy(of volume: VolumeSpec, _ spec: MigrationSpec, _ role: Role) async throws -> TargetFacts.Copies {
        if let status = try await replicas(of: spec).first(where: { $0.volume == volume.name })?.status {
            return status.volume?.disk == .upToDate ? .upToDate : .incomplete
        }
        guard let found = try await store.find(volume.name, .metadata, at: volume.place(role)) else { return .unknown }
        do { try await checkMetadata(found, volume, spec, role) } catch let failure as Failure {
            guard failure.code == .refused else { throw failure }
            return .unknown
        }
        _ = try await store.device(volume.name, .metadata, at: volume.place(role))
        let control = try await control(volume, spec, role)
        let read = control.commands.storedGeneration(control.device, control.connection)
        let generation = DataGeneration(try await host.runner.run(read).output)
        return generation?.wasUpToDate == true ? .upToDate : .incomplete
    }

    /// Source: the guest's memory here may be older than its disk. No image may be restored, and only then is the decision
    /// taken back, after which links may lead to the volumes again.
    func reclaim(_ spec: MigrationSpec) async throws -> StepResult {
        guard try await settled(spec) == .absent else {
            throw Failure(
                .inconsistent, "the domain \(spec.domain) is on the source although it belongs to the target",
                host: host.name.text, remedy: "find out who started it; nothing was changed")
        }
        try await destroyAway(spec)
        try host.spendAll(spec.id)
        try host.database.takeDecisionBack(spec.id.text)
        return StepResult()
    }

    /// Source: links lead to the copies again. Those that are not complete, or removed already, get none.
    func linkReclaimed(_ spec: MigrationSpec) async throws -> StepResult {
        let history = try CoordinatorJournal.history(spec.id, in: host.database)
        let moment = DataMoment(ofSource: history, target: spec.target.name)
        var notes: [String] = []
        for volume in spec.volumes {
            guard let found = try await store.find(volume.name, .data, at: volume.sourcePlace) else {
                try host.removeLink(volume.name)
                try host.database.removeVolume(volume.name)
                notes.append("\(volume.name): the copy on \(host.name) was removed already, as it had been asked for")
                continue
            }
            let isComplete = try await copy(of: volume, spec, .source) != .incomplete
            let known = try switched(volume, .source)
            let reclaimed = Volume(
                name: volume.name, place: volume.sourcePlace, size: volume.size, logicalVolumeUUID: found.uuid,
                state: isComplete ? .active : .retired(migration: spec.id.text),
                switchGoal: isComplete ? known?.switchGoal : nil, switchKey: isComplete ? known?.switchKey : nil)
            if let known, !isComplete {
                try host.removeLink(volume.name)
                try await host.switches.takeAway(known)
            }
            try host.put(reclaimed)
            if isComplete {
                try host.setLink(volume.name, to: try await guestDevice(volume, .source))
                notes.append("\(volume.name): its data are at \(volume.sourcePlace) on \(host.name), \(moment.words)")
            } else {
                try host.removeLink(volume.name)
                notes.append(incomplete(volume, .source))
            }
        }
        return StepResult(notes: notes + [startNote(spec)])
    }

    /// Target: the disks are all that is left of the guest. As on the source, no image may be restored any more.
    func claim(_ spec: MigrationSpec) async throws -> StepResult {
        let wasDecided = try recorded(spec.id).record.decided
        try host.spendAll(spec.id)
        _ = try await acknowledgeDecision(spec)
        let history = try CoordinatorJournal.history(spec.id, in: host.database)
        let moment = DataMoment(ofTarget: history, source: spec.source.name)
        var notes = spec.volumes.map { volume in
            "\(volume.name): its data are at \(volume.targetPlace) on \(host.name), \(moment.words)"
        }
        if DataMoment.isUncompared(history) {
            notes.append("the copies were attached again and not compared since: check the file systems before use")
        }
        if !wasDecided, spec.volumes.count > 1 {
            notes.append(
                "each volume had a connection of its own: they may be a moment apart; check the file systems before use"
            )
        }
        return StepResult(notes: notes + [startNote(spec)])
    }

    /// Target: nothing can run from these copies. They are kept all the same: they may be the last ones.
    func retireCopies(_ spec: MigrationSpec) async throws -> StepResult {
        if try !recorded(spec.id).record.decided { _ = try await discard(spec) }
        guard try await observe(spec) == .absent else {
            throw Failure(
                .inconsistent, "the domain \(spec.domain) is on the target", host: host.name.text,
                remedy: "if its disks are to be given up, shut it down first; nothing was changed")
        }
        _ = try await takeDownReplicas(spec, .target)
        var notes: [String] = []
        for volume in spec.volumes {
            try await removeMetadata(volume, spec, .target)
            guard var known = try recordedVolume(volume.name), try isOf(spec, known.state) else { continue }
            try host.removeLink(volume.name)
            try await host.switches.takeAway(known)
            known.switchGoal = nil
            if try await store.find(volume.name, .data, at: volume.targetPlace) == nil {
                try host.database.removeVolume(volume.name)
                continue
            }
            known.state = .retired(migration: spec.id.text)
            try host.put(known)
            notes.append(try recorded(spec.id).record.decided ? outdated(volume) : incomplete(volume, .target))
        }
        try host.images.removeAll(spec.id)
        return StepResult(notes: notes)
    }

    /// Whether a volume is the migration's own: nothing else of this name is touched.
    private func isOf(_ spec: MigrationSpec, _ state: VolumeState) throws -> Bool {
        switch state {
        case .incoming(let id), .retired(let id): id == spec.id.text
        case .former, .restoring: false
        case .active: try recorded(spec.id).record.decided
        }
    }

    private func outdated(_ volume: VolumeSpec) -> String {
        "\(volume.name): the copy at \(volume.targetPlace) on \(host.name) is not used any more; it is kept without a link, "
            + "and removed with 'xenlvs volume remove \(volume.name)'"
    }

    private func incomplete(_ volume: VolumeSpec, _ role: Role) -> String {
        "\(volume.name): the copy at \(volume.place(role)) on \(host.name) is not complete; it is kept without a link, and "
            + "removed with 'xenlvs volume remove \(volume.name)'"
    }

    private func startNote(_ spec: MigrationSpec) -> String {
        "\(spec.domain) was not started; from complete data: xl create /etc/xen/\(spec.domain).cfg"
    }
}

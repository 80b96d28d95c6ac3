import DeviceMapper
import Domains
import HostModel
import Hosts
import Migration
import Storage

extension HostWorker {
    /// Target: ends a restore under way, destroys a domain that never ran, takes the replicas down. Refused once the
    /// decision is recorded here.
    func discard(_ spec: MigrationSpec) async throws -> StepResult {
        guard let known = try? recorded(spec.id) else { return StepResult(notes: ["the target knows nothing of it"]) }
        if known.record.decided {
            throw Failure(
                .refused, "the target will not discard \(spec.domain)", why: "it belongs to the target already")
        }
        try await waitForSeedReceiver(spec)
        if spec.plan.method == .live {
            _ = try await clearArrival(spec)
            return try await takeDownReplicas(spec, .target)
        }
        if case .present(let id, let state) = try await observe(spec) {
            try requireWaiting(state, spec)
            try await host.runner.run(XLCommands.destroy(id))
            guard try await observe(spec) == .absent else {
                throw Failure(.failed, "the paused domain \(spec.domain) cannot be destroyed", host: host.name.text)
            }
        }
        return try await takeDownReplicas(spec, .target)
    }

    /// Source: after this the domain is saved in a whole image, or runs on its plain volumes.
    func saveForRollback(_ spec: MigrationSpec) async throws -> StepResult {
        if let lost = try await tellIfGone(spec) { return lost }
        switch try await settled(spec) {
        case .absent:
            _ = try newestImage(spec)
            return StepResult(foundSaved: true)
        case .present(let id, .paused):
            // Restored but never let run: its image still tells everything about it, unless that is marked spent.
            if (try? newestImage(spec)) != nil {
                try await host.runner.run(XLCommands.destroy(id))
                return StepResult()
            }
            guard SavedImages.Purpose.ofSource.contains(where: { host.images.awaitsRun(spec.id, $0) }) else {
                return try await leavePaused(spec, id)
            }
            try await host.runner.run(XLCommands.unpause(id))
        case .present: break
        }
        if try await runsOnVolumes(spec, .source) { return StepResult() }
        return try await save(spec, .rollback)
    }

    /// Somebody else has paused it, and knows why: on its plain volumes it needs nothing, and on a replica it cannot be saved.
    private func leavePaused(_ spec: MigrationSpec, _ id: DomainID) async throws -> StepResult {
        if try await usesVolumes(id, spec, .source) { return StepResult() }
        throw Failure(
            .failed, "cannot save \(spec.domain) for the way back", host: host.name.text,
            why: "it is paused, and not by this migration",
            remedy: "let it run with 'xl unpause \(spec.domain)' once nobody needs it paused, then resume or abort")
    }

    /// Nil where the guest is there, or an image of it.
    func tellIfGone(_ spec: MigrationSpec) async throws -> StepResult? {
        guard try await isGuestGone(spec) else { return nil }
        var result = StepResult(notes: [
            "\(spec.domain) is not on \(host.name) any more, as after a restart; start it from its configuration with "
                + "'xl create'"
        ])
        result.domainWasLost = true
        return result
    }

    /// A restart of the source takes the guest with it, as any power cut does, also before the migration had saved it for
    /// the first time. Its disks are as it left them, and the operator may have started it again meanwhile: there is nothing
    /// to save and nothing to restore.
    private func isGuestGone(_ spec: MigrationSpec) async throws -> Bool {
        if try host.images.areOfAnEarlierBoot(spec.id) { return true }
        guard try host.images.names(of: spec.id).isEmpty else { return false }
        guard try await settled(spec) == .absent else { return false }
        return try await away(spec) == nil
    }

    func restoreNewest(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        if let lost = try await tellIfGone(spec) {
            // Where the disks are shared nothing before this has looked.
            return spec.plan.storage == .shared ? lost : StepResult()
        }
        if spec.plan.method == .live {
            var result = StepResult()
            result.foundSaved = try await takeNameBack(spec)
            return result
        }
        if case .present(let id, _) = try await clearUnfinished(spec) {
            guard try await usesVolumes(id, spec, role) else {
                throw Failure(.failed, "the domain \(spec.domain) is not on its plain volumes", host: host.name.text)
            }
            return StepResult()
        }
        return try await restore(spec, role, try newestImage(spec))
    }

    func letRunNewest(_ spec: MigrationSpec) async throws -> StepResult {
        if try await isGuestGone(spec) { return StepResult() }
        return try await letRun(spec, (try? newestImage(spec)) ?? .rollback)
    }

    /// The image that holds the guest's present memory. At most one can be whole: each is spent before the guest runs on.
    func newestImage(_ spec: MigrationSpec) throws -> SavedImages.Purpose {
        let whole = try SavedImages.Purpose.ofSource.filter {
            try host.images.state(spec.id, $0) == .whole
        }
        guard let newest = whole.first else {
            try requireWholeImage(spec, .substitution)
            return .substitution
        }
        guard whole.count == 1 else {
            throw Failure(
                .needsRecovery, "there are \(whole.count) saved images of \(spec.domain)", host: host.name.text,
                why: whole.map { host.images.path(spec.id, $0) }.joined(separator: ", "),
                remedy: "restore the newest by hand and remove the others")
        }
        return newest
    }

    /// Whether a domain's disks are the plain volumes.
    func usesVolumes(_ id: DomainID, _ spec: MigrationSpec, _ role: Role) async throws -> Bool {
        for volume in spec.volumes {
            guard let device = try await store.presentDevice(volume.name, .data, at: volume.place(role)),
                let held = try await deviceHeld(by: id, volume.device)
            else { return false }
            // A guest that was started before its volume had a switch has the volume itself.
            let own = try switched(volume, role).map { try host.switches.identity($0).path }
            let numbers = [device, own].compactMap(\.self).compactMap { try? BlockDevice(at: $0).number }
            guard numbers.contains(held) else { return false }
        }
        return true
    }

    /// Removes what the migration made on this side: metadata, images, and on the target the volumes themselves.
    func cleanAfterRollback(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        guard role == .source || (try? recorded(spec.id)) != nil else { return StepResult() }
        _ = try await takeDownReplicas(spec, role)
        var notes: [String] = []
        for volume in spec.volumes {
            if role == .source { try await removeSeed(volume, spec) }
            try await removeMetadata(volume, spec, role)
            if role == .target, let note = try await removeIncoming(volume, spec) { notes.append(note) }
        }
        try host.images.removeAll(spec.id)
        if role == .source {
            try host.removeLiveSocket(of: spec.id)
            try removeOffMark(spec)
        }
        return StepResult(notes: notes)
    }

    /// Returns what is to be told where the copy stays although this migration has made it.
    private func removeIncoming(_ volume: VolumeSpec, _ spec: MigrationSpec) async throws -> String? {
        guard let known = try recordedVolume(volume.name), known.state == .incoming(migration: spec.id.text) else {
            return nil
        }
        try host.removeLink(volume.name)
        try await host.switches.takeAway(known)
        let madeNow = try LogicalVolumeTag.migration(spec.id.text).text
        let found = try await store.find(volume.name, .data, at: volume.targetPlace)
        let wasThere = found?.uuid != nil && found?.tags.contains(madeNow) == false
        let note = wasThere ? nil : try await reasonToKeep(volume, .target, found)
        if wasThere || note != nil {
            // As the copy that an earlier migration left: it goes back to being that, or is one now.
            var kept = known
            kept.state = .retired(migration: spec.id.text)
            kept.switchGoal = nil
            try host.put(kept)
            return note
        }
        try await store.remove(volume.name, .data, at: volume.targetPlace)
        try host.database.removeVolume(volume.name)
        return nil
    }

    /// Why a copy that was to be removed is kept; nil where nothing hangs on it. Somebody may have taken a snapshot since the
    /// checks before the migration.
    private func reasonToKeep(
        _ volume: VolumeSpec, _ role: Role, _ found: VolumeStore.Found?
    ) async throws -> String? {
        let uses = try await host.dependants(at: volume.place(role), uuid: found?.uuid).uses
        guard !uses.isEmpty else { return nil }
        return "the copy of \(volume.name) at \(volume.place(role)) on \(host.name) is kept, although it was to be "
            + "removed: \(uses.sentences); once that is gone: xenlvs volume remove \(volume.name)"
    }

    /// Source, after the domain has run from its own copy on the target.
    func cleanSource(_ spec: MigrationSpec) async throws -> StepResult {
        switch try await observe(spec) {
        case .absent: break
        case .present(let id, .paused) where (try? newestImage(spec)) != nil:
            // Restored on a way back and never let run, before the target was heard to have decided by itself.
            try await host.runner.run(XLCommands.destroy(id))
        case .present(_, let state):
            throw Failure(
                .inconsistent, "the domain \(spec.domain) is on the source again", host: host.name.text,
                why: "it is \(state.rawValue), and belongs to \(spec.target.name)",
                remedy: "if it runs there as well, destroy this one at once; otherwise find out who started it")
        }
        try await destroyAway(spec)
        _ = try await takeDownReplicas(spec, .source)
        // Where the target was taken over, this copy may be the newer one, and the only one whose volumes fit each other.
        let wasTakenOver = try host.database.migration(spec.id.text).decodedMachine().wasTakenOver
        let removesSource = spec.removesSource && !wasTakenOver
        var notes: [String] = []
        for volume in spec.volumes {
            try await removeSeed(volume, spec)
            try await removeMetadata(volume, spec, .source)
            try host.removeLink(volume.name)
            if let known = try switched(volume, .source) { try await host.switches.takeAway(known) }
            let found = try await store.find(volume.name, .data, at: volume.sourcePlace)
            let reason = removesSource ? try await reasonToKeep(volume, .source, found) : nil
            if removesSource, reason == nil {
                try await store.remove(volume.name, .data, at: volume.sourcePlace)
                try host.database.removeVolume(volume.name)
            } else {
                let retired = Volume(
                    name: volume.name, place: volume.sourcePlace, size: volume.size, logicalVolumeUUID: found?.uuid,
                    state: .retired(migration: spec.id.text))
                try host.put(retired)
                notes.append(reason ?? "the old copy of \(volume.name) is kept at \(volume.sourcePlace)")
            }
        }
        try host.images.removeAll(spec.id)
        try host.removeLiveSocket(of: spec.id)
        try removeOffMark(spec)
        return StepResult(notes: notes)
    }

    func cleanTarget(_ spec: MigrationSpec) async throws -> StepResult {
        _ = try await takeDownReplicas(spec, .target)
        for volume in spec.volumes { try await removeMetadata(volume, spec, .target) }
        try host.images.removeAll(spec.id)
        return StepResult()
    }

    /// Closes the migration in the target's journal and gives its DRBD numbers back.
    func close(_ spec: MigrationSpec) throws -> StepResult {
        guard let known = try? recorded(spec.id) else { return StepResult() }
        try host.database.update(
            spec.id.text, machine: known.record.machine, decided: known.record.decided, isOpen: false,
            at: HostContext.now())
        return StepResult()
    }
}

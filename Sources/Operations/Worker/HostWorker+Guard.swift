import HostModel
import Hosts
import Migration
import Replication
import Storage

/// On which side of the decision a target takes a step.
enum DecisionTiming: Sendable { case before, after, either }

extension Step {
    /// When the target takes this step; nil for the source's steps and those of both.
    ///
    /// The coordinator never leaves this order. It is checked all the same: a step of the settlement before the decision would
    /// let a guest run on two hosts, one of the preparation after it would copy old data over the guest's disk.
    var targetTiming: DecisionTiming? {
        switch self {
        case .reserveTarget, .makeTargetVolumes, .makeTargetReplica, .connectTarget, .linkTargetToReplica,
            .linkTargetToVolumeEarly, .linkTargetToSwitch, .promoteTarget, .releaseTargetVolume, .finishRestore,
            .clearTarget, .discardOnTarget, .cleanTargetAfterRollback:
            .before
        // A target that comes back late, after the source was given the domain back, may have recorded the decision.
        case .acknowledgeDecision, .claimTarget, .retireTargetCopies, .closeTargetAfterRollback: .either
        case .startOnTarget, .saveForVolume, .leadTargetToVolume, .takeDownTargetReplica, .linkTargetToVolume,
            .restoreOnVolume,
            .continueOnVolume, .cleanTarget, .closeTarget, .restoreAsLinked, .continueAsLinked:
            .after
        case .makeSourceReplica, .saveForReplica, .promoteSource, .linkSourceToReplica, .leadSourceToReplica,
            .leadSourceToVolume, .restoreOnReplica, .continueOnReplica, .connectSource, .seedCopies, .synchronise,
            .verifyCopies,
            .transferImage, .demoteSource,
            .compareCopies, .decide, .cleanSource, .saveForRollback, .takeDownSourceReplica, .linkSourceToVolume,
            .restoreOnSource, .continueOnSource, .cleanSourceAfterRollback, .reclaimSource, .linkReclaimed,
            .shutDown, .checkSharedDisks, .recallOnSource, .openWindow, .moveLive, .quietSource:
            nil
        }
    }

    /// Whether the target touches the volumes in this step, which must then be there and be the migration's own. The steps
    /// that undo look for themselves.
    fileprivate var needsOwnVolumes: Bool {
        switch self {
        case .reserveTarget, .makeTargetVolumes, .discardOnTarget, .cleanTargetAfterRollback,
            .closeTargetAfterRollback, .closeTarget, .retireTargetCopies:
            false
        default: targetTiming != nil
        }
    }
}

extension HostWorker {
    /// Checks that the target may take a step now. Throws `.refused`.
    func checkTurn(_ step: Step, _ migration: RecordedMigration) throws {
        guard migration.role == .target else { return }
        try checkTiming(step, migration)
        if step.needsOwnVolumes { try requireOwnVolumes(migration) }
    }

    func checkTiming(_ step: Step, _ migration: RecordedMigration) throws {
        let why: String
        switch (step.targetTiming, migration.record.decided) {
        case (.before, false), (.after, true), (.either, _): return
        case (.before, true): why = "the domain belongs to the target already"
        case (.after, false): why = "no decision is recorded here"
        case (nil, _): why = "it is not a step of the target"
        }
        throw Failure(
            .refused, "the step '\(step.rawValue)' of migration \(migration.spec.id) is out of order",
            host: host.name.text, why: why)
    }

    /// Throws `.refused` where a volume of the migration is not one that the migration made or took over here.
    func requireOwnVolumes(_ migration: RecordedMigration) throws {
        for volume in migration.spec.volumes where try !isOwn(volume, migration) {
            throw Failure(
                .refused, "the volume \(volume.name) is not migration \(migration.spec.id)'s", host: host.name.text,
                why: "the journal has it as something else, or not at all",
                remedy: "see 'xenlvs volume show \(volume.name)'")
        }
    }

    /// Whether the target's volume is the one that this migration fills, or has filled.
    func isOwn(_ volume: VolumeSpec, _ migration: RecordedMigration) throws -> Bool {
        guard let known = try recordedVolume(volume.name), known.place == volume.targetPlace else { return false }
        switch known.state {
        case .incoming(migration.spec.id.text): return true
        case .active: return migration.record.decided
        case .incoming, .retired, .former, .restoring: return false
        }
    }

    /// Checks that the target can take the migration in: nothing that exists here may come to harm by its names and numbers.
    func checkReservable(_ spec: MigrationSpec) throws {
        for volume in spec.volumes {
            for end in [spec.source, spec.target] { _ = try ReplicaAddress(host: end.address, port: volume.port) }
            if restriction != nil { try checkNumbers(volume) }
            try requireAvailable(volume, spec)
        }
    }

    /// The disks of a guest that comes alone are there, are shared with its source, and nobody has them open.
    func checkSharedHere(_ spec: MigrationSpec) async throws {
        guard !spec.sharedDisks.isEmpty else { return }
        let known = try await sharedDisks(of: spec.domain, spec.sharedDisks.map(\.name)).disks
        for (disk, found) in zip(spec.sharedDisks, known) {
            let what = "\(disk.name) is not the disk that \(spec.domain) has on \(spec.source.name)"
            guard found.kind == .attached || found.kind == .exported, found.why == nil, found.size == disk.size else {
                throw Failure(
                    .refused, what, host: host.name.text, why: found.why ?? "here it is \(found.kind.rawValue)",
                    remedy: found.remedy ?? "see 'xenlvs shares' on the host that has the volumes")
            }
        }
        let use = try await host.currentUse(asksLVM: false)
        for disk in spec.sharedDisks {
            let device = try BlockDevice(at: host.links.path(of: disk.name)).number
            if let user = use.domains(on: [device]).first {
                throw Failure(
                    .refused, "the domain \(user) has \(disk.name) open on this host", host: host.name.text,
                    why: "two guests on one disk destroy it", remedy: "shut it down first")
            }
        }
    }

    /// A host chooses the numbers for both; one with a restricted key keeps to what this host sets aside for it.
    private func checkNumbers(_ volume: VolumeSpec) throws(Failure) {
        let configuration = host.configuration
        guard configuration.ports.contains(volume.port), configuration.minors.contains(volume.targetMinor) else {
            throw Failure(
                .refused, "the DRBD numbers of \(volume.name) are not this host's to give", host: host.name.text,
                why:
                    "port \(volume.port) or minor \(volume.targetMinor) lies outside 'ports' or 'minors' of xenlvs.yaml",
                remedy: "set the same ranges on both hosts")
        }
    }

    /// Throws where the name belongs to a volume, a link or a migration that this one has nothing to do with.
    func requireAvailable(_ volume: VolumeSpec, _ spec: MigrationSpec) throws {
        let what = "there is a volume \(volume.name) already"
        let remedy = "remove or rename it; see 'xenlvs volume show \(volume.name)'"
        func refusal(_ why: String) -> Failure {
            Failure(.refused, what, host: host.name.text, why: why, remedy: remedy)
        }
        if let other = try OpenMigration.all(in: host.database).first(where: {
            $0.id != spec.id && $0.volume(volume.name) != nil
        }) {
            throw Failure(
                .busy, "the volume \(volume.name) is being migrated", host: host.name.text,
                why: "migration \(other.id) is not finished",
                remedy: "see 'xenlvs migration status \(other.id)'; resume or abort it first")
        }
        switch try recordedVolume(volume.name)?.state {
        case nil:
            guard case .absent = try host.links.read(volume.name) else {
                throw Failure(
                    .refused, "there is a link \(host.links.path(of: volume.name)) already", host: host.name.text,
                    why: "xenlvs did not make it", remedy: "remove it")
            }
        case .incoming(spec.id.text): break
        case .retired(let earlier):
            guard try migratedDomain(earlier) == spec.domain.text else {
                throw refusal("it is the old copy of another domain's, which migration \(earlier) left behind")
            }
        case .active: throw refusal("it is in use as a guest's disk")
        case .former(let name): throw refusal("it is what '\(name)' was on before a swap")
        case .restoring(let checkpoint): throw refusal("it is being put back to the checkpoint \(checkpoint)")
        case .incoming(let other): throw refusal("migration \(other) fills it")
        }
    }

    /// The domain of a migration in this host's journal; nil where there is none of that name.
    private func migratedDomain(_ id: String) throws -> String? {
        do { return try host.database.migration(id).domain } catch let failure as Failure
            where failure.code == .notFound
        {
            return nil
        }
    }
}

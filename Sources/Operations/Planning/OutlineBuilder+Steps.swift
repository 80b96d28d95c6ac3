import Domains
import HostModel
import Hosts
import Migration
import Storage

extension OutlineBuilder {
    private var replicas: OutlineReplicas { OutlineReplicas(facts: facts, storage: storage) }
    private var deadline: Duration { XLCommands.deadline(memory: spec.memory) }

    /// What one step of the plan changes, host by host.
    func actions(of step: Step) throws -> [MigrationOutline.Action] {
        switch step {
        case .reserveTarget, .makeTargetVolumes, .makeTargetReplica, .makeSourceReplica, .connectTarget,
            .connectSource, .synchronise, .verifyCopies:
            try preparation(step)
        case .saveForReplica, .promoteSource, .linkSourceToReplica, .restoreOnReplica, .continueOnReplica,
            .saveForVolume, .takeDownTargetReplica, .linkTargetToVolume, .restoreOnVolume, .continueOnVolume:
            substitution(step)
        case .linkTargetToReplica, .linkTargetToVolumeEarly, .transferImage, .demoteSource, .compareCopies,
            .promoteTarget, .releaseTargetVolume, .finishRestore, .decide, .acknowledgeDecision, .startOnTarget:
            handOver(step)
        case .cleanSource, .cleanTarget, .closeTarget: try tidyUp(step)
        case .discardOnTarget, .saveForRollback, .takeDownSourceReplica, .linkSourceToVolume, .restoreOnSource,
            .continueOnSource, .cleanSourceAfterRollback, .cleanTargetAfterRollback, .closeTargetAfterRollback,
            .restoreAsLinked, .continueAsLinked, .reclaimSource, .linkReclaimed, .claimTarget, .retireTargetCopies:
            // Ways back are no part of a plan.
            []
        }
    }

    private func preparation(_ step: Step) throws -> [MigrationOutline.Action] {
        switch step {
        case .reserveTarget:
            actions(
                .target,
                [
                    .journal(
                        "migration \(spec.id) as its target, with the DRBD minors \(numbers(\.targetMinor)) and ports "
                            + numbers(\.port))
                ])
        case .makeTargetVolumes: actions(.target, try spec.volumes.flatMap(makeVolume))
        case .makeTargetReplica: actions(.target, try replicas.make(.target))
        case .makeSourceReplica: actions(.source, try replicas.make(.source))
        case .connectTarget: actions(.target, try replicas.connect(.target))
        case .connectSource: actions(.source, try replicas.connect(.source))
        case .synchronise:
            actions(
                .source,
                [
                    .command(SSHCommand.receiver(on: spec.target.name)),
                    .exchange("the memory kept from the first freeze is sent ahead, compressed\(limit)"),
                    .exchange("DRBD copies \(total) to \(spec.target.name)\(limit)"),
                ])
        default: actions(.source, try replicas.verify())
        }
    }

    private var total: ByteCount { spec.volumes.reduce(ByteCount(0)) { $0 + $1.size } }
    private var limit: String { spec.bandwidth.map { ", at most \($0) in a second" } ?? "" }

    private func makeVolume(_ volume: VolumeSpec) throws -> [Change] {
        let recorded = Change.journal("volume \(volume.name) at \(volume.targetPlace), incoming")
        return facts.reused.contains(volume.name)
            ? [recorded] + storage.use(volume, .target)
            : [recorded] + (try storage.create(volume, .data, size: volume.size, .target))
    }

    /// The two brackets that take place on one host: DRBD below the guest, and DRBD from below it.
    private func substitution(_ step: Step) -> [MigrationOutline.Action] {
        switch step {
        case .saveForReplica:
            actions(.source, save(.substitution, .source, isFirst: true))
        case .promoteSource: actions(.source, replicas.promote(.source, forced: true))
        case .linkSourceToReplica:
            actions(.source, spec.volumes.map { link($0, .source, to: replicas.path($0, .source)) })
        case .restoreOnReplica: actions(.source, [restore(.substitution, .source)])
        case .continueOnReplica: actions(.source, letRun(.substitution, .source))
        case .saveForVolume: actions(.target, save(.settlement, .target, isFirst: false))
        case .takeDownTargetReplica: actions(.target, replicas.takeDown(.target))
        case .linkTargetToVolume:
            actions(.target, spec.volumes.map { link($0, .target, to: storage.device($0, .data, .target)) })
        case .restoreOnVolume: actions(.target, [restore(.settlement, .target)])
        default: actions(.target, letRun(.settlement, .target))
        }
    }

    private func handOver(_ step: Step) -> [MigrationOutline.Action] {
        switch step {
        case .linkTargetToReplica:
            actions(.target, spec.volumes.map { link($0, .target, to: replicas.path($0, .target)) })
        case .linkTargetToVolumeEarly:
            actions(.target, spec.volumes.map { link($0, .target, to: storage.device($0, .data, .target)) })
        case .transferImage: transfer()
        case .demoteSource: actions(.source, replicas.demote(.source))
        case .compareCopies: compare(.source) + compare(.target)
        case .promoteTarget: actions(.target, replicas.promote(.target, forced: false))
        case .releaseTargetVolume: actions(.target, replicas.takeDown(.target))
        case .finishRestore:
            actions(.source, [.exchange("the end of the image is let go")])
                + actions(.target, [.exchange("'xl restore' ends; the domain is there, paused")])
        case .decide: actions(.source, [.journal("the decision; from here on there is no way back")])
        case .acknowledgeDecision:
            actions(
                .target,
                [.journal("the decision")]
                    + spec.volumes.map { .journal("volume \($0.name) at \($0.targetPlace), active") })
        default: actions(.target, letRun(.received, .target))
        }
    }

    private func tidyUp(_ step: Step) throws -> [MigrationOutline.Action] {
        switch step {
        case .cleanSource:
            actions(
                .source,
                replicas.takeDown(.source) + (try spec.volumes.flatMap(cleanSourceVolume)) + [removeImages(.source)])
        case .cleanTarget:
            actions(
                .target,
                try spec.volumes.flatMap { try storage.remove($0, .metadata, .target) } + [removeImages(.target)])
        default: actions(.target, [end]) + actions(.source, [end])
        }
    }
}

extension OutlineBuilder {
    private func save(_ purpose: SavedImages.Purpose, _ role: Role, isFirst: Bool) -> [Change] {
        let path = facts.image(purpose, role)
        let command = XLCommands.save(facts.domain, to: .file(path), then: .destroy, deadline: deadline)
        return [.file("make \(path), 0600"), isFirst ? .command(command) : .domainCommand(command)]
    }

    private func restore(_ purpose: SavedImages.Purpose, _ role: Role) -> Change {
        .command(XLCommands.restorePaused(from: .file(facts.image(purpose, role)), deadline: deadline))
    }

    private func letRun(_ purpose: SavedImages.Purpose, _ role: Role) -> [Change] {
        let path = facts.image(purpose, role)
        let spent = path + ".spent"
        let rest =
            purpose == .substitution
            ? "where there is room, keep the memory in it as \(facts.image(.base, role)); empty \(spent)"
            : "empty \(spent)"
        return [
            .file("rename \(path) to \(spent)"), .domainCommand(XLCommands.unpause(facts.domain)), .file(rest),
        ]
    }

    private func link(_ volume: VolumeSpec, _ role: Role, to device: String) -> Change {
        .link("\(DiskCheck.link(volume.name)) → \(device)")
    }

    /// All of this goes on at once: the image is sent while it is written.
    private func transfer() -> [MigrationOutline.Action] {
        actions(.source, [.command(SSHCommand.receiver(on: spec.target.name))])
            + actions(
                .target,
                [
                    .file("make \(facts.image(.received, .target)), 0600"),
                    .command(XLCommands.restorePaused(from: .stream, deadline: deadline)),
                ])
            + actions(.source, save(.handOver, .source, isFirst: false))
            + actions(
                .source,
                [
                    .exchange(
                        "what has changed in the image is sent while it is written, compressed; its last \(SavedImage.heldBackTail) bytes "
                            + "are held back on \(spec.target.name)")
                ])
    }

    private func compare(_ role: Role) -> [MigrationOutline.Action] {
        actions(
            role,
            spec.volumes.flatMap { volume -> [Change] in
                let device = storage.device(volume, .data, role)
                return [
                    .command(.mutation(.blockdev, "--flushbufs", device)),
                    .command(.query(.sha256sum, "--binary", device)),
                ]
            })
    }

    private func cleanSourceVolume(_ volume: VolumeSpec) throws -> [Change] {
        let first =
            try storage.remove(volume, .metadata, .source) + [.link("\(DiskCheck.link(volume.name)) is removed")]
            + (facts.source.switches[volume.name].map { [.file("remove the device \($0.path)")] } ?? [])
        return spec.removesSource
            ? first + (try storage.remove(volume, .data, .source)) + [.journal("volume \(volume.name) is forgotten")]
            : first + [.journal("volume \(volume.name) at \(volume.sourcePlace), retired: the old copy is kept")]
    }

    private var end: Change { .journal("the end of the migration; its DRBD minors and ports are free again") }

    private func removeImages(_ role: Role) -> Change {
        .file("remove \(facts.host(role).images)/\(spec.id).*")
    }
}

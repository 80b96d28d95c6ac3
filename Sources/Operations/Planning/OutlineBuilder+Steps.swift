import DeviceMapper
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
        case .reserveTarget, .makeTargetVolumes, .makeTargetReplica, .makeSourceReplica, .seedCopies, .connectTarget,
            .connectSource, .synchronise, .verifyCopies:
            try preparation(step)
        case .saveForReplica, .shutDown, .promoteSource, .linkSourceToReplica, .leadSourceToReplica,
            .restoreOnReplica, .continueOnReplica, .saveForVolume, .leadTargetToVolume, .takeDownTargetReplica,
            .linkTargetToVolume,
            .restoreOnVolume, .continueOnVolume:
            substitution(step)
        case .linkTargetToReplica, .linkTargetToVolumeEarly, .linkTargetToSwitch, .transferImage, .demoteSource,
            .compareCopies,
            .promoteTarget, .releaseTargetVolume, .finishRestore, .decide, .acknowledgeDecision, .startOnTarget:
            try handOver(step)
        case .checkSharedDisks, .clearTarget, .recallOnSource, .openWindow, .moveLive, .quietSource:
            try liveHandOver(step)
        case .cleanSource, .cleanTarget, .closeTarget: try tidyUp(step)
        case .discardOnTarget, .saveForRollback, .leadSourceToVolume, .takeDownSourceReplica, .linkSourceToVolume,
            .restoreOnSource,
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
                [.journal("migration \(spec.id) as its target" + numbersTaken(\.targetMinor))])
        case .makeTargetVolumes: actions(.target, try spec.volumes.flatMap(makeVolume))
        case .makeTargetReplica: actions(.target, try replicas.make(.target))
        case .makeSourceReplica: actions(.source, try replicas.make(.source))
        case .seedCopies: try seed()
        case .connectTarget: actions(.target, try replicas.connect(.target))
        case .connectSource: actions(.source, try replicas.connect(.source))
        case .synchronise:
            actions(.source, synchronisation)
        default: actions(.source, try replicas.verify())
        }
    }

    /// The memory goes ahead beside the disks where the first freeze has left an image, and otherwise after them.
    private var synchronisation: [Change] {
        let disks = Change.exchange("DRBD copies \(total) to \(spec.target.name)\(limit)")
        switch spec.plan.method {
        case .threeFreeze:
            return [
                .command(SSHCommand.receiver(on: spec.target.name)),
                .exchange("the memory kept from the first freeze is sent ahead, compressed\(limit)"), disks,
            ]
        case .oneFreeze: return [disks] + memoryAhead
        case .live, .cold: return [disks]
        }
    }

    /// Without a freeze before the hand-over the memory is read from the running guest.
    private var memoryAhead: [Change] {
        let path = facts.image(.base, .source)
        return [
            .domainCommand(XLCommands.dumpMemory(of: facts.domain, to: path, deadline: deadline)),
            .command(SSHCommand.receiver(on: spec.target.name)),
            .exchange("the memory of the running guest is sent ahead, compressed\(limit)"),
        ]
    }

    private var total: ByteCount { spec.volumes.reduce(ByteCount(0)) { $0 + $1.size } }
    private var limit: String { spec.bandwidth.map { ", at most \($0) in a second" } ?? "" }

    private func seed() throws -> [MigrationOutline.Action] {
        try spec.volumes.flatMap { volume in
            actions(.source, try replicas.noteChanges(volume))
                + actions(
                    .source,
                    [
                        .command(SSHCommand.receiver(on: spec.target.name)),
                        .exchange(
                            "what \(volume.name) holds is sent to \(spec.target.name), compressed and without what is empty"
                                + limit),
                    ])
                + actions(.target, try replicas.takeSeed(volume))
                + actions(.source, [.file("remove the snapshot \(LogicalVolumeName(seedOf: volume.name))")])
        }
    }

    private func makeVolume(_ volume: VolumeSpec) throws -> [Change] {
        let recorded = Change.journal("volume \(volume.name) at \(volume.targetPlace), incoming")
        return facts.reused.contains(volume.name)
            ? [recorded] + storage.use(volume, .target)
            : [recorded] + (try storage.create(volume, .data, size: volume.size, .target))
    }

    /// What takes place on one host: DRBD below the guest, and DRBD from below it.
    private func substitution(_ step: Step) -> [MigrationOutline.Action] {
        switch step {
        case .saveForReplica:
            actions(.source, save(.substitution, .source, isFirst: true))
        case .shutDown:
            actions(
                .source,
                [
                    .command(XLCommands.shutDown(facts.domain)),
                    .exchange("the domain shuts itself down, within \(HostWorker.shutdownLimit)"),
                ])
        case .promoteSource: actions(.source, replicas.promote(.source, forced: true))
        case .linkSourceToReplica:
            actions(.source, spec.volumes.map { link($0, .source, to: replicas.path($0, .source)) })
        case .leadSourceToReplica:
            actions(.source, spec.volumes.map { lead($0, .source, to: replicas.path($0, .source)) })
        case .restoreOnReplica: actions(.source, [restore(.substitution, .source)])
        case .continueOnReplica: actions(.source, letRun(.substitution, .source))
        case .saveForVolume: actions(.target, save(.settlement, .target, isFirst: false))
        case .leadTargetToVolume:
            actions(.target, spec.volumes.map { lead($0, .target, to: storage.device($0, .data, .target)) })
        case .takeDownTargetReplica: actions(.target, replicas.takeDown(.target))
        case .linkTargetToVolume:
            actions(.target, spec.volumes.map { link($0, .target, to: storage.device($0, .data, .target)) })
        case .restoreOnVolume: actions(.target, [restore(.settlement, .target)])
        default: actions(.target, letRun(.settlement, .target))
        }
    }

    private func handOver(_ step: Step) throws -> [MigrationOutline.Action] {
        switch step {
        case .linkTargetToReplica:
            actions(.target, spec.volumes.map { link($0, .target, to: replicas.path($0, .target)) })
        case .linkTargetToVolumeEarly:
            actions(.target, spec.volumes.map { link($0, .target, to: storage.device($0, .data, .target)) })
        case .linkTargetToSwitch: actions(.target, spec.volumes.flatMap(closedSwitch))
        case .transferImage: transfer()
        case .demoteSource where spec.plan.method == .live:
            actions(.source, replicas.demote(.source) + (try replicas.allowTwoPrimaries(false)))
        case .demoteSource:
            actions(.source, leads(.source) { _ in nil } + replicas.demote(.source))
        case .compareCopies: compare(.source) + compare(.target)
        case .promoteTarget:
            actions(
                .target,
                replicas.promote(.target, forced: false) + leads(.target) { replicas.path($0, .target) })
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
        default:
            switch spec.plan.method {
            case .cold: actions(.target, start)
            case .live: actions(.target, [.domainCommand(XLCommands.unpause(facts.domain))])
            case .threeFreeze, .oneFreeze: actions(.target, letRun(.received, .target))
            }
        }
    }

    private func liveHandOver(_ step: Step) throws -> [MigrationOutline.Action] {
        switch step {
        case .openWindow: actions(.source, try replicas.allowTwoPrimaries(true))
        case .checkSharedDisks:
            actions(
                .source,
                [.exchange("both hosts read the first and last MiB of each disk, which have to be the same")]
                    + (spec.plan.method == .oneFreeze ? memoryAhead : []))
        case .moveLive:
            actions(.source, [.command(SSHCommand.receiver(on: spec.target.name))])
                + actions(.target, [.command(XLCommands.migrateReceive(deadline: deadline))])
                + actions(
                    .source,
                    [
                        .command(XLCommands.migrate(facts.domain, through: OutlineWord.transport, deadline: deadline)),
                        .exchange("the domain's memory is sent while it runs; it is suspended for the end of it"),
                    ])
        case .quietSource where spec.plan.usesSwitches: actions(.source, leads(.source) { _ in nil })
        case .quietSource:
            actions(.source, [.exchange("what the domain has asked of its disks there comes to an end")])
        // They only undo what an interrupted run has left.
        default: []
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

    private var start: [Change] {
        let path = facts.target.configuration ?? "/etc/xen/\(spec.domain).cfg"
        return [
            .command(XLCommands.create(configuration: path, paused: true)),
            .domainCommand(XLCommands.unpause(facts.domain)),
        ]
    }

    private func link(_ volume: VolumeSpec, _ role: Role, to device: String) -> Change {
        .link("\(DiskCheck.link(volume.name)) → \(device)")
    }

    /// Exchanges the table of the volume's switch; nil for one that refuses every request.
    private func lead(_ volume: VolumeSpec, _ role: Role, to device: String?) -> Change {
        let path = facts.host(role).switches[volume.name]?.path ?? MappedIdentity.switchPath(of: volume.name)
        return .file("\(path): " + (device.map { "lead to \($0)" } ?? "refuse every request"))
    }

    private func leads(_ role: Role, to device: (VolumeSpec) -> String?) -> [Change] {
        spec.plan.usesSwitches ? spec.volumes.map { lead($0, role, to: device($0)) } : []
    }

    private func closedSwitch(_ volume: VolumeSpec) -> [Change] {
        let path = MappedIdentity.switchPath(of: volume.name)
        return [
            .file("make the device \(path), refusing every request"),
            .link("\(DiskCheck.link(volume.name)) → \(path)"),
        ]
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

    private var end: Change {
        .journal(
            "the end of the migration" + (spec.volumes.isEmpty ? "" : "; its DRBD minors and ports are free again"))
    }

    private func removeImages(_ role: Role) -> Change {
        .file("remove \(facts.host(role).images)/\(spec.id).*")
    }
}

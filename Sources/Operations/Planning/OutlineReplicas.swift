import HostModel
import Migration
import Replication
import Storage

/// The DRBD commands of a migration, for an outline.
struct OutlineReplicas {
    let facts: OutlineFacts
    let storage: OutlineStorage
    private var spec: MigrationSpec { facts.spec }

    /// Where the module is not loaded it is taken for the dialect of the other host, whose peer it must be able to be.
    private func commands(_ role: Role) -> DRBDCommands {
        DRBDCommands(dialect: facts.host(role).dialect ?? facts.host(role.peer).dialect ?? .v84)
    }

    private func device(_ volume: VolumeSpec, _ role: Role) -> ReplicaDevice {
        ReplicaDevice(
            volume: volume.name, minor: volume.minor(role), size: volume.size,
            lowerPath: lower(volume, role) ?? storage.device(volume, .data, role),
            metadataPath: storage.device(volume, .metadata, role))
    }

    private func lower(_ volume: VolumeSpec, _ role: Role) -> String? {
        facts.host(role).switches[volume.name]?.lower
    }

    /// The secret is made when the connection is, and never shown.
    private func connection(_ volume: VolumeSpec, _ role: Role) throws -> ReplicaConnection {
        func node(_ role: Role) throws -> ReplicaNode {
            ReplicaNode(
                host: spec.endpoint(role).name, nodeID: role == .source ? 0 : 1,
                address: try ReplicaAddress(host: spec.endpoint(role).address, port: volume.port))
        }
        return ReplicaConnection(local: try node(role), peer: try node(role.peer), secret: .random())
    }

    func make(_ role: Role) throws -> [OutlineBuilder.Change] {
        let loading: [OutlineBuilder.Change] = facts.host(role).dialect == nil ? [.command(DRBDModule.load)] : []
        return loading + (try spec.volumes.flatMap { try make($0, role) })
    }

    private func make(_ volume: VolumeSpec, _ role: Role) throws -> [OutlineBuilder.Change] {
        let (commands, device) = (commands(role), device(volume, role))
        let (connection, tuning) = (try connection(volume, role), tuning)
        var mark = commands.markMetadata(device, OwnershipMark(value: 1))
        mark.arguments[mark.arguments.count - 1] = OutlineWord.mark
        var changes: [OutlineBuilder.Change] =
            lower(volume, role).map { [.file("make the device \($0) over \(storage.device(volume, .data, role))")] }
            ?? []
        changes.append(.command(commands.down(device)))
        changes += try storage.remove(volume, .metadata, role).map { $0.only("if an interrupted run has left it") }
        changes += try storage.create(volume, .metadata, size: ReplicaMetadata.size(for: volume.size), role)
        changes += [.command(commands.createMetadata(device)), .command(mark)]
        changes += [.command(commands.newResource(device, connection)), .command(commands.newMinor(device))]
        changes += commands.definePeer(device, connection, tuning).map { .command($0) }
        return changes + [
            .command(commands.applyActivityLog(device)), .command(commands.attach(device, tuning)),
        ]
    }

    /// Source: from now on DRBD notes what is written, beginning with a generation of its own for what the snapshot shows.
    func noteChanges(_ volume: VolumeSpec) throws -> [OutlineBuilder.Change] {
        let (commands, device) = (commands(.source), device(volume, .source))
        return [
            .command(commands.newGeneration(device, isClean: true)),
            .file("make the snapshot \(LogicalVolumeName(seedOf: volume.name)) of \(volume.sourcePlace)"),
            .command(commands.newGeneration(device, isClean: false)),
        ]
    }

    /// Target: what has come is the source's former generation, and nothing of it is missing.
    func takeSeed(_ volume: VolumeSpec) throws -> [OutlineBuilder.Change] {
        let (commands, device) = (commands(.target), device(volume, .target))
        return [
            .command(commands.down(device)),
            .file("give the metadata of \(volume.name) the generation that was sent"),
            .command(commands.newResource(device, try connection(volume, .target))),
            .command(commands.newMinor(device)),
            .command(commands.applyActivityLog(device)), .command(commands.attach(device, tuning)),
        ]
    }

    private var tuning: ResyncTuning { .shared(bandwidth: spec.bandwidth, among: spec.volumes.count) }

    /// `drbdsetup primary` differs from `secondary` in its verb alone. Its builder is not called: it takes the proof that
    /// the copies are complete, which nobody can have before they are.
    func promote(_ role: Role, forced: Bool) -> [OutlineBuilder.Change] {
        spec.volumes.map { volume in
            var command = commands(role).secondary(device(volume, role))
            command.arguments[0] = "primary"
            if forced { command.arguments.append("--force") }
            return .command(command)
        }
    }

    func demote(_ role: Role) -> [OutlineBuilder.Change] {
        spec.volumes.map { .command(commands(role).secondary(device($0, role))) }
    }

    func allowTwoPrimaries(_ isAllowed: Bool) throws -> [OutlineBuilder.Change] {
        try spec.volumes.map {
            .command(
                commands(.source).allowTwoPrimaries(
                    device($0, .source), try connection($0, .source), isAllowed))
        }
    }

    func connect(_ role: Role) throws -> [OutlineBuilder.Change] {
        try spec.volumes.map { .command(commands(role).connect(device($0, role), try connection($0, role))) }
    }

    func takeDown(_ role: Role) -> [OutlineBuilder.Change] {
        spec.volumes.map { .command(commands(role).down(device($0, role))) }
            + spec.volumes.compactMap { volume in lower(volume, role).map { .file("remove the device \($0)") } }
    }

    /// Compares on the source what must be compared of replicas that were attached once.
    func verify() throws -> [OutlineBuilder.Change] {
        let commands = commands(.source)
        return try spec.volumes.map { volume in
            let trust = TrustRequirement(
                dialect: commands.dialect, size: volume.size, wasReattached: false, wholeIsWanted: spec.verifies)
            return .command(
                commands.verify(
                    device(volume, .source), try connection(volume, .source), trust.range(of: volume.size)))
        }
    }

    /// The device that a guest has while the volume has a replica.
    func path(_ volume: VolumeSpec, _ role: Role) -> String { device(volume, role).path }
}

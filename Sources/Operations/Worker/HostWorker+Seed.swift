import HostModel
import Hosts
import Migration
import Replication
import Storage

#if canImport(Glibc)
    import Glibc
#endif

/// A volume's content at one moment, and the generation by which its replica knows it.
struct VolumeSeed: Sendable {
    /// The snapshot's device.
    var path: String
    var generation: UInt64
}

extension HostWorker {
    /// Source: a snapshot of a volume below its replica, which notes from just before on what is written.
    ///
    /// What is written between the two changes of generation is in the bitmap, whether the snapshot shows it or not: it may be
    /// sent twice, and never not at all.
    func makeSeed(_ volume: VolumeSpec, _ spec: MigrationSpec) async throws -> VolumeSeed {
        let what = "cannot take a snapshot of \(volume.name) to send it"
        guard try await dialect() == .v84 else { throw Failure(.refused, what, why: "that takes DRBD 8.4") }
        guard let origin = volume.sourcePlace.logicalVolume else {
            throw Failure(.refused, what, why: "it is no LV")
        }
        let control = try await control(volume, spec, .source)
        let status = try await control.status()
        guard status?.role == .primary, status?.volume?.disk == .upToDate,
            status?.connection.map({ $0.state == .standAlone }) != false
        else {
            throw Failure(.refused, what, why: "its replica is connected already, or not Primary")
        }
        try await removeSeed(volume, spec)
        let group = try await store.group(origin.group)
        // All of it may change meanwhile; more than half of what is free is left to others.
        let wanted = group.roundedUp(ByteCount(volume.size.bytes + volume.size.bytes / 64 + (8 << 20)))
        let half = ByteCount(group.free.bytes / 2 / group.extentSize.bytes * group.extentSize.bytes)
        let room = min(wanted, half)
        guard room.bytes * 20 >= volume.size.bytes else {
            throw Failure(.refused, what, why: "\(group.free) are free in \(group.name)")
        }
        let snapshot = LogicalVolumeReference(group: origin.group, name: LogicalVolumeName(seedOf: volume.name))
        try await control.run(control.commands.newGeneration(control.device, isClean: true), doing: what)
        let seeded = try await generation(control, doing: what)
        try await host.runner.run(
            try SnapshotCommands.create(
                VolumeName(unchecked: snapshot.name.text), of: volume.name, origin: origin, size: room, in: group))
        try await control.run(control.commands.newGeneration(control.device, isClean: false), doing: what)
        guard try await generation(control, doing: what).bitmapData == seeded.currentData else {
            throw Failure(.inconsistent, what, why: "DRBD does not note changes since the generation that is sent")
        }
        return VolumeSeed(path: snapshot.devicePath, generation: seeded.currentData)
    }

    private func generation(_ control: ReplicaControl, doing what: String) async throws -> DataGeneration {
        let output = try await host.runner.run(
            control.commands.dataGeneration(control.device, control.connection)
        ).output
        guard let generation = DataGeneration(output) else {
            throw Failure(.inconsistent, what, why: "DRBD does not tell the generation of its data")
        }
        return generation
    }

    /// Source: the snapshot goes. Nothing happens where there is none, or one that this was not made for.
    func removeSeed(_ volume: VolumeSpec, _ spec: MigrationSpec) async throws {
        guard spec.plan.seeds, let origin = volume.sourcePlace.logicalVolume else { return }
        let reference = LogicalVolumeReference(group: origin.group, name: LogicalVolumeName(seedOf: volume.name))
        let output = try await host.runner.run(LVMCommands.findVolume(reference)).output
        guard let found = try LVMReport.volumes(output).first, found.isOurs,
            found.carries(SnapshotCommands.tag(volume.name))
        else { return }
        try await host.runner.run(LVMCommands.remove(found))
    }

    /// Target: the replica goes, and its metadata know of no data: should what follows fail, DRBD copies everything.
    func clearForSeed(_ volume: VolumeSpec, _ spec: MigrationSpec) async throws -> ReplicaControl {
        let control = try await control(volume, spec, .target)
        guard try await dialect() == .v84 else {
            throw Failure(.refused, "cannot take what \(volume.name) holds", why: "that takes DRBD 8.4")
        }
        let what = "take the replica of \(volume.name) down"
        if let status = try await control.status(), status.role == .primary || status.connection?.state == .connected {
            throw Failure(.refused, "cannot take what \(volume.name) holds", why: "its replica is in use")
        }
        try await control.run(control.commands.down(control.device), doing: what)
        let proof = try await proofOfOwnership(control)
        try await control.run(control.commands.recreateMetadata(proof), doing: what)
        try await control.run(control.commands.markMetadata(control.device, control.mark), doing: what)
        return control
    }

    /// Target: all of it has come. The copy has the source's generation, is Outdated, and nothing is known to be missing.
    func takeSeed(_ control: ReplicaControl, generation: UInt64) async throws {
        let what = "give the metadata of \(control.device.volume) the generation that was sent"
        let file = "\(host.paths.run)/seed-\(control.device.volume).md"
        let metadata = SeededMetadata(of: control.device, generation: generation, mark: control.mark)
        try DurableFile.replace(file, with: Array(metadata.text.utf8))
        defer { unlink(file) }
        try await control.run(
            control.commands.restoreMetadata(try await proofOfOwnership(control), from: file), doing: what)
    }

    /// Target: the replica as before, whatever its metadata say.
    func attachSeeded(_ control: ReplicaControl, _ volume: VolumeSpec) async throws {
        if let known = try switched(volume, .target) { try await host.switches.bringUpLower(known) }
        try await attach(control, volume)
    }

    /// Target: lets the replicas connect once nobody writes to the volumes past them any more. A receiver whose source
    /// has given up, or is gone, notices that and attaches its replica by itself.
    func connectTarget(_ order: StepOrder) async throws -> StepResult {
        try await waitForSeedReceiver(order.spec)
        return try await connect(order)
    }

    /// Target: returns when nobody writes to the volumes past DRBD any more.
    func waitForSeedReceiver(_ spec: MigrationSpec) async throws {
        guard spec.plan.seeds else { return }
        // Not held: what is attached anew takes the same turn. Only this run could begin another receiver.
        try await HostTurn.take(.image, of: spec.id, on: host, limit: .seconds(90)) {}
    }

    private func proofOfOwnership(_ control: ReplicaControl) async throws -> OwnedMetadata {
        let mark = try await host.runner.run(control.commands.ownershipMark(control.device)).output
        let generation = try await host.runner.run(
            control.commands.storedGeneration(control.device, control.connection)
        ).output
        return try OwnedMetadata(
            of: control.device, found: OwnershipMark(readDeviceUUID: mark), expected: control.mark,
            generation: DataGeneration(generation))
    }
}

import DeviceMapper
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// A volume's replica without a peer: made over the volume below a running guest, Primary, and taken down again.
///
/// Until the switch leads to it DRBD touches no data, and while it has no peer its copy is the volume: whoever writes to the
/// one writes to the other. So it can go at any time, also with a power cut, and is then made anew.
struct StandaloneReplica {
    let worker: HostWorker
    let volume: Volume
    let minor: Int

    private var host: HostContext { worker.host }
    private var what: String { "make a replica of \(volume.name)" }

    /// What holds the DRBD minor in the journal.
    static func owner(_ volume: VolumeName) -> String { "swap/\(volume)" }

    /// Attached, Primary and UpToDate, whatever of that is so already.
    func bringUp() async throws {
        let lower = try await host.switches.bringUpLower(volume)
        if try await control(lower).status()?.volume?.isAttached != true {
            host.effects.pass(.metadata, .before)
            let control = try await freshMetadata(lower)
            host.effects.pass(.metadata, .after)
            host.effects.pass(.attach, .before)
            try await attach(control)
            host.effects.pass(.attach, .after)
        }
        host.effects.pass(.promote, .before)
        try await promote(try await control(lower))
        host.effects.pass(.promote, .after)
    }

    /// Gone, with its metadata. Nothing happens where there is none.
    /// - Throws: `.busy` where something still has its device open.
    static func takeDown(_ volume: Volume, _ worker: HostWorker) async throws {
        let host = worker.host
        if let status = try await host.currentUse(asksLVM: false).replica(of: volume.name) {
            let replica = StandaloneReplica(worker: worker, volume: volume, minor: status.volume?.minor ?? 0)
            let control = try await replica.control(try host.switches.lowerIdentity(volume).path)
            try await control.run(
                control.commands.down(control.device), doing: "take \(control.device.resource) down")
        }
        try await host.switches.removeLower(volume)
        guard volume.place.logicalVolume != nil else { return }
        if let found = try await worker.store.find(volume.name, .metadata, at: volume.place) {
            guard isOfSwap(found, volume.name) else { return }
            try await worker.store.remove(volume.name, .metadata, at: volume.place)
        }
    }

    /// Metadata of a swap are marked as the volume's and as no migration's.
    static func isOfSwap(_ found: VolumeStore.Found, _ name: VolumeName) -> Bool {
        found.isOurs && found.tags.contains(LogicalVolumeTag.volume(name).text)
            && !found.tags.contains { $0.hasPrefix("xenlvs.migration=") }
    }

    private func control(_ lower: String) async throws -> ReplicaControl {
        let dialect = try await worker.dialect()
        guard dialect == .v84 else {
            throw Failure(
                .refused, "cannot \(what)", why: "a replica without a peer is made with DRBD 8.4 only",
                remedy: "migrate the domain instead: xenlvs migrate")
        }
        let device = ReplicaDevice(
            volume: volume.name, minor: minor, size: volume.size, lowerPath: lower,
            metadataPath: try await worker.store.expectedDevice(volume.name, .metadata, at: volume.place))
        // It is never connected: DRBD 8.4 takes the addresses only then.
        let node = ReplicaNode(host: host.name, nodeID: 0, address: try ReplicaAddress(host: "127.0.0.1", port: 7789))
        return ReplicaControl(
            runner: host.runner, commands: DRBDCommands(dialect: dialect), device: device,
            connection: ReplicaConnection(local: node, peer: node, secret: .random()),
            tuning: ResyncTuning(bandwidth: nil), mark: .random())
    }

    private func freshMetadata(_ lower: String) async throws -> ReplicaControl {
        let place = volume.place
        let former = try await control(lower)
        // A resource without a disk that a killed run has left.
        try await former.run(former.commands.down(former.device), doing: what)
        if let found = try await worker.store.find(volume.name, .metadata, at: place) {
            guard Self.isOfSwap(found, volume.name) else {
                throw Failure(
                    .refused, "cannot \(what)",
                    why: "there is a volume \(volume.name.metadataVolume) that no swap has made",
                    remedy: "see whose it is with 'lvs -o +tags'; rename or remove it by hand")
            }
            try await worker.store.remove(volume.name, .metadata, at: place)
        }
        try await worker.store.create(
            volume.name, .metadata, at: place, size: ReplicaMetadata.size(for: volume.size), migration: nil)
        let control = try await control(lower)
        try await control.run(control.commands.createMetadata(control.device), doing: what)
        try await control.run(control.commands.markMetadata(control.device, control.mark), doing: what)
        return control
    }

    private func attach(_ control: ReplicaControl) async throws {
        let (commands, device) = (control.commands, control.device)
        for command in [
            commands.newResource(device, control.connection), commands.newMinor(device),
            commands.applyActivityLog(device), commands.attach(device, control.tuning),
        ] {
            try await control.run(command, doing: what)
        }
        let size = try BlockDevice(at: device.path).size()
        guard size == volume.size else {
            throw Failure(
                .failed, "cannot \(what)",
                why: "\(device.path) has \(size.bytes) bytes, the volume \(volume.size.bytes)")
        }
    }

    private func promote(_ control: ReplicaControl) async throws {
        var status = try await control.status()
        if status?.role != .primary {
            let output = try await host.runner.run(
                control.commands.dataGeneration(control.device, control.connection)
            ).output
            let proof = try FreshMetadata(of: control.device, generation: DataGeneration(output), status: status)
            try await control.run(
                control.commands.primaryForcedOnce(proof), doing: "make \(control.device.resource) Primary")
            status = try await control.status()
        }
        guard status?.role == .primary, status?.volume?.disk == .upToDate, status?.volume?.minor == minor else {
            throw Failure(
                .failed, "cannot \(what)",
                why: "DRBD is \(status?.role.word ?? "gone") and its disk \(status?.volume?.disk.word ?? "not there"): "
                    + "it would refuse a guest's writes (Read-only file system)",
                remedy: "see 'xenlvs replica status \(volume.name)' and 'dmesg | grep drbd'")
        }
    }
}

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

    /// Its device, where a guest may be led there now: what is below DRBD may have gone since the replica was made.
    /// - Throws: `.failed` where a guest would get errors there.
    func checkedDevice() async throws -> BlockDevice {
        let device = try Self.device(minor)
        let doing = "cannot lead the switch of \(volume.name) to \(device.path)"
        try check(try await control(try host.switches.lowerIdentity(volume).path).status(), doing: doing)
        try await device.requireReadable(doing: doing, remedy: Self.remedy)
        return device
    }

    /// The device of a DRBD minor, which udev or DRBD may have taken away.
    /// - Throws: `.failed`: nobody has asked for it by its name.
    static func device(_ minor: Int, host: String? = nil) throws(Failure) -> BlockDevice {
        let path = "/dev/drbd\(minor)"
        let what = "cannot lead a switch to \(path)"
        let device: BlockDevice
        do { device = try BlockDevice(at: path) } catch {
            throw Failure(.failed, what, host: host, why: error.why, remedy: Self.remedy)
        }
        guard device.number == SwitchVerdict.replica(minor) else {
            throw Failure(
                .failed, what, host: host, why: "it is not a DRBD device: its number is \(device.number)",
                remedy: "see 'ls -l \(path)' and remove what is there, then begin again")
        }
        return device
    }

    private static let remedy = "see 'dmesg | grep drbd'; when the cause is gone, begin again"

    /// Why a guest that is led to it would get errors, or wait; nil where it would not.
    static func objection(to status: ReplicaStatus?, minor: Int) -> String? {
        if let status, let volume = status.volume, status.role == .primary, status.suspended == "no",
            volume.disk == .upToDate, volume.minor == minor
        {
            return nil
        }
        let found = "DRBD is \(status?.role.word ?? "gone") and its disk \(status?.volume?.disk.word ?? "not there")"
        return status?.role == .primary
            ? "\(found): what a guest reads and writes there would fail, or wait"
            : "\(found): it would refuse a guest's writes (Read-only file system)"
    }

    private func check(_ status: ReplicaStatus?, doing what: String) throws(Failure) {
        guard let why = Self.objection(to: status, minor: minor) else { return }
        throw Failure(.failed, what, why: why, remedy: Self.remedy)
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
        try check(status, doing: "cannot \(what)")
    }
}

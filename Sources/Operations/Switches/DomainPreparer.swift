import DeviceMapper
import Domains
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// What was done for one disk of a domain.
public struct PreparedDisk: Sendable, Encodable, Equatable {
    public enum Result: String, Sendable, Codable {
        case made
        case wasThere = "was-there"
        /// What the domain has open became the switch.
        case adopted
    }

    public var device: String?
    public var volume: VolumeName
    public var path: String
    public var result: Result
    /// The running domain has the LV itself until it is started anew.
    public var takesEffectAtNextStart: Bool
}

/// Puts switches between the links and the LVs of volumes that have none.
///
/// It can be done while a guest runs: the switch leads to the LV that the guest has open, and the guest opens what the link
/// leads to when it is started the next time. Until then `swap` refuses.
public struct DomainPreparer: Sendable {
    let worker: HostWorker
    var host: HostContext { worker.host }

    public init(worker: HostWorker) { self.worker = worker }

    /// - Throws: `.busy` where a migration, a replica or a snapshot's removal has the volume; `.refused` for a file.
    public func prepare(_ name: VolumeName, device: String?) async throws -> PreparedDisk {
        try await VolumeLock.holding(name, of: host, patience: .seconds(10)) {
            let volume = try await checkedVolume(name)
            return try await prepareLocked(volume, device: device)
        }
    }

    /// The same, and what a running guest has open is made the switch, below the guest. Where nobody has the LV itself open it
    /// is as `prepare`.
    /// - Throws: `.refused` also where the LV's device cannot be made one.
    public func adopt(_ name: VolumeName, device: String?) async throws -> PreparedDisk {
        try await VolumeLock.holding(name, of: host, patience: .seconds(10)) {
            var volume = try await checkedVolume(name)
            let plain = try await host.switches.checkedDevice(volume)
            guard BlockBackend.all().contains(where: { $0.device == plain.number }) else {
                return try await prepareLocked(volume, device: device)
            }
            if volume.switchGoal == .volume { volume = try await withoutUnusedSwitch(volume, plain) }
            guard volume.switchGoal == nil else {
                throw Failure(.busy, Self.attempt(name), why: "a swap of it has not ended")
            }
            try checkLink(volume, leadsTo: plain)
            try checkCheckpoints(volume)
            let adopted = try await SwitchAdopter(host: host).adopt(volume)
            return PreparedDisk(
                device: device, volume: name, path: try host.switches.identity(adopted).path, result: .adopted,
                takesEffectAtNextStart: false)
        }
    }

    /// The volume without a switch that the guest would have opened at its next start.
    private func withoutUnusedSwitch(_ volume: Volume, _ plain: BlockDevice) async throws -> Volume {
        try host.links.set(volume.name, to: plain.path)
        try await host.switches.takeAway(volume)
        var bare = volume
        (bare.switchGoal, bare.switchKey) = (nil, nil)
        do { try Self.record(bare, on: host) } catch {
            try host.links.set(volume.name, to: try await host.switches.bringUp(volume))
            throw error
        }
        return bare
    }

    /// A checkpoint knows its LVs by their UUIDs.
    private func checkCheckpoints(_ volume: Volume) throws {
        let found = try CheckpointStore(host.paths).all().first { checkpoint in
            checkpoint.disks.contains { $0.logicalVolumeUUID == volume.logicalVolumeUUID }
        }
        guard let found else { return }
        throw Failure(
            .refused, "cannot make the device of '\(volume.name)' its switch while it is in use",
            why: "the checkpoint '\(found.name)' could not be restored any more: the LV gets another UUID",
            remedy: "remove the checkpoint, or save and restore the domain once with --now")
    }

    /// As `prepare`, under the volume's lock.
    func prepareLocked(_ volume: Volume, device: String?) async throws -> PreparedDisk {
        let name = volume.name
        var wanted = volume
        wanted.switchGoal = volume.switchGoal ?? .volume
        let identity = try host.switches.identity(wanted)
        let plain = try await host.switches.checkedDevice(wanted)
        if volume.switchGoal == nil {
            try checkLink(wanted, leadsTo: plain)
            // The device first: a link must never be recorded to lead to what may turn out to be a stranger's.
            try await host.switches.bringUp(wanted)
            try await recordMade(wanted)
        }
        try await host.switches.bringUp(wanted)
        try host.links.set(name, to: identity.path)
        return PreparedDisk(
            device: device, volume: name, path: identity.path,
            result: volume.switchGoal == nil ? .made : .wasThere,
            takesEffectAtNextStart: BlockBackend.all().contains { $0.device == plain.number })
    }

    /// Records a switch that was just made. Where that is refused it goes again: it would hold the LV, and nobody would know.
    func recordMade(_ wanted: Volume) async throws {
        do { try Self.record(wanted, on: host) } catch {
            // One that a guest has open was there before.
            try? await host.switches.takeAway(wanted)
            throw error
        }
    }

    /// What fails where a volume is not given a switch.
    private static func attempt(_ name: VolumeName) -> String { "cannot put a switch before '\(name)'" }

    /// Records the volume with what it has to do with a switch.
    /// - Throws: `.busy` where a migration of it has begun since it was looked for.
    static func record(_ volume: Volume, on host: HostContext) throws {
        try host.database.put([try host.record(of: volume)]) { migrations in
            // In the same transaction: a migration that begins now finds the record, or is found here.
            try OpenMigration.requireNone(
                of: volume.name, among: try migrations.map(OpenMigration.init), doing: attempt(volume.name))
        }
    }

    func checkedVolume(_ name: VolumeName) async throws -> Volume {
        let what = Self.attempt(name)
        guard let recorded = try host.recordedVolume(name) else {
            throw Failure(
                .notFound, "there is no volume '\(name)'",
                remedy: "record the LV first: xenlvs link set \(name) /dev/VG/\(name)")
        }
        let volume = try await SwitchAdopter(host: host).settled(recorded)
        if let objection = volume.state.objection {
            throw Failure(.refused, what, why: "it \(objection)", remedy: "see 'xenlvs volume show \(name)'")
        }
        let use = try await host.currentUse(asksLVM: false)
        try OpenMigration.requireNone(of: name, among: use.migrations, doing: what)
        if volume.switchGoal == nil, let replica = use.replica(of: name) {
            let held = VolumeUse(.replica, replica.resource)
            throw Failure(.busy, what, why: held.sentence, remedy: held.remedy)
        }
        return volume
    }

    /// A link that somebody has turned is not taken over silently.
    func checkLink(_ volume: Volume, leadsTo plain: BlockDevice) throws {
        switch try host.links.read(volume.name) {
        case .absent, .link(_, .dangling), .link(_, .device(_, plain.number)): return
        case .link, .notALink:
            throw Failure(
                .refused, Self.attempt(volume.name),
                why: "\(host.links.path(of: volume.name)) does not lead to \(plain.path)",
                remedy: "see 'xenlvs link show \(volume.name)'")
        }
    }
}

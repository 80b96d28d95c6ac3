import DeviceMapper
import Domains
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// What came of a swap of one disk.
public struct SwapRow: Sendable, Encodable, Equatable {
    public var volume: VolumeName
    /// The device in the guest; nil where a volume was named.
    public var device: String?
    /// `volume`, `replica`, or the volume's new place: `vg1/web1`, `attachment data1`.
    public var onto: String
    /// What the switch leads to now: `/dev/drbd0`, `/dev/vg0/web1`.
    public var leadsTo: String
    /// How long the disk's requests stood still at most, in milliseconds; nil where it led there already.
    public var stallMilliseconds: Double?
}

/// Leads the switches of a running guest's disks elsewhere.
///
/// What is wanted is recorded first, in one commit with the numbers it takes; everything after that is *observe → already
/// so? → do → check*, so that a run that was killed is continued, or taken back, by the next one. In whatever state a run
/// ends, the switch leads to the volume or to a Primary over it: the data are the same.
public struct SwapManager: Sendable {
    public enum Place: String, Sendable, CaseIterable {
        case volume
        case replica
    }

    let worker: HostWorker
    var host: HostContext { worker.host }

    public init(worker: HostWorker) { self.worker = worker }

    /// The disks that are meant: of a running domain, all or one; where no domain of the name runs, the volume of the name.
    public func disks(of name: String, device: String?) async throws -> [(device: String?, volume: VolumeName)] {
        let domain = try DomainName(name)
        let listing = try await host.runner.domains()
        guard listing.domain(named: domain) != nil else {
            // Its volume may have the same name, and is not all that is meant.
            if try DomainBracket(worker: worker).isAway(domain) {
                throw Failure(
                    .busy, "the domain '\(name)' is not there to be asked for its disks",
                    why: "a command that saves and restores it is at work, or was cut off",
                    remedy: "wait for it, or run 'xenlvs recover'")
            }
            if device == nil, let volume = try? VolumeName(name), try host.recordedVolume(volume) != nil {
                return [(nil, volume)]
            }
            throw Failure(
                .notFound, "there is neither a running domain nor a volume '\(name)'",
                remedy: "see 'xenlvs domain list' and 'xenlvs volume list'")
        }
        let assigned = DiskCheck.assign(try await MigrationStarter(worker: worker).describe(domain))
        let chosen = assigned.volumes.filter { device == nil || $0.device == device }
        guard !chosen.isEmpty else {
            let finding = assigned.findings.first { $0.device == device }
            throw Failure(
                finding == nil ? .notFound : .refused,
                device.map { "the domain '\(name)' has no disk '\($0)' on a volume" }
                    ?? "the domain '\(name)' has no disk on a volume",
                why: finding?.why, remedy: finding?.remedy ?? "see 'xenlvs domain list'")
        }
        return chosen.map { ($0.device, $0.volume) }
    }

    /// Leads the switch of one volume to its replica or back. Done already is done.
    /// - Throws: `.busy` where a migration, or somebody beside the guest, has it; `.refused` where it has no switch.
    public func swap(
        _ name: VolumeName, device: String?, onto place: Place, say: (String) -> Void = { _ in }
    ) async throws -> SwapRow {
        try await VolumeLock.holding(name, of: host, patience: .seconds(10)) {
            let volume = try checkedVolume(name)
            if let move = volume.switchGoal?.move {
                if place == .volume { return try await moveTakenBack(volume, device) }
                throw Failure(
                    .busy, "cannot swap '\(name)' to a replica", why: "it is on its way to \(move.place)",
                    remedy: move.remedy(name))
            }
            try await checkUsers(volume)
            switch place {
            case .replica: return try await toReplica(volume, device, say)
            case .volume: return try await toVolume(volume, device, say)
            }
        }
    }

    private func toReplica(_ volume: Volume, _ device: String?, _ say: (String) -> Void) async throws -> SwapRow {
        guard volume.place.logicalVolume != nil else {
            throw Failure(
                .refused, "cannot swap '\(volume.name)' to a replica",
                why: "it is on the \(volume.place), and a replica is made of an LV of this host",
                remedy: "go to a volume group first: xenlvs swap \(volume.name) --to vg:VG --copy")
        }
        // A switch that is missing or suspended is put right before anything is made above it.
        try await host.switches.bringUp(volume)
        let minor = try await recordReplica(volume)
        var wanted = volume
        wanted.switchGoal = .replica(minor: minor)
        let path = "/dev/drbd\(minor)"
        do {
            say("\(volume.name): making the replica \(path) below the running guest")
            let replica = StandaloneReplica(worker: worker, volume: wanted, minor: minor)
            try await replica.bringUp()
            host.effects.pass(.exchange, .before)
            let change = try await host.switches.lead(wanted, to: try await replica.checkedDevice().number)
            host.effects.pass(.exchange, .after)
            return row(wanted, device, path, change)
        } catch {
            throw await takenBack(wanted, because: Failure(error, doing: "cannot swap \(volume.name) to a replica"))
        }
    }

    private func toVolume(_ volume: Volume, _ device: String?, _ say: (String) -> Void) async throws -> SwapRow {
        try await host.switches.bringUp(volume)
        var wanted = volume
        wanted.switchGoal = .volume
        host.effects.pass(.record, .before)
        if volume.switchGoal != .volume { try host.put(wanted) }
        host.effects.pass(.record, .after)
        host.effects.pass(.exchange, .before)
        let plain = try await host.switches.checkedDevice(wanted)
        let change = try await host.switches.lead(wanted, to: plain.number)
        host.effects.pass(.exchange, .after)
        if change != nil { say("\(volume.name): on \(plain.path) again; taking the replica down") }
        try await tidy(wanted)
        return row(wanted, device, plain.path, change)
    }

    /// Takes what a swap has made away, after the switch was led to the volume.
    func tidy(_ volume: Volume) async throws {
        host.effects.pass(.takeDown, .before)
        try await StandaloneReplica.takeDown(volume, worker)
        host.effects.pass(.takeDown, .after)
        host.effects.pass(.release, .before)
        try host.database.release(StandaloneReplica.owner(volume.name))
        host.effects.pass(.release, .after)
    }

    /// A swap that failed leaves the guest where it was, on its volume.
    private func takenBack(_ volume: Volume, because cause: Failure) async -> Failure {
        // A suspended switch is for 'recover'; a command whose end nobody knows may still be at work.
        if cause.code == .needsRecovery || cause.code == .outcomeUnknown { return cause }
        return await cause.afterGoingBack(of: volume.name) { _ = try await toVolume(volume, nil, { _ in }) }
    }

    private func row(_ volume: Volume, _ device: String?, _ path: String, _ change: TableChange?) -> SwapRow {
        SwapRow(
            volume: volume.name, device: device, onto: (volume.switchGoal ?? .volume).word, leadsTo: path,
            stallMilliseconds: change.map { $0.stall / .milliseconds(1) })
    }

    /// The minor that the volume's replica has or gets, recorded with what is wanted.
    private func recordReplica(_ volume: Volume) async throws -> Int {
        if case .replica(let minor) = volume.switchGoal { return minor }
        let numbers = try await worker.numbersInUse()
        let ranges = NumberRanges(minors: host.configuration.minors, ports: host.configuration.ports)
        let minor = try ranges.allocate(1, source: numbers, target: numbers)[0].sourceMinor
        var wanted = volume
        wanted.switchGoal = .replica(minor: minor)
        host.effects.pass(.record, .before)
        try host.database.put(
            try host.record(of: wanted), holding: minor, as: StandaloneReplica.owner(volume.name)
        ) { migrations in
            // In the same transaction: a migration that begins now finds the goal, or is found here.
            try Self.requireNoMigration(of: volume.name, try migrations.map(OpenMigration.init))
        }
        host.effects.pass(.record, .after)
        return minor
    }

    static func requireNoMigration(of name: VolumeName, _ migrations: [OpenMigration]) throws {
        try OpenMigration.requireNone(of: name, among: migrations, doing: "cannot swap '\(name)'")
    }
}

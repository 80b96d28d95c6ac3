import DeviceMapper
import FoundationEssentials
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// The DRBD side of one volume of a migration on this host: the values that its commands are built from.
struct ReplicaControl {
    let runner: any CommandRunner
    let commands: DRBDCommands
    let device: ReplicaDevice
    /// With a secret that is used only by `connect`.
    let connection: ReplicaConnection
    let tuning: ResyncTuning
    let mark: OwnershipMark

    /// The kernel's view; nil where DRBD has no such resource.
    func status() async throws -> ReplicaStatus? {
        let output = try await runner.run(commands.status(device)).output
        return try ReplicaStatus.parse(events2: output, resource: device.resource)
    }

    /// Runs a DRBD command; a refusal is told in words. What DRBD itself calls transient is repeated for a while.
    func run(_ command: Command, doing what: String) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            do {
                try await runner.run(command)
                return
            } catch let failure as Failure {
                // A probe by udev or LVM that holds the device open passes as well.
                let refusal = failure.why.flatMap { DRBDRefusal($0) }
                guard refusal.map({ $0.isTransient || $0.number == -12 }) == true, ContinuousClock.now < deadline else {
                    throw DRBDFailure.explain(failure, "cannot \(what)")
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }
}

extension HostWorker {
    /// The device that a guest uses while the volume has a replica.
    func replicaPath(_ volume: VolumeSpec, _ role: Role) -> String { "/dev/drbd\(volume.minor(role))" }

    /// Loads DRBD where it is not loaded, and finds out which dialect it speaks.
    func dialect() async throws -> DRBDDialect {
        if let version = KernelFile.read(DRBDModule.versionFile) { return try DRBDDialect(moduleVersion: version) }
        do { try await host.runner.run(DRBDModule.load) } catch {
            throw Failure(
                .failed, "DRBD cannot be loaded", host: host.name.text, why: Failure(error, doing: "modprobe drbd").why,
                remedy: "install the kernel's drbd module, then run 'modprobe drbd'")
        }
        guard let version = KernelFile.read(DRBDModule.versionFile) else {
            throw Failure(.failed, "DRBD is loaded but does not say its version", host: host.name.text)
        }
        return try DRBDDialect(moduleVersion: version)
    }

    /// - Parameter secret: nil for everything but connecting.
    func control(
        _ volume: VolumeSpec, _ spec: MigrationSpec, _ role: Role, secret: SharedSecret? = nil
    ) async throws -> ReplicaControl {
        let place = volume.place(role)
        // A switch has the volume's own device for itself: DRBD is attached beside it, see VolumeSwitches.
        let lower =
            if let known = try switched(volume, role) { try host.switches.lowerIdentity(known).path } else {
                try await store.device(volume.name, .data, at: place)
            }
        let device = ReplicaDevice(
            volume: volume.name, minor: volume.minor(role), size: volume.size,
            lowerPath: lower,
            metadataPath: try await store.expectedDevice(volume.name, .metadata, at: place))
        let connection = ReplicaConnection(
            local: try spec.node(role, port: volume.port), peer: try spec.node(role.peer, port: volume.port),
            secret: secret ?? .random())
        return ReplicaControl(
            runner: host.runner, commands: DRBDCommands(dialect: try await dialect()), device: device,
            connection: connection,
            tuning: .shared(bandwidth: spec.bandwidth, among: spec.volumes.count), mark: spec.mark(of: volume))
    }

    func controls(_ spec: MigrationSpec, _ role: Role, secret: SharedSecret? = nil) async throws -> [ReplicaControl] {
        var controls: [ReplicaControl] = []
        for volume in spec.volumes {
            controls.append(try await control(volume, spec, role, secret: secret))
        }
        return controls
    }

    func replicas(of spec: MigrationSpec) async throws -> [VolumeReplica] {
        guard KernelFile.read(DRBDModule.versionFile) != nil else {
            return spec.volumes.map { VolumeReplica(volume: $0.name, status: nil) }
        }
        let output = try await host.runner.run(DRBDCommands(dialect: try await dialect()).statusOfAll).output
        let statuses = try ReplicaStatus.parse(events2: output)
        return spec.volumes.map { volume in
            VolumeReplica(
                volume: volume.name, status: statuses.first { $0.resource == ReplicaDevice.resource(of: volume.name) })
        }
    }

    func control(_ name: VolumeName, of migration: RecordedMigration, secret: SharedSecret? = nil) async throws
        -> ReplicaControl
    {
        guard let volume = migration.spec.volumes.first(where: { $0.name == name }) else {
            throw Failure(.notFound, "migration \(migration.spec.id) has no volume \(name)")
        }
        return try await control(volume, migration.spec, migration.role, secret: secret)
    }
}

extension MigrationSpec {
    /// What both kernels say of each volume.
    func pairs(source: [VolumeReplica], target: [VolumeReplica]) -> [ReplicaPair] {
        volumes.map { volume in
            ReplicaPair(
                volume: volume.name, size: volume.size,
                source: source.first { $0.volume == volume.name }?.status,
                target: target.first { $0.volume == volume.name }?.status)
        }
    }

    func node(_ role: Role, port: Int) throws -> ReplicaNode {
        let end = endpoint(role)
        return ReplicaNode(
            host: end.name, nodeID: role == .source ? 0 : 1, address: try ReplicaAddress(host: end.address, port: port))
    }

    /// Marks the metadata that this migration makes: the same number on both hosts and after a crash (FNV-1a, 64 bits).
    fileprivate func mark(of volume: VolumeSpec) -> OwnershipMark {
        let hash = "\(id)/\(volume.name)".utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return OwnershipMark(value: max(1, hash))
    }
}

extension ReplicaStatus.Volume {
    /// Whether DRBD holds the lower device.
    var isAttached: Bool {
        switch disk {
        case .diskless, .attaching, .detaching, .failed, .unknown, .other: false
        case .negotiating, .inconsistent, .outdated, .consistent, .upToDate: true
        }
    }
}

/// Small files of /proc and /sys.
enum KernelFile {
    /// The file's text; nil where it is not there.
    static func read(_ path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        return String(decoding: data, as: UTF8.self)
    }
}

import DeviceMapper
import Domains
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// Something that holds a volume at the moment.
public struct VolumeUse: Sendable, Codable, Hashable {
    public enum Kind: String, Sendable, Codable {
        /// A domain has it, or what its link leads to, as a disk.
        case domain
        case replica
        /// A migration that is not finished.
        case migration
        /// A device built on it.
        case holder
        case mount
        case snapshot
        /// A domain's checkpoint, which cannot be restored without it.
        case checkpoint
        /// A process has its device open.
        case process
        /// Its device is open and nothing of the above explains it.
        case open
    }

    public var kind: Kind
    public var name: String

    public init(_ kind: Kind, _ name: String) {
        self.kind = kind
        self.name = name
    }

    /// The use as the end of a sentence: `the domain web1 uses it`.
    var sentence: String {
        switch kind {
        case .domain: "the domain \(name) uses it"
        case .replica: "it has a replica (\(name))"
        case .migration: "migration \(name) is not finished"
        case .holder: "the device \(name) is built on it"
        case .mount: "it is mounted on \(name)"
        case .snapshot: "it has a snapshot '\(name)'"
        case .checkpoint: "the checkpoint '\(name)' needs it"
        case .process: "\(name) has its device open"
        case .open: "something has its device open"
        }
    }

    /// What the operator does about it.
    var remedy: String {
        switch kind {
        case .domain: "shut the domain down first: xl shutdown \(name)"
        case .replica: "see 'xenlvs replica status'"
        case .migration: "see 'xenlvs migration status \(name)'; resume or abort it first"
        case .holder: "see 'lsblk' and 'dmsetup ls --tree'"
        case .mount: "umount \(name)"
        case .snapshot:
            "remove the snapshot first: xenlvs volume remove \(name), or lvremove where xenlvs has not made it"
        case .checkpoint: "remove the checkpoint first: xenlvs domain checkpoint remove \(name)"
        case .process: "end it first"
        case .open: "see 'xenlvs exports', 'lsof' and 'dmsetup ls --tree' for who it is"
        }
    }
}

/// Mapped devices by what they are to device-mapper.
struct MappedByIdentity: Sendable {
    private let devices: [MappedIdentity: MappedDevice]

    init(_ devices: [MappedDevice] = []) {
        self.devices = Dictionary(devices.map { ($0.identity, $0) }) { first, _ in first }
    }

    /// The device that is this very one, by name and UUID.
    func device(_ identity: MappedIdentity) -> MappedDevice? { devices[identity] }

    /// All of them, by name.
    var all: [MappedDevice] { devices.values.sorted { $0.name < $1.name } }
}

/// One look at everything on this host that can hold a volume.
struct HostUse: Sendable {
    /// The names of the domains by the device that they have open.
    var domains: [(device: BlockDeviceNumber, domain: String)]
    var replicas: [ReplicaStatus]
    var migrations: [OpenMigration]
    var logicalVolumes: [LogicalVolume]
    var snapshots: [Snapshot]
    /// Switches and what DRBD is attached to.
    var mapped = MappedByIdentity()
    var mounts = MountTable()

    /// The devices that xenlvs itself has put upon a volume.
    func devices(of volume: Volume) -> [MappedDevice] {
        guard volume.switchGoal != nil, let uuid = volume.deviceKey else { return [] }
        return [
            MappedIdentity.ofSwitch(volume.name, logicalVolumeUUID: uuid),
            MappedIdentity.ofLower(volume.name, logicalVolumeUUID: uuid),
        ].compactMap(mapped.device)
    }

    func migrations(of name: VolumeName) -> [OpenMigration] { migrations.filter { $0.volume(name) != nil } }

    func replica(of name: VolumeName) -> ReplicaStatus? {
        replicas.first { $0.resource == ReplicaDevice.resource(of: name) }
    }

    func logicalVolume(_ reference: LogicalVolumeReference) -> LogicalVolume? {
        logicalVolumes.first { $0.reference == reference }
    }

    /// The domains that have one of `devices` open.
    func domains(on devices: [BlockDeviceNumber]) -> [String] {
        var names: [String] = []
        for use in domains where devices.contains(use.device) && !names.contains(use.domain) {
            names.append(use.domain)
        }
        return names
    }

    /// What holds the volume `name`.
    /// - Parameters:
    ///   - place: where its data are.
    ///   - plain: its own device, where it has one now.
    ///   - linked: the device that its link leads to.
    ///   - own: what xenlvs itself has put upon it.
    func uses(
        of name: VolumeName, at place: VolumePlace, plain: BlockDevice?, linked: BlockDeviceNumber?,
        own: [MappedDevice] = []
    ) throws -> [VolumeUse] {
        var uses = domains(on: [plain?.number, linked].compactMap(\.self) + own.map(\.number)).map {
            VolumeUse(.domain, $0)
        }
        if let replica = replica(of: name) { uses.append(VolumeUse(.replica, replica.resource)) }
        uses += migrations(of: name).map { VolumeUse(.migration, $0.id.text) }
        if let reference = place.logicalVolume {
            uses += snapshots.of(reference).map { VolumeUse(.snapshot, $0.name.text) }
        }
        if let plain {
            // DRBD's device is the replica's.
            let ours = own.map { "dm-\($0.number.minor)" }
            uses += try plain.holders().filter { !$0.hasPrefix("drbd") && !ours.contains($0) }
                .map { VolumeUse(.holder, $0) }
            uses += mounts.mountPoints(of: plain.number).map { VolumeUse(.mount, $0) }
        }
        for device in own {
            guard let found = try? BlockDevice(at: device.path), found.number == device.number else { continue }
            uses += try found.holders().filter { !$0.hasPrefix("drbd") }.map { VolumeUse(.holder, $0) }
            uses += mounts.mountPoints(of: found.number).map { VolumeUse(.mount, $0) }
            if device.openCount > 0, !uses.contains(where: { $0.explainsOpenDevice }) {
                uses.append(VolumeUse(.open, name.text))
            }
        }
        // A switch has the LV open all the time; who has the switch is asked above.
        let isOpen = own.isEmpty && place.logicalVolume.flatMap(logicalVolume)?.isOpen == true
        if isOpen, !uses.contains(where: { $0.explainsOpenDevice }) { uses.append(VolumeUse(.open, name.text)) }
        return uses
    }
}

extension VolumeUse {
    fileprivate var explainsOpenDevice: Bool {
        switch kind {
        case .domain, .replica, .holder, .mount, .process, .open: true
        case .migration, .snapshot, .checkpoint: false
        }
    }
}

extension HostContext {
    /// Looks at what holds volumes on this host. Changes nothing.
    /// - Parameters:
    ///   - asksLVM: false where no LV is concerned; LVM is slow.
    ///   - volumes: all that are recorded: where the kernel has all of their LVs as they are recorded, LVM is not asked.
    func currentUse(asksLVM: Bool, unlessActive volumes: [Volume]? = nil) async throws -> HostUse {
        var use = HostUse(
            domains: [], replicas: [], migrations: try OpenMigration.all(in: database), logicalVolumes: [],
            snapshots: [], mounts: try MountTable.current(doing: "cannot see what is mounted"))
        let backends = BlockBackend.all()
        if !backends.isEmpty {
            let listing = try await runner.domains()
            use.domains = backends.map { ($0.device, listing.domain($0.domain)?.name ?? "number \($0.domain)") }
        }
        if let version = KernelFile.read(DRBDModule.versionFile) {
            let commands = DRBDCommands(dialect: try DRBDDialect(moduleVersion: version))
            use.replicas = try ReplicaStatus.parse(events2: try await runner.run(commands.statusOfAll).output)
        }
        if try (volumes ?? recordedVolumes()).contains(where: { $0.switchGoal != nil }) {
            let mapper = mapper
            use.mapped = MappedByIdentity(
                try await Blocking.run("device-mapper") { try mapper.all().filter(\.isOfVolume) })
        }
        if asksLVM, let volumes, let found = try? await activeVolumes(volumes) {
            use.logicalVolumes = found
        } else if asksLVM {
            use.logicalVolumes = try LVMReport.volumes(try await runner.run(LVMCommands.listVolumes()).output)
            use.snapshots = try await runner.snapshots()
        }
        return use
    }

    private func activeVolumes(_ volumes: [Volume]) async throws -> [LogicalVolume]? {
        let (mapper, tree) = (mapper, tree)
        return try await Blocking.run("device-mapper") {
            try ActiveVolumes.logicalVolumes(of: volumes, among: try mapper.madeByLVM()) { number throws(Failure) in
                try BlockDevice(at: "\(tree.devices)/dm-\(number.minor)").size()
            }
        }
    }
}

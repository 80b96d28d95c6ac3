import HostModel
import Hosts
import Migration
import Storage

/// Volumes that are served to other hosts.
public enum ServedVolume {
    /// Throws why a volume must not be served, by the journal alone: `.notFound`, `.busy` for one that a migration is at
    /// work on, `.refused` for an old copy and for one that is not complete.
    public static func check(_ name: VolumeName, in database: StateDatabase) throws {
        try check(name, try database.volume(name)?.volume(), try OpenMigration.all(in: database))
    }

    static func check(_ name: VolumeName, _ volume: Volume?, _ migrations: [OpenMigration]) throws(Failure) {
        let what = "cannot serve the volume '\(name)'"
        guard let volume else {
            throw Failure(.notFound, what, why: "there is none of that name", remedy: "see 'xenlvs volume list'")
        }
        if let migration = migrations.first(where: { $0.volume(name) != nil }) {
            let use = VolumeUse(.migration, migration.id.text)
            throw Failure(.busy, what, why: use.sentence, remedy: use.remedy)
        }
        switch volume.state {
        case .active: break
        case .incoming, .retired, .former, .restoring:
            throw Failure(.refused, what, why: volume.objection.map { "it \($0)" })
        }
    }

    /// Throws why a volume must not be served now: also `.busy` where a guest, a replica or a mount has it.
    public static func checkUnused(
        _ name: VolumeName, of host: HostContext, besides users: ToleratedDomains = .none
    ) async throws {
        try await ServedLook(host).checkUnused(name, besides: users)
    }

    static func refuse(_ name: VolumeName, _ uses: [VolumeUse]) throws(Failure) {
        guard let first = uses.first else { return }
        throw Failure(
            .busy, "cannot serve the volume '\(name)'", why: uses.map(\.sentence).joined(separator: "; "),
            remedy: first.remedy)
    }

    /// The volume that a path leads to: its link, its LV or its file; nil where it is none.
    public static func name(of path: String, on host: HostContext) throws -> VolumeName? {
        guard let wanted = resolvedPath(path) else { return nil }
        for record in try host.database.volumes() {
            let volume = try record.volume()
            var places = [host.links.path(of: record.name), record.backing]
            switch volume.place {
            case .logicalVolume(let group, let name): places.append("/dev/\(group)/\(name)")
            case .file: places.append(volume.place.dataPath(of: record.name))
            case .attachment(let name): places.append(host.links.path(of: name))
            }
            if places.contains(where: { resolvedPath($0) == wanted }) { return record.name }
        }
        return nil
    }
}

/// The domains of this host that may have a volume as a disk while others see it.
public enum ToleratedDomains: Sendable, Equatable {
    case none
    /// The one that is to run on this host or on another.
    case one(DomainName)
    /// What is in it is made for several that write.
    case any

    func includes(_ use: VolumeUse) -> Bool {
        switch self {
        case .none: false
        case .one(let name): use.kind == .domain && use.name == name.text
        case .any: use.kind == .domain
        }
    }
}

/// One look at this host for any number of volumes that are to be served: LVM and Xen are asked once.
actor ServedLook {
    private let host: HostContext
    private var volumes: [VolumeName: Volume]?
    private var migrations: [OpenMigration] = []
    private var use: HostUse?

    init(_ host: HostContext) { self.host = host }

    /// As `ServedVolume.check`.
    @discardableResult
    func check(_ name: VolumeName) throws -> Volume? {
        if volumes == nil {
            migrations = try OpenMigration.all(in: host.database)
            volumes = Dictionary(try host.recordedVolumes().map { ($0.name, $0) }) { first, _ in first }
        }
        try ServedVolume.check(name, volumes?[name], migrations)
        return volumes?[name]
    }

    /// As `ServedVolume.checkUnused`.
    func checkUnused(_ name: VolumeName, besides users: ToleratedDomains) async throws {
        guard let volume = try check(name) else { return }
        if use == nil {
            use = try await host.currentUse(asksLVM: true, unlessActive: volumes.map { Array($0.values) })
        }
        guard let use else { return }
        let plain = try await LinkKeeper(host: host).plainDevice(volume)
        var linked: BlockDeviceNumber?
        if case .link(_, .device(_, let number)) = try host.links.read(name) { linked = number }
        let uses = try use.uses(of: name, at: volume.place, plain: plain, linked: linked, own: use.devices(of: volume))
        try ServedVolume.refuse(name, uses.filter { $0.kind != .snapshot && !users.includes($0) })
    }
}

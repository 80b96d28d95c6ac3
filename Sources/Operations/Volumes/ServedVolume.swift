import HostModel
import Hosts
import Migration
import Storage

/// Volumes that are served to other hosts.
public enum ServedVolume {
    /// Throws why a volume must not be served, by the journal alone: `.notFound`, `.busy` for one that a migration is at
    /// work on, `.refused` for an old copy and for one that is not complete.
    public static func check(_ name: VolumeName, in database: StateDatabase) throws {
        let what = "cannot serve the volume '\(name)'"
        guard let record = try database.volume(name) else {
            throw Failure(.notFound, what, why: "there is none of that name", remedy: "see 'xenlvs volume list'")
        }
        if let migration = try OpenMigration.all(in: database).first(where: { $0.volume(name) != nil }) {
            let use = VolumeUse(.migration, migration.id.text)
            throw Failure(.busy, what, why: use.sentence, remedy: use.remedy)
        }
        let volume = try record.volume()
        switch volume.state {
        case .active: break
        case .incoming, .retired: throw Failure(.refused, what, why: volume.state.objection.map { "it \($0)" })
        }
    }

    /// Throws why a volume must not be served now: also `.busy` where a guest, a replica or a mount has it.
    public static func checkUnused(_ name: VolumeName, of host: HostContext) async throws {
        try check(name, in: host.database)
        let uses = try await VolumeCatalog(host: host).volume(name).uses
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
            }
            if places.contains(where: { resolvedPath($0) == wanted }) { return record.name }
        }
        return nil
    }
}

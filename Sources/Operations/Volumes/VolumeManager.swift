import HostModel
import Hosts
import Migration
import Storage

/// Volumes on this host: made, taken over, listed, removed, and their links kept right.
public struct VolumeManager: Sendable {
    let host: HostContext
    let store: VolumeStore

    public init(host: HostContext) {
        self.host = host
        store = VolumeStore(runner: host.runner)
    }

    /// Makes a volume and its link. Throws where something of that name is there already.
    public func create(_ name: VolumeName, size: ByteCount, at place: VolumePlace) async throws -> Volume {
        if try record(of: name) != nil {
            throw Failure(.refused, "there is a volume '\(name)' already", remedy: "see 'xenlvs volume show \(name)'")
        }
        guard try await store.find(name, .data, at: place) == nil else {
            throw Failure(
                .refused, "there is something named '\(name)' at \(place) already",
                remedy: "take an LV over with 'xenlvs link set \(name) PATH', or choose another name")
        }
        guard case .absent = try host.links.read(name) else {
            throw Failure(
                .refused, "there is a link \(host.links.path(of: name)) already",
                remedy: "remove it, or choose another name")
        }
        let exact = try await exactSize(size, at: place)
        try await store.create(name, .data, at: place, size: exact, migration: nil)
        return try await takeIn(name, at: place)
    }

    /// Records an LV that was made by other means as the volume of its name, and sets the link.
    public func adopt(_ name: VolumeName, path: String) async throws -> Volume {
        let volumes = try LVMReport.volumes(try await host.runner.run(LVMCommands.listVolumes()).output)
        let number = try BlockDevice(at: path).number
        guard let found = volumes.first(where: { $0.device == number }) else {
            throw Failure(
                .refused, "\(path) is not a logical volume", why: "only an LV can be a volume",
                remedy: "make one with 'xenlvs volume create'")
        }
        guard found.reference.name == LogicalVolumeName(of: name) else {
            throw Failure(
                .refused, "cannot take \(found.reference) over as '\(name)'",
                why: "a volume has the name of its LV on every host",
                remedy: "use the name \(found.reference.name), or rename the LV with lvrename")
        }
        if let known = try record(of: name), known.state != .active {
            throw Failure(.refused, "the volume '\(name)' is recorded as \(known.state)")
        }
        return try await takeIn(name, at: .logicalVolume(group: found.reference.group, name: found.reference.name))
    }

    private func takeIn(_ name: VolumeName, at place: VolumePlace) async throws -> Volume {
        guard let found = try await store.find(name, .data, at: place) else {
            throw Failure(.failed, "the volume '\(name)' was made but is not there")
        }
        let volume = Volume(name: name, place: place, size: found.size, logicalVolumeUUID: found.uuid, state: .active)
        let device = try await store.device(name, .data, at: place)
        let backing: String =
            switch place {
            case .logicalVolume(let group, let lv): LogicalVolumeReference(group: group, name: lv).devicePath
            case .file(let directory): try FilePool(directory).path(of: name)
            }
        try host.database.put(VolumeRecord(name: name, body: try JSONText.encode(volume), backing: backing))
        try host.links.set(name, to: device)
        return volume
    }

    private func exactSize(_ size: ByteCount, at place: VolumePlace) async throws -> ByteCount {
        switch place {
        case .logicalVolume(let group, _): try await store.group(group).roundedUp(size)
        case .file: size.roundedUp(to: .kibibytes(4))
        }
    }

    /// The volume in the journal, or nil.
    public func record(of name: VolumeName) throws -> Volume? {
        try host.database.volume(name).map {
            try JSONText.decode(Volume.self, from: $0.body, what: "volume \(name) in the journal")
        }
    }

    /// Every volume in the journal.
    public func all() throws -> [Volume] {
        try host.database.volumes().map {
            try JSONText.decode(Volume.self, from: $0.body, what: "volume \($0.name) in the journal")
        }
    }
}

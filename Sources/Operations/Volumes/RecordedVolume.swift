import HostModel
import Hosts
import Storage

extension VolumeRecord {
    /// The volume that `body` holds. Throws `.inconsistent` where it cannot be read.
    func volume() throws -> Volume {
        try JSONText.decode(Volume.self, from: body, what: "volume \(name) in the journal")
    }
}

extension HostContext {
    /// Every volume in the journal, by name.
    func recordedVolumes() throws -> [Volume] { try database.volumes().map { try $0.volume() } }

    /// The volume as it stands in the journal, with what its link has to hold.
    func record(of volume: Volume) throws -> VolumeRecord {
        VolumeRecord(name: volume.name, body: try JSONText.encode(volume), backing: volume.backingPath)
    }

    /// Records the volume.
    func put(_ volume: Volume) throws { try database.put(try record(of: volume)) }

    /// The volume as the journal has it; nil where it knows none of that name.
    func recordedVolume(_ name: VolumeName) throws -> Volume? { try database.volume(name)?.volume() }
}

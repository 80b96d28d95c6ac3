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

    /// The volume as the journal has it; nil where it knows none of that name.
    func recordedVolume(_ name: VolumeName) throws -> Volume? { try database.volume(name)?.volume() }
}

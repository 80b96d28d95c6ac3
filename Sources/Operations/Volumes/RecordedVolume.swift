import Hosts
import Storage

extension VolumeRecord {
    /// The volume that `body` holds. Throws `.inconsistent` where it cannot be read.
    func volume() throws -> Volume {
        try JSONText.decode(Volume.self, from: body, what: "volume \(name) in the journal")
    }
}

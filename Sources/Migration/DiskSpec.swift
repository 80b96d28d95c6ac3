import HostModel

/// One disk of a guest: all that is agreed on of one that both hosts see, under the same name.
public struct DiskSpec: Sendable, Codable, Equatable {
    public var name: VolumeName
    /// The guest's name for the disk: `xvda`.
    public var device: String
    public var size: ByteCount

    public init(name: VolumeName, device: String, size: ByteCount) {
        self.name = name
        self.device = device
        self.size = size
    }
}

extension MigrationSpec {
    /// All disks of the guest, copied or shared.
    public var disks: [DiskSpec] {
        volumes.map { DiskSpec(name: $0.name, device: $0.device, size: $0.size) } + sharedDisks
    }
}

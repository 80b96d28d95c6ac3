import HostModel

/// The DRBD device over one volume on one host. A resource of its own, so that volumes sync and fail independently.
public struct ReplicaDevice: Sendable, Codable, Equatable {
    public var volume: VolumeName
    /// The number in `/dev/drbdN`.
    public var minor: Int
    /// The exact size of the volume; it is given at every attach, so that DRBD cannot shrink the disk silently.
    public var size: ByteCount
    /// The block device that holds the data.
    public var lowerPath: String
    /// The block device that holds DRBD's metadata.
    public var metadataPath: String

    public init(volume: VolumeName, minor: Int, size: ByteCount, lowerPath: String, metadataPath: String) {
        self.volume = volume
        self.minor = minor
        self.size = size
        self.lowerPath = lowerPath
        self.metadataPath = metadataPath
    }

    /// The DRBD resource's name, the same on both hosts.
    public var resource: String { Self.resource(of: volume) }
    /// The device that a guest uses.
    public var path: String { "/dev/drbd\(minor)" }

    public static func resource(of volume: VolumeName) -> String { resourcePrefix + volume.text }

    /// The volume whose replica has this resource name; nil for a resource that is not of xenlvs.
    public static func volume(ofResource resource: String) -> VolumeName? {
        guard resource.hasPrefix(resourcePrefix) else { return nil }
        return try? VolumeName(String(resource.dropFirst(resourcePrefix.count)))
    }

    static let resourcePrefix = "xenlvs-"
    /// DRBD's number of the device within its resource; there is only one.
    static let volumeNumber = 0
}

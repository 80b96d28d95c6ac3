import Domains
import HostModel
import Replication
import Storage

/// What a survey is asked about.
public struct SurveyQuery: Sendable, Codable, Equatable {
    public var domain: DomainName?
    public var volumes: [VolumeName]
    /// The ports that might be used, to be tried.
    public var address: String?

    public init(domain: DomainName?, volumes: [VolumeName], address: String? = nil) {
        self.domain = domain
        self.volumes = volumes
        self.address = address
    }
}

/// What a host is, has and uses, as far as a migration cares. Everything is read, nothing changed.
public struct HostSurvey: Sendable, Codable, Equatable {
    public var host: HostName
    public var version: String
    /// Nil where the host does not run under Xen; the reason stands in `obstacles`.
    public var xen: HostCapabilities?
    public var drbd: DRBDFacts
    /// The CPU's flags as Linux shows them.
    public var cpuFlags: Set<String>
    /// Milliseconds since 1970.
    public var clock: Int64
    public var groups: [GroupFacts]
    public var freeForImages: ByteCount
    public var numbers: NumbersInUse
    /// The names of all domains on the host.
    public var domains: [String]
    /// The asked-for domain's open migration, if there is one.
    public var openMigration: String?
    /// The configuration from which the asked-for domain could be started here, if there is one.
    public var configuration: String?
    /// What stands under the asked-for volumes' names.
    public var volumes: [VolumeFacts]
    /// Whether LVM keeps its hands off DRBD devices.
    public var lvmAcceptsDRBD: Bool
    /// What could not be found out, and why.
    public var obstacles: [Failure]
    /// The methods of migrating that this host's xenlvs knows; nil from one that knows only the first of them.
    public var methods: [String]?
}

public struct DRBDFacts: Sendable, Codable, Equatable {
    /// Nil where the module is not loaded.
    public var version: String?
    /// Whether the module can be loaded.
    public var isAvailable: Bool
    public var objections: [Failure]
}

public struct GroupFacts: Sendable, Codable, Equatable {
    public var name: VolumeGroupName
    public var free: ByteCount
    public var extentSize: ByteCount
    /// Whether its disks have a cache that has to be flushed; nil where some have, or that is not known.
    public var hasCache: Bool?

    init(name: VolumeGroupName, free: ByteCount, extentSize: ByteCount, hasCache: Bool? = nil) {
        self.name = name
        self.free = free
        self.extentSize = extentSize
        self.hasCache = hasCache
    }

    private enum CodingKeys: CodingKey { case name, free, extentSize, hasCache }

    /// Throws `.usage` for an extent size that LVM has not; volumes' sizes are divided by it.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.decode(VolumeGroupName.self, forKey: .name)
        free = try values.decode(ByteCount.self, forKey: .free)
        extentSize = try values.decode(ByteCount.self, forKey: .extentSize)
        hasCache = try values.decodeIfPresent(Bool.self, forKey: .hasCache)
        guard (1...1 << 44).contains(extentSize.bytes) else {
            throw Failure(.usage, "the volume group \(name) cannot have extents of \(extentSize.bytes) bytes")
        }
    }
}

/// What a host has under a volume's name.
public struct VolumeFacts: Sendable, Codable, Equatable {
    public var name: VolumeName
    /// The journal's record.
    public var record: Volume?
    /// What the link shows, or nil where there is none; and whether it leads to a device.
    public var link: String?
    public var linkIsWhole: Bool
    /// The size of what the link leads to.
    public var size: ByteCount?
    /// Whether a guest that starts on it is told to flush it.
    public var hasCache: Bool?
    /// Something that is no link stands in the link's place.
    public var isForeign: Bool
    /// The link leads to where the record says.
    public var linkMatchesRecord: Bool
    /// Volume groups that have an LV of this name.
    public var groups: [VolumeGroupName]
    /// Volume groups that have an LV where the metadata of its replica would be.
    public var metadataGroups: [VolumeGroupName] = []
    /// What would be lost with the content of an old copy: its snapshots and checkpoints; nil where it is none.
    var dependants: [VolumeUse]?
}

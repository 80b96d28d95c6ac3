import HostModel

/// How a guest is virtualized.
public enum DomainType: String, Sendable, Codable, CaseIterable {
    case pv, pvh, hvm
}

/// A guest's configuration as libxl keeps it: from `xl list -l`, or from the header of a saved image.
///
/// libxl writes it only when a creation or restore has ended (`domcreate_complete`). A paused domain that
/// `xl list` shows and `xl list -l` leaves out is therefore one whose restore still runs or was killed.
public struct DomainDescription: Sendable, Equatable {
    /// nil for a configuration from a saved image, and for Domain-0.
    public var id: DomainID?
    public var name: String
    /// nil for Domain-0.
    public var uuid: String?
    public var type: DomainType
    /// `maxmem`, to which the guest may balloon up.
    public var maximumMemory: ByteCount
    /// `memory`, what it is meant to have now.
    public var targetMemory: ByteCount
    /// What the configuration sets aside for paging structures; nil where libxl decides.
    public var pagingMemory: ByteCount?
    public var usesHardwarePaging: Bool
    public var virtualCPUs: Int
    /// Files in Domain-0 that a reboot of the guest needs. A restore does not: they may be missing on the target until
    /// the guest reboots there, and then it does not come back.
    public var bootFiles: [String]
    public var disks: [DomainDisk]
    public var interfaces: [DomainInterface]
    /// Why this guest cannot be saved or cannot be restored elsewhere, one sentence each.
    public var obstacles: [String]

    public init(
        id: DomainID? = nil, name: String, uuid: String? = nil, type: DomainType, maximumMemory: ByteCount,
        targetMemory: ByteCount, pagingMemory: ByteCount? = nil, usesHardwarePaging: Bool = true, virtualCPUs: Int,
        bootFiles: [String] = [], disks: [DomainDisk] = [], interfaces: [DomainInterface] = [],
        obstacles: [String] = []
    ) {
        self.id = id
        self.name = name
        self.uuid = uuid
        self.type = type
        self.maximumMemory = maximumMemory
        self.targetMemory = targetMemory
        self.pagingMemory = pagingMemory
        self.usesHardwarePaging = usesHardwarePaging
        self.virtualCPUs = virtualCPUs
        self.bootFiles = bootFiles
        self.disks = disks
        self.interfaces = interfaces
        self.obstacles = obstacles
    }
}

/// A disk as the guest's configuration names it.
public struct DomainDisk: Sendable, Equatable {
    /// The device in the guest: `xvda`.
    public var device: String
    /// `pdev_path`: what the configuration names, links unresolved; nil for an empty CD drive.
    public var path: String?
    /// `raw`, `qcow2`, …; nil where the configuration leaves it open.
    public var format: String?
    /// `phy`, `qdisk`, …; nil where libxl chose (`phy` for every block device).
    public var backend: String?
    public var writable: Bool
    public var removable: Bool
    public var isCDROM: Bool
    /// A hotplug script other than `block`.
    public var script: String?
    /// The domain that serves the disk, where it is not Domain-0.
    public var backendDomain: String?

    public init(
        device: String, path: String?, format: String? = "raw", backend: String? = nil, writable: Bool = true,
        removable: Bool = false, isCDROM: Bool = false, script: String? = nil, backendDomain: String? = nil
    ) {
        self.device = device
        self.path = path
        self.format = format
        self.backend = backend
        self.writable = writable
        self.removable = removable
        self.isCDROM = isCDROM
        self.script = script
        self.backendDomain = backendDomain
    }
}

/// A network interface, as far as a target must be able to carry it.
public struct DomainInterface: Sendable, Equatable {
    public var mac: String?
    /// The bridge that must exist on the target: without it the restore fails.
    public var bridge: String?

    public init(mac: String?, bridge: String?) {
        self.mac = mac
        self.bridge = bridge
    }
}

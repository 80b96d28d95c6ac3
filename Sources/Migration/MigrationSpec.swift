import HostModel
import Storage

/// Identifies a migration on both hosts: `web1-20261121-3f9a`, the domain, the day and four random hex digits.
public struct MigrationID: Hashable, Sendable, Codable, CustomStringConvertible {
    public let text: String

    /// Takes an identifier that came from an operator or another host. Throws a `.usage` failure.
    public init(_ text: String) throws {
        // It becomes part of file names, so it obeys the same rules as the names in them.
        guard DomainName.objection(to: text) == nil else {
            throw Failure(.usage, "'\(text.prefix(200))' is not a migration's identifier")
        }
        self.text = text
    }

    public init(domain: DomainName, day: String, random: UInt16) {
        let digits = String(random, radix: 16)
        text = "\(domain.text.prefix(60))-\(day)-\(String(repeating: "0", count: 4 - digits.count))\(digits)"
    }

    public init(from decoder: any Decoder) throws {
        try self.init(try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    public var description: String { text }
}

/// One of the two hosts of a migration.
public struct Endpoint: Sendable, Codable, Equatable {
    /// The name that the other host reaches it by.
    public var name: HostName
    /// The address DRBD uses, IPv4 or IPv6, numeric.
    public var address: String

    public init(name: HostName, address: String) {
        self.name = name
        self.address = address
    }

    private enum CodingKeys: CodingKey { case name, address }

    /// - Throws: `.usage` for an address that no IPv4 or IPv6 one looks like; whether it is one, DRBD's part decides.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.decode(HostName.self, forKey: .name)
        address = try values.decode(String.self, forKey: .address)
        guard !address.isEmpty, address.utf8.count < 46,
            address.utf8.allSatisfy("0123456789abcdefABCDEF.:".utf8.contains)
        else { throw Failure(.usage, "'\(address.prefix(100))' is not a numeric address") }
    }
}

/// One disk of the migration: the same name and size on both hosts.
public struct VolumeSpec: Sendable, Codable, Equatable {
    public var name: VolumeName
    /// The guest's name for the disk: `xvda`.
    public var device: String
    public var size: ByteCount
    public var sourcePlace: VolumePlace
    public var targetPlace: VolumePlace
    public var sourceMinor: Int
    public var targetMinor: Int
    /// The TCP port of this volume's replica, the same on both hosts.
    public var port: Int

    public init(
        name: VolumeName, device: String, size: ByteCount, sourcePlace: VolumePlace, targetPlace: VolumePlace,
        sourceMinor: Int, targetMinor: Int, port: Int
    ) {
        self.name = name
        self.device = device
        self.size = size
        self.sourcePlace = sourcePlace
        self.targetPlace = targetPlace
        self.sourceMinor = sourceMinor
        self.targetMinor = targetMinor
        self.port = port
    }
}

/// Everything that both hosts must know of a migration; fixed once it has begun.
public struct MigrationSpec: Sendable, Codable, Equatable {
    public var id: MigrationID
    public var domain: DomainName
    /// Xen's UUID of the domain: a domain of the same name that is another one is never touched.
    public var uuid: String
    public var memory: ByteCount
    public var source: Endpoint
    public var target: Endpoint
    /// The disks that are copied; none where they are shared.
    public var volumes: [VolumeSpec]
    /// The disks that both hosts see.
    public var sharedDisks: [DiskSpec]
    public var plan: MigrationPlan
    /// Compare every block of the replicas, not only the tail, before handing over.
    public var verifies: Bool
    /// The limit of the resynchronisation, per second.
    public var bandwidth: ByteCount?
    /// Remove the source's volumes at the end.
    public var removesSource: Bool

    public init(
        id: MigrationID, domain: DomainName, uuid: String, memory: ByteCount, source: Endpoint, target: Endpoint,
        volumes: [VolumeSpec], sharedDisks: [DiskSpec] = [], plan: MigrationPlan, verifies: Bool,
        bandwidth: ByteCount?, removesSource: Bool
    ) {
        self.id = id
        self.domain = domain
        self.uuid = uuid
        self.memory = memory
        self.source = source
        self.target = target
        self.volumes = volumes
        self.sharedDisks = sharedDisks
        self.plan = plan
        self.verifies = verifies
        self.bandwidth = bandwidth
        self.removesSource = removesSource
    }

    private enum CodingKeys: CodingKey {
        case id, domain, uuid, memory, source, target, volumes, sharedDisks, plan, verifies, bandwidth, removesSource
    }

    /// Reads what another host sends, or the journal has. Throws `.usage` for what no migration can be.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        id = try values.decode(MigrationID.self, forKey: .id)
        domain = try values.decode(DomainName.self, forKey: .domain)
        uuid = try values.decode(String.self, forKey: .uuid)
        memory = try values.decode(ByteCount.self, forKey: .memory)
        source = try values.decode(Endpoint.self, forKey: .source)
        target = try values.decode(Endpoint.self, forKey: .target)
        volumes = try values.decode([VolumeSpec].self, forKey: .volumes)
        sharedDisks = try values.decodeIfPresent([DiskSpec].self, forKey: .sharedDisks) ?? []
        plan = try values.decode(MigrationPlan.self, forKey: .plan)
        verifies = try values.decode(Bool.self, forKey: .verifies)
        bandwidth = try values.decodeIfPresent(ByteCount.self, forKey: .bandwidth)
        removesSource = try values.decode(Bool.self, forKey: .removesSource)
        if let why = objection {
            throw Failure(.usage, "the description of migration \(id) cannot be right", why: why)
        }
    }

    /// Without shared disks as earlier versions read it.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(id, forKey: .id)
        try values.encode(domain, forKey: .domain)
        try values.encode(uuid, forKey: .uuid)
        try values.encode(memory, forKey: .memory)
        try values.encode(source, forKey: .source)
        try values.encode(target, forKey: .target)
        try values.encode(volumes, forKey: .volumes)
        if !sharedDisks.isEmpty { try values.encode(sharedDisks, forKey: .sharedDisks) }
        try values.encode(plan, forKey: .plan)
        try values.encode(verifies, forKey: .verifies)
        try values.encodeIfPresent(bandwidth, forKey: .bandwidth)
        try values.encode(removesSource, forKey: .removesSource)
    }
}

/// The side of a migration that a host is on.
public enum Role: String, Sendable, Codable {
    case source, target

    public var peer: Role { self == .source ? .target : .source }
}

extension MigrationSpec {
    public func endpoint(_ role: Role) -> Endpoint { role == .source ? source : target }
}

extension VolumeSpec {
    public func place(_ role: Role) -> VolumePlace { role == .source ? sourcePlace : targetPlace }
    public func minor(_ role: Role) -> Int { role == .source ? sourceMinor : targetMinor }
}

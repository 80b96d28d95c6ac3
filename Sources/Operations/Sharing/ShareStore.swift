import FoundationEssentials
import HostModel
import Hosts

/// A domain whose disks this host serves to others, so that it can run there too.
public struct ShareRecord: Sendable, Equatable, Codable {
    public enum Way: String, Sendable, Codable, CaseIterable { case iscsi, aoe }

    public var domain: DomainName
    public var way: Way
    /// The other hosts, by the names that ssh reaches them by.
    public var hosts: [HostName]
    public var volumes: [VolumeName]
    /// Those whose exports are not of the share's making: they stay when it ends.
    public var exportedBefore: [VolumeName]
    /// What it has changed in those over iSCSI; nil in records of earlier versions, which did not tell.
    public var additions: [ShareAddition]?
    /// Guests on several hosts may write to them at the same time: nil for no.
    public var hasClusterFileSystem: Bool?
    /// The domain may run on this host too; nil for no.
    public var runsHere: Bool?

    /// What of this host's domains may have the volumes while others see them.
    var users: ToleratedDomains { hasClusterFileSystem == true ? .any : .one(domain) }

    public init(
        domain: DomainName, way: Way, hosts: [HostName], volumes: [VolumeName], exportedBefore: [VolumeName] = [],
        hasClusterFileSystem: Bool? = nil, runsHere: Bool? = nil
    ) {
        self.domain = domain
        self.way = way
        self.hosts = hosts
        self.volumes = volumes
        self.exportedBefore = exportedBefore
        self.hasClusterFileSystem = hasClusterFileSystem
        self.runsHere = runsHere
    }
}

/// The file with this host's shares, replaced as a whole.
struct ShareStore: Sendable {
    private let path: String

    init(_ paths: Paths) { path = paths.state + "/shares.json" }

    /// Throws `.inconsistent` for a file that cannot be read.
    func all() throws -> [ShareRecord] {
        guard let text = KernelFile.read(path) else { return [] }
        return try JSONText.decode([ShareRecord].self, from: text, what: path)
    }

    /// Throws `.notFound`.
    func record(_ domain: DomainName) throws -> ShareRecord {
        guard let record = try all().first(where: { $0.domain == domain }) else {
            throw Failure(
                .notFound, "the disks of '\(domain)' are not shared by this host",
                remedy: "see 'xenlvs shares'; a share is ended on the host that has the volumes")
        }
        return record
    }

    /// When it returns, the record (0600) survives a power cut.
    func save(_ record: ShareRecord) throws {
        try replace(try all().filter { $0.domain != record.domain } + [record])
    }

    func remove(_ domain: DomainName) throws { try replace(try all().filter { $0.domain != domain }) }

    private func replace(_ records: [ShareRecord]) throws {
        try DurableFile.replace(path, with: Array(try JSONText.encode(records.sorted { $0.domain < $1.domain }).utf8))
    }
}

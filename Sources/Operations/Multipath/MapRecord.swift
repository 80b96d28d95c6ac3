import DeviceMapper
import FoundationEssentials
import Glibc
import HostModel
import Hosts
import Storage

/// How a map of xenlvs's uses its paths.
public struct MapPolicy: Sendable, Equatable, Codable {
    public enum Grouping: String, Sendable, Codable, CaseIterable {
        /// All paths at the same time.
        case together
        /// One path at a time, in the order of the disks' numbers.
        case failover
    }

    public enum Failback: String, Sendable, Codable, CaseIterable {
        /// An earlier path is used again as soon as it is back.
        case immediate
        /// The path in use stays until it fails.
        case manual
    }

    public var selector: PathSelector
    public var grouping: Grouping
    public var failback: Failback
    /// How long requests wait where no path is left, before they fail. 0: not at all. Never for ever: whoever waits cannot
    /// be ended.
    public var noPathSeconds: Int

    public static let noPathLimits = 0...3600

    public init(
        selector: PathSelector = .serviceTime, grouping: Grouping = .together, failback: Failback = .immediate,
        noPathSeconds: Int = 60
    ) {
        self.selector = selector
        self.grouping = grouping
        self.failback = failback
        self.noPathSeconds = noPathSeconds
    }

    /// The line of the table. While nobody checks paths nothing may wait for one: the checker asks the kernel for that.
    func target(over paths: [BlockDeviceNumber]) -> MultipathTarget {
        let groups =
            switch grouping {
            case .together: [MultipathTarget.Group(selector, paths)]
            case .failover: paths.map { MultipathTarget.Group(selector, [$0]) }
            }
        return MultipathTarget(queuesWithoutPath: false, groups: groups)
    }
}

/// A map that xenlvs makes and keeps itself, in a file of its own: what checks paths reads it without the journal.
public struct MapRecord: Sendable, Equatable, Codable {
    public var name: VolumeName
    public var wwid: String
    public var policy: MapPolicy
    /// It belongs to the attachment of its name; else an operator has made it.
    public var isOfAttachment: Bool

    public init(name: VolumeName, wwid: String, policy: MapPolicy, isOfAttachment: Bool) {
        self.name = name
        self.wwid = wwid
        self.policy = policy
        self.isOfAttachment = isOfAttachment
    }

    var identity: MappedIdentity { .ofMap(name, wwid: wwid) }
}

/// The files with the records, each replaced as a whole.
struct MapStore: Sendable {
    private let records: RecordDirectory<MapRecord>

    init(_ paths: Paths) { records = RecordDirectory(path: paths.state + "/multipath") { $0.name.text } }

    /// Every record, by name. Throws `.inconsistent` for a file that is none.
    func all() throws -> [MapRecord] {
        let all = try records.all()
        for record in all
        where !MapPolicy.noPathLimits.contains(record.policy.noPathSeconds) || !Self.isPlain(record.wwid) {
            throw Failure(.inconsistent, "\(records.file(of: record.name.text)) holds no map that can be")
        }
        return all
    }

    func record(_ name: VolumeName) throws -> MapRecord? { try all().first { $0.name == name } }

    /// When it returns, the record (0600) survives a power cut.
    func save(_ record: MapRecord) throws { try records.save(record) }

    func remove(_ name: VolumeName) throws { try DurableFile.remove(records.file(of: name.text)) }

    /// It becomes part of device-mapper's UUID, which has room for 128 characters.
    private static func isPlain(_ wwid: String) -> Bool {
        (16...64).contains(wwid.utf8.count) && wwid.allSatisfy(\.isHexDigit)
    }
}

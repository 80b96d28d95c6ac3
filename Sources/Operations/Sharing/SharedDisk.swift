import HostModel

/// By what a disk is known on every host that sees it.
public enum SharedIdentity: Sendable, Hashable, Codable, CustomStringConvertible {
    /// SCSI's device identification, as `multipath` and `xenlvs exports` show it.
    case wwid(String)
    /// The serial number of an AoE target.
    case serial(String)

    public var description: String {
        switch self {
        case .wwid(let text): "WWID \(text)"
        case .serial(let text): "serial number \(text)"
        }
    }
}

/// One of a domain's disks as one host has it.
public struct SharedDisk: Sendable, Equatable, Codable {
    public enum Kind: String, Sendable, Codable {
        /// A volume of this host, which serves it to others.
        case exported
        /// A disk of another host.
        case attached
        /// A volume of this host that nobody else sees.
        case local
        /// There is none of that name.
        case absent
    }

    public var name: VolumeName
    public var kind: Kind
    /// What it is known by; several where it is served over several protocols.
    public var identities: [SharedIdentity]
    /// Nil where its device is not there.
    public var size: ByteCount?
    /// Whether a guest is told to flush it; nil where that is not known.
    public var hasCache: Bool?
    /// Why it cannot be used now; nil where its link leads to it and a path is up.
    public var why: String?
    public var remedy: String?

    public init(
        name: VolumeName, kind: Kind, identities: [SharedIdentity] = [], size: ByteCount? = nil, hasCache: Bool? = nil,
        why: String? = nil, remedy: String? = nil
    ) {
        self.name = name
        self.kind = kind
        self.identities = identities
        self.size = size
        self.hasCache = hasCache
        self.why = why
        self.remedy = remedy
    }
}

/// What one host says of the disks of a domain, and of the domain.
public struct SharedDisks: Sendable, Equatable, Codable {
    public var host: HostName
    public var disks: [SharedDisk]
    /// A domain of that name is there, in whatever state.
    public var hasDomain: Bool
    /// It is started when the host is (`/etc/xen/auto`).
    public var startsAtBoot: Bool

    public init(host: HostName, disks: [SharedDisk], hasDomain: Bool, startsAtBoot: Bool = false) {
        self.host = host
        self.disks = disks
        self.hasDomain = hasDomain
        self.startsAtBoot = startsAtBoot
    }
}

/// Whether two or more hosts see the same disks under the same names.
public enum SharedStorage: Sendable, Equatable {
    /// They do: the domain can run on any of them, and on one at a time.
    case shared
    /// At least one disk is not on every host, or only there: the domain's disks have to be moved.
    case apart(why: String)
    /// All of them are meant to be shared, and something is wrong with one.
    case broken(host: HostName, why: String, remedy: String?)

    /// Pure. The first host is the one whose disks count: what it has for its own alone is not shared, whatever others have.
    public init(_ hosts: [SharedDisks]) {
        guard let first = hosts.first, hosts.count > 1, !first.disks.isEmpty else {
            self = .apart(why: "there are no disks to share")
            return
        }
        for disk in first.disks {
            let views = hosts.map { host in
                (host.host, host.disks.first { $0.name == disk.name } ?? SharedDisk(name: disk.name, kind: .absent))
            }
            if let verdict = Self.judge(disk.name, views) {
                self = verdict
                return
            }
        }
        self = .shared
    }

    /// Nil where it is the same disk everywhere.
    private static func judge(_ name: VolumeName, _ views: [(host: HostName, disk: SharedDisk)]) -> SharedStorage? {
        if let other = views.first(where: { $0.disk.kind == .absent }) {
            return .apart(why: "\(other.host) has no '\(name)'")
        }
        if let other = views.first(where: { $0.disk.kind == .local }) {
            return .apart(why: "'\(name)' on \(other.host) is a volume of its own, which it does not serve")
        }
        // Two hosts that each serve a volume have two volumes, also where a copied volume group gives them one identity.
        let exporters = views.filter { $0.disk.kind == .exported }
        if exporters.count > 1 {
            let names = exporters.map(\.host.text).joined(separator: " and ")
            return .apart(why: "\(names) each have a volume '\(name)' of their own")
        }
        if let wrong = views.first(where: { $0.disk.why != nil }) {
            return .broken(host: wrong.host, why: "'\(name)': \(wrong.disk.why ?? "")", remedy: wrong.disk.remedy)
        }
        let (first, rest) = (views[0], views.dropFirst())
        for other in rest where Set(other.disk.identities).isDisjoint(with: first.disk.identities) {
            func words(_ disk: SharedDisk) -> String {
                disk.identities.isEmpty ? "none" : disk.identities.map(\.description).joined(separator: ", ")
            }
            return .broken(
                host: other.host,
                why: "'\(name)' is another disk: \(words(other.disk)), on \(first.host) \(words(first.disk))",
                remedy: "see 'xenlvs attachments' there, and what is exported")
        }
        if let other = rest.first(where: { $0.disk.size != first.disk.size || $0.disk.size == nil }) {
            return .broken(
                host: other.host,
                why:
                    "'\(name)' has \(other.disk.size?.bytes ?? 0) bytes, on \(first.host) \(first.disk.size?.bytes ?? 0)",
                remedy: "'xenlvs attachments --revalidate \(name)' there takes a new size over")
        }
        // A Linux guest learns it at its start alone: what does not flush loses data with a power cut, and what does gets
        // nothing but I/O errors where that is not taken.
        if let had = first.disk.hasCache, let other = rest.first(where: { ($0.disk.hasCache ?? had) != had }) {
            return .broken(
                host: other.host,
                why: "a guest is told to flush '\(name)' on \((had ? views[0] : other).host), and not to on "
                    + "\((had ? other : views[0]).host)",
                remedy:
                    "over AoE 'xenlvs unshare' and 'xenlvs share' anew put it right; else shut the guest down, and start "
                    + "it there")
        }
        return nil
    }
}

/// A disk's first and last MiB as read from the device itself: a number for each block of 4 KiB, that differs where the bytes
/// do. It keeps mistakes out, and no host that lies.
public struct DiskEdges: Sendable, Equatable, Codable {
    public var first: [UInt64]
    public var last: [UInt64]

    public init(first: [UInt64], last: [UInt64]) {
        self.first = first
        self.last = last
    }

    public static let length = 1 << 20
    public static let blockLength = 4096
}

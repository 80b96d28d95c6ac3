import HostModel

/// What the kernel serves at a moment, whoever made it.
public struct LIOSnapshot: Sendable, Equatable {
    /// Whether there is the directory of iSCSI targets.
    public var hasFabric = false
    /// The host bus adapters, by path: `core/iblock_0`.
    public var adapters: Set<String> = []
    /// By path: `core/iblock_0/vol1`.
    public var devices: [String: LIODevice] = [:]
    /// By name.
    public var targets: [String: LIOTarget] = [:]
    public var discovery = LIOAuthentication()
    public var enforcesDiscovery = false

    public init() {}
}

/// A backstore.
public struct LIODevice: Sendable, Equatable {
    public var isEnabled = false
    public var devicePath = ""
    public var serial = ""
    public var isThin = false
    /// Nil where the kernel does not say.
    public var isReadOnly: Bool?
    /// `253:3`; nil while it is not enabled.
    public var deviceNumber: String?

    public init() {}
}

public struct LIOTarget: Sendable, Equatable {
    /// By name: `tpgt_1`.
    public var groups: [String: LIOPortalGroup] = [:]

    public init() {}

    /// The sessions on all groups.
    public var sessions: [TargetSession] {
        groups.values.flatMap { $0.initiators.values.compactMap(\.session) }.sorted { $0.initiator < $1.initiator }
    }
}

public struct LIOPortalGroup: Sendable, Equatable {
    public var isEnabled = false
    /// By path: `attrib/authentication`.
    public var settings: [String: String] = [:]
    /// As the directories are named: `10.0.0.1:3260`.
    public var portals: Set<String> = []
    /// By name, `lun_1`: links to devices by their names.
    public var luns: [String: [String: String]] = [:]
    /// By name.
    public var initiators: [String: LIOInitiator] = [:]

    public init() {}
}

/// An access control entry.
public struct LIOInitiator: Sendable, Equatable {
    public var authentication = LIOAuthentication()
    /// By name, `lun_1`.
    public var luns: [String: LIOMappedLUN] = [:]
    public var session: TargetSession?

    public init() {}
}

public struct LIOMappedLUN: Sendable, Equatable {
    /// Links to LUNs of the group by their names.
    public var links: [String: String] = [:]
    public var isWriteProtected = false

    public init() {}
}

/// An initiator that is logged in. The kernel tells of one session for each initiator, the latest.
public struct TargetSession: Sendable, Equatable, Codable {
    public var initiator: String
    /// `10.0.0.2`, as the kernel prints them.
    public var addresses: [String]

    public init(initiator: String, addresses: [String]) {
        self.initiator = initiator
        self.addresses = addresses
    }
}

/// User names and secrets that the kernel has; compared, never shown.
public struct LIOAuthentication: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// By file name; what is not set is left out.
    private(set) var values: [String: String] = [:]

    public init() {}

    static let files = ["userid", "password", "userid_mutual", "password_mutual"]

    /// Takes what a file says. The kernel takes `NULL` for nothing.
    mutating func take(_ text: String?, from file: String) {
        guard let text, !text.isEmpty, !text.hasPrefix("NULL") else { return }
        values[file] = text
    }

    /// The writes below `path` that lead from this to `credentials`; none of them shows a secret.
    func writes(to credentials: CHAPCredentials?, below path: String) -> [KernelWrite] {
        let accounts = [("", credentials?.initiator), ("_mutual", credentials?.target)]
        return accounts.flatMap { suffix, account -> [KernelWrite] in
            let (user, password) = ("userid\(suffix)", "password\(suffix)")
            guard let account else {
                return [user, password].filter { values[$0] != nil }.map { .write("NULL", to: "\(path)/\($0)") }
            }
            var writes: [KernelWrite] = []
            if values[user] != account.user { writes.append(.write(account.user, to: "\(path)/\(user)")) }
            if values[password] != account.secret.text {
                writes.append(.writeSecret(account.secret, to: "\(path)/\(password)"))
            }
            return writes
        }
    }

    public var description: String { values.isEmpty ? "none" : "[secret]" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

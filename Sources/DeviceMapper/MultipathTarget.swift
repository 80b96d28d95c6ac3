import HostModel
import Storage

/// How requests are spread over the paths of a group (Documentation/admin-guide/device-mapper/dm-{queue-length,service-time}.rst).
public enum PathSelector: String, Sendable, Codable, CaseIterable {
    case roundRobin = "round-robin"
    /// To the path with the fewest requests under way.
    case queueLength = "queue-length"
    /// To the path that is expected to be done first.
    case serviceTime = "service-time"

    /// What stands behind each path in the table: how many requests in a row, and a path's weight.
    var pathArguments: String {
        switch self {
        case .roundRobin, .queueLength: "1"
        case .serviceTime: "1 1"
        }
    }

    var argumentCount: Int { pathArguments.split(separator: " ").count }
}

/// A line `multipath` of a device-mapper table, as far as xenlvs makes such (dm-mpath.c, `multipath_ctr`).
public struct MultipathTarget: Hashable, Sendable {
    /// Paths that are used together. The next group is used when the ones before it have no path left.
    public struct Group: Hashable, Sendable {
        public var selector: PathSelector
        public var paths: [BlockDeviceNumber]

        public init(_ selector: PathSelector, _ paths: [BlockDeviceNumber]) {
            self.selector = selector
            self.paths = paths
        }
    }

    /// Requests wait while no path is left, instead of failing.
    public var queuesWithoutPath: Bool
    public var groups: [Group]

    public init(queuesWithoutPath: Bool, groups: [Group]) {
        self.queuesWithoutPath = queuesWithoutPath
        self.groups = groups
    }

    public var paths: [BlockDeviceNumber] { groups.flatMap(\.paths) }

    /// `1 queue_if_no_path 0 1 1 service-time 0 2 2 8:0 1 1 8:16 1 1`: features, hardware handlers, groups, the first one.
    var parameters: String {
        let features = queuesWithoutPath ? "1 queue_if_no_path" : "0"
        return
            (["\(features) 0 \(groups.count) 1"]
            + groups.map { group in
                let head = "\(group.selector.rawValue) 0 \(group.paths.count) \(group.selector.argumentCount)"
                return ([head] + group.paths.map { "\($0) \(group.selector.pathArguments)" }).joined(separator: " ")
            }).joined(separator: " ")
    }

    /// Reads what the kernel prints. Which group it uses at the moment is no part of it. Nil for what xenlvs makes no tables
    /// with.
    init?(parameters: String) {
        var words = WordReader(parameters)
        guard let features = words.counted(), features.isEmpty || features == ["queue_if_no_path"],
            words.counted() == [], let count = words.number(), words.number() != nil, (1...64).contains(count)
        else { return nil }
        queuesWithoutPath = !features.isEmpty
        groups = []
        for _ in 0..<count {
            guard let selector = words.next().flatMap({ PathSelector(rawValue: String($0)) }), words.counted() == [],
                let paths = words.count(upTo: 1024), let arguments = words.number(),
                arguments == selector.argumentCount
            else { return nil }
            var group = Group(selector, [])
            for _ in 0..<paths {
                guard let device = words.next().flatMap(BlockDeviceNumber.init(parsing:)),
                    words.take(arguments)?.joined(separator: " ") == selector.pathArguments
                else { return nil }
                group.paths.append(device)
            }
            groups.append(group)
        }
        guard words.isAtEnd else { return nil }
    }
}

/// How the kernel has the paths of a map (dm-mpath.c, `multipath_status`).
public struct MultipathStatus: Hashable, Sendable {
    public struct Path: Hashable, Sendable {
        public var device: BlockDeviceNumber
        /// It is used; the kernel stops that after the first error, and nobody but its checker begins it again.
        public var isActive: Bool
        public var failures: Int

        public init(device: BlockDeviceNumber, isActive: Bool, failures: Int) {
            self.device = device
            self.isActive = isActive
            self.failures = failures
        }
    }

    public struct Group: Hashable, Sendable {
        public enum State: String, Hashable, Sendable, Codable { case active, enabled, disabled }
        public var state: State
        public var paths: [Path]

        public init(state: State, paths: [Path]) {
            self.state = state
            self.paths = paths
        }
    }

    public var groups: [Group]

    public init(groups: [Group]) { self.groups = groups }

    public var paths: [Path] { groups.flatMap(\.paths) }

    /// Reads the parameters of `dmsetup status`. Nil for anything else.
    public init?(parameters: String) {
        var words = WordReader(parameters)
        guard words.counted() != nil, words.counted() != nil, let count = words.count(upTo: 1024),
            words.number() != nil
        else { return nil }
        groups = []
        for _ in 0..<count {
            guard let letter = words.next(), let state = Self.states[letter], words.counted() != nil,
                let paths = words.count(upTo: 1024), let arguments = words.number()
            else { return nil }
            var group = Group(state: state, paths: [])
            for _ in 0..<paths {
                guard let device = words.next().flatMap(BlockDeviceNumber.init(parsing:)), let letter = words.next(),
                    let failures = words.count(upTo: .max), words.take(arguments) != nil, letter == "A" || letter == "F"
                else { return nil }
                group.paths.append(Path(device: device, isActive: letter == "A", failures: failures))
            }
            groups.append(group)
        }
    }

    private static let states: [Substring: Group.State] = ["A": .active, "E": .enabled, "D": .disabled]
}

/// What is said to a map that lives (dm-mpath.c, `multipath_message`).
public enum MultipathMessage: Hashable, Sendable, CustomStringConvertible {
    case failPath(BlockDeviceNumber)
    case reinstatePath(BlockDeviceNumber)
    /// Requests without a path wait, or fail.
    case queueIfNoPath
    case failIfNoPath
    /// Groups count from 1.
    case switchGroup(Int)

    public var description: String {
        switch self {
        case .failPath(let device): "fail_path \(device)"
        case .reinstatePath(let device): "reinstate_path \(device)"
        case .queueIfNoPath: "queue_if_no_path"
        case .failIfNoPath: "fail_if_no_path"
        case .switchGroup(let number): "switch_group \(number)"
        }
    }
}

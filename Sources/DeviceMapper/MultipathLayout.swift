import Storage

/// A line `multipath` of a device-mapper table, whoever has made it (dm-mpath.c, `multipath_status`): those of multipathd have
/// words that xenlvs's own, `MultipathTarget`, never have.
public struct MultipathLayout: Hashable, Sendable {
    public struct Group: Hashable, Sendable {
        /// How requests are spread over its paths, as the kernel names it: `service-time`.
        public var selector: String
        public var paths: [BlockDeviceNumber]

        public init(selector: String, paths: [BlockDeviceNumber]) {
            self.selector = selector
            self.paths = paths
        }
    }

    /// Each with its value, where it has one: `queue_if_no_path`, `pg_init_retries 50`.
    public var features: [String]
    /// What tells the storage which path is used: `alua`; nil where nothing has to.
    public var hardwareHandler: String?
    /// In the order in which the kernel tries them.
    public var groups: [Group]

    /// Reads what the kernel prints. Nil for anything else.
    public init?(parameters: String) {
        var words = WordReader(parameters)
        // The last number is the group in use, which the status tells as well.
        guard let features = words.counted(), let handler = words.counted(), let count = words.count(upTo: 1024),
            words.number() != nil
        else { return nil }
        self.features = Self.features(features)
        hardwareHandler = handler.isEmpty ? nil : handler.joined(separator: " ")
        groups = []
        for _ in 0..<count {
            guard let selector = words.next(), words.counted() != nil, let paths = words.count(upTo: 1024),
                let arguments = words.number()
            else { return nil }
            var group = Group(selector: String(selector), paths: [])
            for _ in 0..<paths {
                guard let device = words.next().flatMap(BlockDeviceNumber.init(parsing:)), words.take(arguments) != nil
                else { return nil }
                group.paths.append(device)
            }
            groups.append(group)
        }
        guard words.isAtEnd else { return nil }
    }

    /// Those behind which a value stands (dm-mpath.c, `parse_features`).
    private static let valued: Set<String> = ["pg_init_retries", "pg_init_delay_msecs", "queue_mode"]

    private static func features(_ words: [Substring]) -> [String] {
        words.reduce(into: []) { features, word in
            if let last = features.last, valued.contains(last) {
                features[features.count - 1] = "\(last) \(word)"
            } else {
                features.append(String(word))
            }
        }
    }
}

extension MappingTable {
    /// The paths, where the whole of it is a map over some, whoever has made it.
    public var multipathLayout: MultipathLayout? {
        guard targets.count == 1, targets[0].type == "multipath" else { return nil }
        return MultipathLayout(parameters: targets[0].parameters)
    }
}

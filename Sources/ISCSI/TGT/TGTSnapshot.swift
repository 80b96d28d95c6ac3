import HostModel

/// What tgt's daemon serves at a moment, whoever made it. Its secrets it tells nobody.
public struct TGTSnapshot: Sendable, Equatable {
    public struct Unit: Sendable, Equatable {
        public var lun: Int64
        /// As the daemon lists them: `SCSI ID`, `Backing store path`.
        public var values: [String: String] = [:]
    }

    public struct Session: Sendable, Equatable {
        public var number: UInt64
        public var initiator = ""
        public var connections: [UInt32] = []
        public var addresses: [String] = []
    }

    /// A CHAP user that is bound to a target.
    public struct User: Sendable, Hashable {
        public var name: String
        /// As whom the target proves itself.
        public var isOutgoing: Bool
    }

    public struct Target: Sendable, Equatable {
        public var number: Int32
        public var name: String
        public var sessions: [Session] = []
        /// With LUN 0, which is the daemon's own.
        public var units: [Unit] = []
        public var users: [User] = []
        /// Initiators' names and addresses.
        public var rules: [String] = []
    }

    public var targets: [Target] = []
    public var accounts: [String] = []
    /// `10.0.0.1:3260`, without the group's tag.
    public var portals: [String] = []

    public init() {}

    /// The orders that are answered with what `init` reads.
    public static let questions = (
        targets: TGTOrder.show(.target), accounts: TGTOrder.show(.account), portals: TGTOrder.show(.portal)
    )

    /// Whether one of a target's disks is the device.
    public func serves(_ path: String, in target: Target) -> Bool {
        target.disks.contains { $0.values["Backing store path"] == path }
    }

    /// Reads what the daemon answers to the three questions.
    public init(targets: String, accounts: String, portals: String) throws(Failure) {
        var section = ""
        for line in targets.split(separator: "\n") {
            do throws(Failure) { try take(line, &section) } catch {
                throw Failure(.failed, "cannot read what tgtd serves", why: "'\(line.prefix(100))' is not understood")
            }
        }
        self.accounts = accounts.split(separator: "\n").dropFirst().map { String($0.drop { $0 == " " }) }
        self.portals = portals.split(separator: "\n").compactMap { line in
            // `Portal: 10.0.0.1:3260,1`.
            line.hasPrefix("Portal: ") ? String(line.dropFirst(8).prefix { $0 != "," }) : nil
        }
    }

    private mutating func take(_ line: Substring, _ section: inout String) throws(Failure) {
        let text = line.drop { $0 == " " }
        let parts = text.split(separator: ": ", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let value = parts.count == 2 ? parts[1] : ""
        switch line.count - text.count {
        case 0:
            let words = parts[0].split(separator: " ")
            guard words.first == "Target", words.count == 2, let number = Int32(words[1]) else {
                throw Failure(.failed, "")
            }
            self.targets.append(Target(number: number, name: value))
        case 4: section = parts[0].hasSuffix(":") ? String(parts[0].dropLast()) : parts[0]
        default:
            guard let last = self.targets.indices.last else { throw Failure(.failed, "") }
            try self.targets[last].take(section, String(text), parts[0], value)
        }
    }
}

extension TGTSnapshot.Target {
    fileprivate mutating func take(
        _ section: String, _ text: String, _ key: String, _ value: String
    ) throws(Failure) {
        switch section {
        case "I_T nexus information": try sessions.take(key, value)
        case "LUN information":
            if key == "LUN" {
                guard let lun = Int64(value) else { throw Failure(.failed, "") }
                units.append(TGTSnapshot.Unit(lun: lun))
            } else if let last = units.indices.last {
                units[last].values[key] = value
            }
        case "Account information":
            let suffix = " (outgoing)"
            let isOutgoing = text.hasSuffix(suffix)
            users.append(
                TGTSnapshot.User(
                    name: isOutgoing ? String(text.dropLast(suffix.count)) : text, isOutgoing: isOutgoing))
        case "ACL information": rules.append(text)
        default: break
        }
    }

    /// The disks; LUN 0 is the daemon's controller.
    var disks: [TGTSnapshot.Unit] { units.filter { $0.values["Type"] != "controller" } }
}

extension [TGTSnapshot.Session] {
    fileprivate mutating func take(_ key: String, _ value: String) throws(Failure) {
        if key == "I_T nexus" {
            guard let number = UInt64(value) else { throw Failure(.failed, "") }
            append(TGTSnapshot.Session(number: number))
        }
        guard let last = indices.last else { return }
        switch key {
        case "Initiator": self[last].initiator = String(value.prefix { $0 != " " })
        case "Connection":
            guard let number = UInt32(value) else { throw Failure(.failed, "") }
            self[last].connections.append(number)
        case "IP Address": self[last].addresses.append(value)
        default: break
        }
    }
}

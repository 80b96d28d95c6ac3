import HostModel

extension ReplicaStatus {
    /// Reads what `drbdsetup events2 --now --statistics` prints, of 8.4 and 9 alike.
    ///
    /// Format (`print_notifications`, `drbdsetup_events2.c`): a line each, `exists OBJECT key:value ...`, with the
    /// objects resource, connection, device, peer-device (and path, helper: not used), and `exists -` at the end.
    /// Amounts are KiB. Unknown objects and keys are passed over: newer versions add some.
    /// - Returns: the resources by name.
    /// - Throws: `.inconsistent` where the text is cut short or not in this form.
    public static func parse(events2 text: String) throws(Failure) -> [ReplicaStatus] {
        var statuses: [String: ReplicaStatus] = [:]
        var isComplete = false
        for line in text.split(whereSeparator: \.isNewline) {
            if line == "exists -" {
                isComplete = true
                continue
            }
            guard let event = EventLine(line) else { throw unreadable(line) }
            guard apply(event, to: &statuses) else { throw unreadable(line) }
        }
        guard isComplete else { throw unreadable("a list without its last line, 'exists -'") }
        return statuses.values.sorted { $0.resource < $1.resource }
    }

    /// The one resource out of the same text; nil where DRBD does not know it.
    public static func parse(events2 text: String, resource: String) throws(Failure) -> ReplicaStatus? {
        try parse(events2: text).first { $0.resource == resource }
    }

    /// Takes a line in; false where it lacks what its kind must have.
    private static func apply(_ event: EventLine, to statuses: inout [String: ReplicaStatus]) -> Bool {
        switch event.object {
        case "resource":
            guard let status = ReplicaStatus(event) else { return false }
            statuses[status.resource] = status
        case "device":
            guard let name = event["name"], let volume = Volume(event) else { return false }
            return statuses[name]?.volumes.append(volume) != nil
        case "connection":
            guard let name = event["name"], let connection = Connection(event) else { return false }
            return statuses[name]?.connections.append(connection) != nil
        case "peer-device":
            guard let name = event["name"], let peer = PeerVolume(event), let node = event.integer("peer-node-id"),
                let index = statuses[name]?.connections.firstIndex(where: { $0.peerNodeID == node })
            else { return false }
            statuses[name]?.connections[index].peers.append(peer)
        default: break
        }
        return true
    }

    private static func unreadable(_ line: some StringProtocol) -> Failure {
        Failure(
            .inconsistent, "cannot read DRBD's status", why: "not understood: \(line.prefix(200))",
            remedy: "compare with 'drbdsetup events2 --now --statistics'")
    }
}

/// One line of `events2`.
private struct EventLine {
    let object: Substring
    private let values: [Substring: Substring]

    init?(_ line: Substring) {
        let words = line.split(separator: " ")
        guard words.count >= 2, words[0] == "exists" else { return nil }
        object = words[1]
        let pairs = words.dropFirst(2).map { $0.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false) }
        guard pairs.allSatisfy({ $0.count == 2 }) else { return nil }
        values = Dictionary(pairs.map { ($0[0], $0[1]) }, uniquingKeysWith: { first, _ in first })
    }

    subscript(key: Substring) -> String? { values[key].map(String.init) }

    func integer(_ key: Substring) -> Int? { values[key].flatMap { Int($0) } }

    func word<Word: KernelWord>(_ key: Substring) -> Word? { values[key].map { Word(word: $0) } }

    /// An amount in KiB. The kernel's "not known" is all ones, far beyond any device.
    func amount(_ key: Substring) -> ByteCount? {
        guard let count = values[key].flatMap({ Int64($0) }), count >= 0, count <= Int64.max >> 10 else { return nil }
        return .kibibytes(count)
    }
}

extension ReplicaStatus {
    fileprivate init?(_ event: EventLine) {
        guard let name = event["name"], let role: ReplicaRole = event.word("role") else { return nil }
        self.init(
            resource: name, role: role, suspended: event["suspended"] ?? "unknown", volumes: [], connections: [])
    }
}

extension ReplicaStatus.Volume {
    fileprivate init?(_ event: EventLine) {
        guard let number = event.integer("volume"), let minor = event.integer("minor"),
            let disk: DiskState = event.word("disk")
        else { return nil }
        self.init(
            number: number, minor: minor, disk: disk, size: event.amount("size"), read: event.amount("read"),
            written: event.amount("written"), hasQuorum: event["quorum"].map { $0 == "yes" })
    }
}

extension ReplicaStatus.Connection {
    fileprivate init?(_ event: EventLine) {
        guard let node = event.integer("peer-node-id"), let state: ConnectionState = event.word("connection"),
            let role: ReplicaRole = event.word("role")
        else { return nil }
        self.init(
            peerNodeID: node, state: state, peerRole: role, congested: event["congested"] == "yes", peers: [])
    }
}

extension ReplicaStatus.PeerVolume {
    fileprivate init?(_ event: EventLine) {
        guard let number = event.integer("volume"), let replication: ReplicationState = event.word("replication"),
            let disk: DiskState = event.word("peer-disk")
        else { return nil }
        self.init(
            number: number, replication: replication, disk: disk,
            resyncSuspended: event["resync-suspended"] ?? "unknown", received: event.amount("received"),
            sent: event.amount("sent"), outOfSync: event.amount("out-of-sync"),
            percentDone: event["done"].flatMap { Double($0) })
    }
}

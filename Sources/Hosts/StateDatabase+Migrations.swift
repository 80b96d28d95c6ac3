import GRDB
import HostModel

/// One migration as a host's journal has it. `spec`, `machine` and events are JSON that the upper modules encode.
public struct MigrationRecord: Sendable, Equatable {
    public enum Role: String, Sendable, Codable { case source, target }

    public var id: String
    public var domain: String
    public var role: Role
    /// Counts the runs that have driven this migration; a message of an older run is refused.
    public var epoch: Int64
    public var spec: String
    public var machine: String
    /// The commit decision stands.
    public var decided: Bool
    public var isOpen: Bool
    /// Milliseconds since 1970.
    public var created: Int64
    public var updated: Int64

    public init(
        id: String, domain: String, role: Role, epoch: Int64, spec: String, machine: String, decided: Bool,
        isOpen: Bool, created: Int64, updated: Int64
    ) {
        self.id = id
        self.domain = domain
        self.role = role
        self.epoch = epoch
        self.spec = spec
        self.machine = machine
        self.decided = decided
        self.isOpen = isOpen
        self.created = created
        self.updated = updated
    }
}

extension StateDatabase {
    /// Takes a new migration in, with the DRBD numbers it holds here. Throws `.busy` where its domain has an open one or
    /// a number is taken.
    /// - Parameter check: is given the recorded volumes, in the same transaction; what it throws undoes everything.
    public func insert(
        _ record: MigrationRecord, minors: [Int], ports: [Int], unless check: ([VolumeRecord]) throws -> Void = { _ in }
    ) throws {
        try write { database in
            try Self.requireNoOpenMigration(of: record.domain, in: database)
            try check(try Self.volumes(in: database))
            try database.execute(
                sql: """
                    INSERT INTO migration (id, domain, role, epoch, spec, machine, decided, open, created, updated)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    record.id, record.domain, record.role.rawValue, record.epoch, record.spec, record.machine,
                    record.decided, record.isOpen, record.created, record.updated,
                ])
            for (kind, numbers) in [("minor", minors), ("port", ports)] {
                for number in numbers {
                    try Self.allocate(kind, number, owner: record.id, in: database)
                }
            }
        }
    }

    /// Throws `.busy` where the domain has a migration that is not finished.
    public func requireNoOpenMigration(of domain: DomainName) throws {
        try read { try Self.requireNoOpenMigration(of: domain.text, in: $0) }
    }

    private static func requireNoOpenMigration(of domain: String, in database: Database) throws {
        guard
            let id = try String.fetchOne(
                database, sql: "SELECT id FROM migration WHERE domain = ? AND open = 1", arguments: [domain])
        else { return }
        throw Failure(
            .busy, "the domain \(domain) is being migrated already", why: "migration \(id) is not finished",
            remedy: "see 'xenlvs migration status \(id)'; resume or abort it first")
    }

    static func allocate(_ kind: String, _ number: Int, owner: String, in database: Database) throws {
        if let other = try String.fetchOne(
            database, sql: "SELECT owner FROM allocation WHERE kind = ? AND number = ?", arguments: [kind, number])
        {
            throw Failure(
                .busy, "the DRBD \(kind) \(number) is taken", why: "\(other) holds it", remedy: "try again")
        }
        try database.execute(
            sql: "INSERT INTO allocation (kind, number, owner) VALUES (?, ?, ?)", arguments: [kind, number, owner])
    }

    /// Writes the machine's state, the decision (once made it is not taken back by this) and events, in one transaction.
    public func update(
        _ id: String, machine: String, decided: Bool, isOpen: Bool, at time: Int64,
        events: [(sequence: Int, body: String)] = []
    ) throws {
        try write { database in
            try Self.append(events, to: id, in: database)
            try database.execute(
                sql: """
                    UPDATE migration SET machine = ?, decided = max(decided, ?), open = ?, updated = ? WHERE id = ?
                    """,
                arguments: [machine, decided, isOpen, time, id])
            if !isOpen {
                try database.execute(sql: "DELETE FROM allocation WHERE owner = ?", arguments: [id])
            }
        }
    }

    /// Records the decision, and with it the volumes that are the guest's disks from then on.
    public func decide(_ id: String, volumes: [VolumeRecord], at time: Int64) throws {
        try write { database in
            try database.execute(
                sql: "UPDATE migration SET decided = 1, updated = ? WHERE id = ?", arguments: [time, id])
            for volume in volumes { try Self.put(volume, in: database) }
        }
    }

    /// Takes a decision back: the host that the domain belonged to is lost for good.
    public func takeDecisionBack(_ id: String) throws {
        try write { try $0.execute(sql: "UPDATE migration SET decided = 0 WHERE id = ?", arguments: [id]) }
    }

    /// Raises the epoch to `epoch`. Throws `.refused` where the journal has seen a later run already.
    public func raiseEpoch(of id: String, to epoch: Int64) throws {
        try write { database in
            guard
                let known = try Int64.fetchOne(
                    database, sql: "SELECT epoch FROM migration WHERE id = ?", arguments: [id])
            else { throw Self.unknownMigration(id) }
            if known > epoch {
                throw Failure(
                    .refused, "an order of an old run of migration \(id) was refused",
                    why: "run \(known) has taken over from run \(epoch)")
            }
            if known < epoch {
                try database.execute(sql: "UPDATE migration SET epoch = ? WHERE id = ?", arguments: [epoch, id])
            }
        }
    }

    /// The migration with this identifier. Throws `.notFound`.
    public func migration(_ id: String) throws -> MigrationRecord {
        guard let record = try migrations(where: "id = ?", [id]).first else { throw Self.unknownMigration(id) }
        return record
    }

    /// All migrations, or the open ones, the newest first.
    public func migrations(openOnly: Bool = false) throws -> [MigrationRecord] {
        try migrations(where: openOnly ? "open = 1" : "1", [])
    }

    private func migrations(where condition: String, _ arguments: StatementArguments) throws -> [MigrationRecord] {
        try read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM migration WHERE \(condition) ORDER BY created DESC, id",
                arguments: arguments
            ).map(Self.record)
        }
    }

    static func openMigrations(in database: Database) throws -> [MigrationRecord] {
        try Row.fetchAll(database, sql: "SELECT * FROM migration WHERE open = 1 ORDER BY created DESC, id").map(record)
    }

    private static func record(_ row: Row) throws -> MigrationRecord {
        guard let role = MigrationRecord.Role(rawValue: row["role"]) else {
            throw Failure(.inconsistent, "the journal holds a migration of an unknown role")
        }
        return MigrationRecord(
            id: row["id"], domain: row["domain"], role: role, epoch: row["epoch"], spec: row["spec"],
            machine: row["machine"], decided: row["decided"], isOpen: row["open"], created: row["created"],
            updated: row["updated"])
    }

    private static func unknownMigration(_ id: String) -> Failure {
        Failure(
            .notFound, "there is no migration '\(id)' in this host's journal", remedy: "see 'xenlvs migration list'")
    }

    /// Adds events to a migration's history. An event that is there already, by its sequence number, is left alone.
    private static func append(
        _ events: [(sequence: Int, body: String)], to id: String, in database: Database
    ) throws {
        for event in events {
            try database.execute(
                sql: "INSERT OR IGNORE INTO event (migration, sequence, body) VALUES (?, ?, ?)",
                arguments: [id, event.sequence, event.body])
        }
    }

    /// A migration's history in order.
    public func events(of id: String) throws -> [(sequence: Int, body: String)] {
        try read { database in
            try Row.fetchAll(
                database, sql: "SELECT sequence, body FROM event WHERE migration = ? ORDER BY sequence", arguments: [id]
            ).map { ($0["sequence"], $0["body"]) }
        }
    }

    /// Bytes of a migration's history.
    public func historyLength(of id: String) throws -> Int {
        try read { database in
            try Int.fetchOne(
                database, sql: "SELECT sum(length(CAST(body AS BLOB))) FROM event WHERE migration = ?", arguments: [id])
                ?? 0
        }
    }

    /// The minors and ports that are held on this host.
    public func allocations() throws -> (minors: Set<Int>, ports: Set<Int>) {
        try read { database in
            func numbers(_ kind: String) throws -> Set<Int> {
                Set(try Int.fetchAll(database, sql: "SELECT number FROM allocation WHERE kind = ?", arguments: [kind]))
            }
            return (try numbers("minor"), try numbers("port"))
        }
    }
}

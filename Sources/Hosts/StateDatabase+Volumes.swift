import GRDB
import HostModel

/// A volume as the journal has it: `body` is the volume as JSON, `backing` the path that its link must show.
public struct VolumeRecord: Sendable, Equatable {
    public var name: VolumeName
    public var body: String
    public var backing: String

    public init(name: VolumeName, body: String, backing: String) {
        self.name = name
        self.body = body
        self.backing = backing
    }
}

extension StateDatabase {
    /// Writes a volume, new or known. Throws `.refused` where an attachment has its name.
    public func put(_ volume: VolumeRecord) throws {
        try write { try Self.put(volume, in: $0) }
    }

    /// Writes a volume and takes a DRBD minor for `owner`, in one transaction.
    /// - Parameter check: is given the open migrations; what it throws undoes everything. Throws `.busy` where the minor is
    ///   taken.
    public func put(
        _ volume: VolumeRecord, holding minor: Int, as owner: String, unless check: ([MigrationRecord]) throws -> Void
    ) throws {
        try write { database in
            try check(try Self.openMigrations(in: database))
            try database.execute(sql: "DELETE FROM allocation WHERE owner = ?", arguments: [owner])
            try Self.allocate("minor", minor, owner: owner, in: database)
            try Self.put(volume, in: database)
        }
    }

    /// Writes volumes in one transaction.
    /// - Parameter check: is given the open migrations; what it throws undoes everything.
    public func put(_ volumes: [VolumeRecord], unless check: ([MigrationRecord]) throws -> Void) throws {
        try write { database in
            try check(try Self.openMigrations(in: database))
            for volume in volumes { try Self.put(volume, in: database) }
        }
    }

    /// Gives back every number that `owner` holds.
    public func release(_ owner: String) throws {
        try write { try $0.execute(sql: "DELETE FROM allocation WHERE owner = ?", arguments: [owner]) }
    }

    static func put(_ volume: VolumeRecord, in database: Database) throws {
        try requireNoAttachment(volume.name, in: database)
        try database.execute(
            sql: """
                INSERT INTO volume (name, body, backing) VALUES (?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET body = excluded.body, backing = excluded.backing
                """,
            arguments: [volume.name.text, volume.body, volume.backing])
    }

    public func volume(_ name: VolumeName) throws -> VolumeRecord? {
        try volumes().first { $0.name == name }
    }

    /// Every volume, by name.
    public func volumes() throws -> [VolumeRecord] {
        try read { try Self.volumes(in: $0) }
    }

    static func volumes(in database: Database) throws -> [VolumeRecord] {
        try Row.fetchAll(database, sql: "SELECT * FROM volume ORDER BY name").map { row in
            VolumeRecord(name: try VolumeName(row["name"]), body: row["body"], backing: row["backing"])
        }
    }

    public func removeVolume(_ name: VolumeName) throws {
        try write { try $0.execute(sql: "DELETE FROM volume WHERE name = ?", arguments: [name.text]) }
    }
}

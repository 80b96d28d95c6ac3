import GRDB
import HostModel

/// An attachment as the journal has it: `body` is the attachment as JSON.
public struct AttachmentRecord: Sendable, Equatable {
    public var name: VolumeName
    /// The target's: `e1.0`. No two attachments have the same.
    public var address: String
    public var body: String

    public init(name: VolumeName, address: String, body: String) {
        self.name = name
        self.address = address
        self.body = body
    }
}

extension StateDatabase {
    /// Takes a new attachment in. Throws `.refused` where a volume or an attachment has its name, or another attachment
    /// its address.
    public func insert(_ attachment: AttachmentRecord) throws {
        try write { database in
            try Self.requireNoAttachment(attachment.name, in: database)
            let names = try String.fetchAll(
                database, sql: "SELECT name FROM volume WHERE name = ?", arguments: [attachment.name.text])
            guard names.isEmpty else {
                throw Failure(
                    .refused, "there is a volume '\(attachment.name)' already",
                    remedy: "see 'xenlvs volume show \(attachment.name)'")
            }
            if let other = try String.fetchOne(
                database, sql: "SELECT name FROM attachment WHERE address = ?", arguments: [attachment.address])
            {
                throw Failure(
                    .refused, "\(attachment.address) is attached already", why: "it is the attachment '\(other)'",
                    remedy: "see 'xenlvs attachments'")
            }
            try database.execute(
                sql: "INSERT INTO attachment (name, address, body) VALUES (?, ?, ?)",
                arguments: [attachment.name.text, attachment.address, attachment.body])
        }
    }

    /// Writes what is known of an attachment that is there. Throws `.notFound` where it is not.
    public func update(_ attachment: AttachmentRecord) throws {
        try write { database in
            try database.execute(
                sql: "UPDATE attachment SET body = ? WHERE name = ? AND address = ?",
                arguments: [attachment.body, attachment.name.text, attachment.address])
            guard database.changesCount == 1 else {
                throw Failure(.notFound, "the attachment '\(attachment.name)' was removed meanwhile")
            }
        }
    }

    /// Every attachment, by name.
    public func attachments() throws -> [AttachmentRecord] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM attachment ORDER BY name").map { row in
                AttachmentRecord(name: try VolumeName(row["name"]), address: row["address"], body: row["body"])
            }
        }
    }

    public func removeAttachment(_ name: VolumeName) throws {
        try write { try $0.execute(sql: "DELETE FROM attachment WHERE name = ?", arguments: [name.text]) }
    }

    /// Throws `.refused` where an attachment has this name.
    static func requireNoAttachment(_ name: VolumeName, in database: Database) throws {
        guard
            let address = try String.fetchOne(
                database, sql: "SELECT address FROM attachment WHERE name = ?", arguments: [name.text])
        else { return }
        throw Failure(
            .refused, "there is an attachment '\(name)' already", why: "it is the target \(address)",
            remedy: "see 'xenlvs attachments'")
    }
}

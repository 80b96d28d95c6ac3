import Foundation
import GRDB
import HostModel
import Testing

@testable import Hosts

@Suite("The state database")
struct StateDatabaseTests {
    @Test("Every commit is synced to the disk: the library's own choice for this mode would lose them in a power cut")
    func durability() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "state-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = directory.appending(path: "state.db").path
        // A new file, and one that is there.
        for _ in 1...2 {
            let database = try StateDatabase(path: path)
            let (mode, synchronous) = try database.queue.inDatabase {
                (
                    try String.fetchOne($0, sql: "PRAGMA journal_mode"),
                    try Int.fetchOne($0, sql: "PRAGMA synchronous")
                )
            }
            #expect(mode == "wal")
            #expect(synchronous == 2, "a commit is not synced (0 OFF, 1 NORMAL, 2 FULL)")
        }
    }

    /// The tables as version 0.1.0 made them, before there were attachments, with a row in each.
    private static let versionOne = """
        CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
        INSERT INTO grdb_migrations VALUES ('1');
        CREATE TABLE migration (
            id TEXT PRIMARY KEY, domain TEXT NOT NULL, role TEXT NOT NULL, epoch INTEGER NOT NULL,
            spec TEXT NOT NULL, machine TEXT NOT NULL, decided INTEGER NOT NULL DEFAULT 0,
            open INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX migration_of_domain ON migration (domain) WHERE open = 1;
        CREATE TABLE event (
            migration TEXT NOT NULL REFERENCES migration (id), sequence INTEGER NOT NULL,
            body TEXT NOT NULL, PRIMARY KEY (migration, sequence)
        ) STRICT;
        CREATE TABLE volume (name TEXT PRIMARY KEY, body TEXT NOT NULL, backing TEXT NOT NULL) STRICT;
        CREATE TABLE allocation (
            kind TEXT NOT NULL, number INTEGER NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (kind, number)
        ) STRICT;
        INSERT INTO migration VALUES ('web1-20261121-0001', 'web1', 'source', 3, '{}', '{}', 1, 1, 10, 20);
        INSERT INTO event VALUES ('web1-20261121-0001', 1, '{"some":"event"}');
        INSERT INTO volume VALUES ('web1', '{"some":"volume"}', '/dev/vg0/web1');
        INSERT INTO allocation VALUES ('minor', 7, 'web1-20261121-0001');
        """

    @Test("A journal of the first version keeps everything that it has, and takes attachments then")
    func migrated() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "state-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = directory.appending(path: "state.db").path
        do {
            let old = try DatabaseQueue(path: path)
            try old.write { try $0.execute(sql: Self.versionOne) }
            try old.close()
        }
        let database = try StateDatabase(path: path)
        let migration = try database.migration("web1-20261121-0001")
        #expect(migration.decided && migration.isOpen && migration.epoch == 3 && migration.updated == 20)
        #expect(try database.events(of: migration.id).map(\.body) == ["{\"some\":\"event\"}"])
        #expect(try database.volumes().map(\.backing) == ["/dev/vg0/web1"])
        #expect(try database.allocations().minors == [7])
        #expect(try database.attachments().isEmpty)

        let attachment = AttachmentRecord(name: try VolumeName("far"), address: "e1.0", body: "{}")
        try database.insert(attachment)
        let again = try StateDatabase(path: path)
        #expect(try again.attachments() == [attachment])
        // One address, one attachment; one name, one attachment or volume.
        for (name, address) in [("near", "e1.0"), ("far", "e1.1"), ("web1", "e1.1")] {
            let other = AttachmentRecord(name: try VolumeName(name), address: address, body: "{}")
            #expect(throws: Failure.self) { try again.insert(other) }
        }
        #expect(throws: Failure.self) {
            try again.put(VolumeRecord(name: try VolumeName("far"), body: "{}", backing: "/dev/vg0/far"))
        }
        try again.removeAttachment(attachment.name)
        #expect(throws: Failure.self) { try again.update(attachment) }
        #expect(try database.attachments().isEmpty)
    }
}

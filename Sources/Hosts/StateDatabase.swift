import GRDB
import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// This host's durable memory: migrations and their journals, volumes, replicas, and the numbers they hold.
///
/// SQLite in WAL mode with `synchronous=FULL`: when a write returns it survives a power cut. A file that fails SQLite's own
/// check is never used or mended; everything that would change the host refuses until it is put right.
public final class StateDatabase: Sendable {
    let queue: DatabaseQueue
    public let path: String

    /// Opens or creates the database at `path` (0600, its directory 0700).
    public init(path: String) throws {
        self.path = path
        do {
            try Self.prepare(path)
            var configuration = GRDB.Configuration()
            configuration.journalMode = .wal
            // Two processes of this host may write at once: different migrations, or an agent beside a coordinator.
            configuration.busyMode = .timeout(10)
            queue = try DatabaseQueue(path: path, configuration: configuration)
            // Only now: GRDB sets NORMAL when it turns WAL on (Database.setUpWALMode), after `prepareDatabase`. With NORMAL
            // a commit is not synced, and a power cut takes back what the journal has promised.
            try queue.inDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            try queue.read { database in
                let verdict = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
                guard verdict == "ok" else { throw Self.damaged(path, verdict) }
            }
            try Self.migrator.migrate(queue)
        } catch {
            throw Self.explained(error, path: path)
        }
    }

    private static func prepare(_ path: String) throws {
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        try PrivateDirectory.prepare(directory)
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw Failure(.failed, "cannot open \(path)", why: String(cString: strerror(errno)))
        }
        defer { close(file) }
        // SQLite syncs the names of the files that it makes; this one it finds. Whoever wrote into it has been here before
        // and synced its name, so only an empty one may be new.
        var status = stat()
        guard fstat(file, &status) == 0 else {
            throw Failure(.failed, "cannot look at \(path)", why: String(cString: strerror(errno)))
        }
        if status.st_size == 0 { try DurableFile.synchronise(directory: directory) }
        // Before SQLite opens it: its other files get the mode of this one (findCreateFileMode, os_unix.c).
        guard fchmod(file, 0o600) == 0 else {
            throw Failure(.failed, "cannot protect \(path)", why: String(cString: strerror(errno)))
        }
        for suffix in ["-wal", "-shm"] where chmod(path + suffix, 0o600) != 0 && errno != ENOENT {
            throw Failure(.failed, "cannot protect \(path)\(suffix)", why: String(cString: strerror(errno)))
        }
    }

    /// An error of SQLite as a failure with a remedy.
    static func explained(_ error: any Error, path: String) -> Failure {
        if let failure = error as? Failure { return failure }
        guard let database = error as? DatabaseError else { return Failure(error, doing: "cannot use \(path)") }
        let words = database.message ?? "SQLite error \(database.resultCode.rawValue)"
        switch database.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return damaged(path, words)
        case .SQLITE_FULL:
            return Failure(
                .failed, "cannot write \(path)", why: "the file system is full", remedy: "free some space and resume")
        case .SQLITE_BUSY:
            return Failure(.busy, "cannot write \(path)", why: "another process holds it", remedy: "try again")
        default: return Failure(.failed, "cannot use \(path)", why: words)
        }
    }

    private static func damaged(_ path: String, _ words: String) -> Failure {
        Failure(
            .inconsistent, "the journal \(path) is damaged", why: words,
            remedy: "nothing is changed while it cannot be read: see 'A damaged journal' in operations.md")
    }

    /// Runs `body` in one durable transaction.
    func write<Value>(_ body: (Database) throws -> Value) throws -> Value {
        do { return try queue.write(body) } catch { throw Self.explained(error, path: path) }
    }

    func read<Value>(_ body: (Database) throws -> Value) throws -> Value {
        do { return try queue.read(body) } catch { throw Self.explained(error, path: path) }
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(
                sql: """
                    CREATE TABLE migration (
                        id TEXT PRIMARY KEY, domain TEXT NOT NULL, role TEXT NOT NULL, epoch INTEGER NOT NULL,
                        spec TEXT NOT NULL, machine TEXT NOT NULL, decided INTEGER NOT NULL DEFAULT 0,
                        open INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL
                    ) STRICT;
                    -- One migration of a domain at a time, whichever side this host is on.
                    CREATE UNIQUE INDEX migration_of_domain ON migration (domain) WHERE open = 1;
                    CREATE TABLE event (
                        migration TEXT NOT NULL REFERENCES migration (id), sequence INTEGER NOT NULL,
                        body TEXT NOT NULL, PRIMARY KEY (migration, sequence)
                    ) STRICT;
                    CREATE TABLE volume (
                        name TEXT PRIMARY KEY, body TEXT NOT NULL, backing TEXT NOT NULL
                    ) STRICT;
                    -- DRBD minors and ports that a migration or a lasting replica holds on this host.
                    CREATE TABLE allocation (
                        kind TEXT NOT NULL, number INTEGER NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (kind, number)
                    ) STRICT;
                    """)
        }
        migrator.registerMigration("2") { database in
            try database.execute(
                sql: """
                    -- Devices of other hosts that are in use here: the name of the link, and the target's address.
                    CREATE TABLE attachment (
                        name TEXT PRIMARY KEY, address TEXT NOT NULL UNIQUE, body TEXT NOT NULL
                    ) STRICT;
                    """)
        }
        return migrator
    }
}

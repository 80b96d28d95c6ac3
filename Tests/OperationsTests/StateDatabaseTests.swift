import Foundation
import GRDB
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
}

import Foundation
import Testing

@Suite("A journal or a configuration that cannot be read")
struct JournalTests {
    private static let journal = "/var/lib/xenlvs/state.db"

    private func damaged() throws -> Root {
        let root = try Root()
        // What a journal of this version looks like, with its first page overwritten.
        #expect(try root.xenlvs("volume", "list").status == 0)
        let path = root.path + Self.journal
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        try Data(repeating: 0x5a, count: 8192).write(to: URL(fileURLWithPath: path))
        return root
    }

    @Test(
        "Everything that needs a damaged journal refuses, says so, and leaves it alone",
        arguments: [
            ["volume", "list"], ["volume", "create", "web1", "--size", "1M", "--vg", "vg0"],
            ["volume", "remove", "web1"], ["link", "show"], ["link", "repair"], ["migration", "list"],
            ["recover"], ["migration", "resolve", "web1-20261121-0001", "--fenced", "nodeb"],
            ["migration", "resume", "web1-20261121-0001"], ["migrate", "web1", "--to", "nodeb"],
            ["migrate", "web1", "--to", "nodeb", "--dry-run"], ["replica", "status"],
        ])
    func refuses(_ words: [String]) throws {
        let root = try damaged()
        let before = try Data(contentsOf: URL(fileURLWithPath: root.path + Self.journal))
        let run = try Product.run(words, root: root)
        #expect(run.status == 4)
        #expect(run.errors.contains("state.db is damaged"))
        #expect(run.output.isEmpty)
        #expect(try Data(contentsOf: URL(fileURLWithPath: root.path + Self.journal)) == before)
    }

    @Test("The doctor reports a damaged journal as what blocks")
    func doctor() throws {
        let run = try damaged().xenlvs("doctor", "--format", "json")
        #expect(run.status == 1)
        #expect(run.output.contains("is damaged"))
        #expect(run.output.contains("\"blocking\""))
    }

    @Test("A configuration with an unknown key is a usage error that names the key")
    func configuration() throws {
        let root = try Root()
        try "volumegroup: vg1\n".write(
            toFile: root.path + "/etc/xenlvs/xenlvs.yaml", atomically: true, encoding: .utf8)
        let run = try root.xenlvs("volume", "list")
        #expect(run.status == 64)
        #expect(run.errors.contains("'volumegroup'"))
        #expect(!root.exists(Self.journal))
    }

    @Test("A journal is made where there is none, for root alone")
    func made() throws {
        let root = try Root()
        #expect(try root.xenlvs("migration", "list").status == 0)
        let attributes = try FileManager.default.attributesOfItem(atPath: root.path + Self.journal)
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
    }
}

import Foundation
import HostModel
import Testing

@testable import Operations

@Suite("Files and findings")
struct FilesAndFindingsTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let path =
            FileManager.default.temporaryDirectory.path + "/xenlvs-operations-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("A configuration file is written whole, never over another, and replaced where that is wanted")
    func configurationFile() throws {
        try withDirectory { directory in
            let path = directory + "/web1.cfg"
            try ConfigurationFile.write("one\n", to: path, replacing: false)
            #expect(text(path) == "one\n")
            #expect(throws: Failure.self) { try ConfigurationFile.write("two\n", to: path, replacing: false) }
            #expect(text(path) == "one\n")
            try ConfigurationFile.write("two\n", to: path, replacing: true)
            #expect(text(path) == "two\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["web1.cfg"])
        }
    }

    @Test("What is no regular file is never replaced")
    func noFile() throws {
        try withDirectory { directory in
            let path = directory + "/web1.cfg"
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: directory + "/else")
            #expect(throws: Failure.self) { try ConfigurationFile.write("x", to: path, replacing: true) }
            #expect(!FileManager.default.fileExists(atPath: directory + "/else"))
        }
    }

    @Test("The journal's files are 0600 while it is open")
    func journal() throws {
        let target = try TargetHost()
        let directory = target.root + "/state"
        let files = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("state.db") }
        #expect(files.sorted() == ["state.db", "state.db-shm", "state.db-wal"])
        for file in files {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(file)")
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        }
    }

    @Test("Findings come with the worst first, each once")
    func order() throws {
        let host = try HostName("nodea")
        let fine = Finding(.fine, host, "a")
        let warning = Finding(.warning, host, "b")
        let blocking = Finding(.blocking, host, "c")
        #expect(Doctor.sorted([fine, warning, blocking, warning]) == [blocking, warning, fine])
    }
}

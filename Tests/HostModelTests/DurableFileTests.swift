import Foundation
import Testing

@testable import HostModel

@Suite("Files that survive a power cut")
struct DurableFileTests {
    private let directory = NSTemporaryDirectory() + "xenlvs-durable-" + UUID().uuidString

    private func inDirectory(_ body: (String) throws -> Void) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory + "/list.json")
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    private func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: directory) }

    @Test("A file is made and replaced as a whole, 0600, with nothing left beside it")
    func replaced() throws {
        try inDirectory { path in
            let long = [UInt8](repeating: 7, count: 300_000)
            for bytes in [long, Array("two".utf8), []] {
                try DurableFile.replace(path, with: bytes)
                #expect(FileManager.default.contents(atPath: path) == Data(bytes))
                #expect(mode(path) == 0o600)
                #expect(try names() == ["list.json"])
            }
        }
    }

    @Test("What an interrupted run has left beside it, its mode or a link, is not written to")
    func leftOver() throws {
        try inDirectory { path in
            let victim = directory + "/victim"
            try Data("mine".utf8).write(to: URL(filePath: victim))
            try FileManager.default.createSymbolicLink(atPath: path + ".new", withDestinationPath: victim)
            try DurableFile.replace(path, with: Array("one".utf8))
            #expect(FileManager.default.contents(atPath: victim) == Data("mine".utf8))
            try Data("half".utf8).write(to: URL(filePath: path + ".new"))
            try #require(chmod(path + ".new", 0o666) == 0)
            try DurableFile.replace(path, with: Array("two".utf8))
            #expect(FileManager.default.contents(atPath: path) == Data("two".utf8))
            #expect(mode(path) == 0o600)
        }
    }

    @Test("Where it cannot be stored the former file stays, and the failure names the path")
    func failing() throws {
        try inDirectory { path in
            try DurableFile.replace(path, with: Array("one".utf8))
            try FileManager.default.createDirectory(atPath: path + ".new", withIntermediateDirectories: false)
            let failure = #expect(throws: Failure.self) { try DurableFile.replace(path, with: Array("two".utf8)) }
            #expect(failure?.what == "cannot make \(path).new")
            #expect(FileManager.default.contents(atPath: path) == Data("one".utf8))
        }
        let gone = #expect(throws: Failure.self) { try DurableFile.replace(directory + "/list.json", with: []) }
        #expect(gone?.code == .notFound)
    }

    @Test("A file that is there is not made again")
    func there() throws {
        try inDirectory { path in
            try DurableFile.make(path, holding: Array("one".utf8), mode: 0o644)
            let failure = #expect(throws: Failure.self) {
                try DurableFile.make(path, holding: Array("two".utf8), mode: 0o644)
            }
            #expect(failure?.what == "cannot make \(path)")
            #expect(FileManager.default.contents(atPath: path) == Data("one".utf8))
        }
    }

    @Test("Any directory can be synchronised: the root, the current one and one by its name; a file is none")
    func directories() throws {
        try inDirectory { path in
            try DurableFile.replace(path, with: [])
            for path in [path, "/etc", "Package.swift"] { try DurableFile.synchroniseDirectory(of: path) }
            let failure = #expect(throws: Failure.self) { try DurableFile.synchronise(directory: path) }
            #expect(failure?.code == .failed)
            #expect(failure?.what == "cannot open \(path)")
        }
    }
}

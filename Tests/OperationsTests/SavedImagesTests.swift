import Foundation
import HostModel
import Hosts
import Migration
import Testing

@testable import Operations

@Suite("Saved images")
struct SavedImagesTests {
    private let images = SavedImages(
        directory: FileManager.default.temporaryDirectory.path + "/xenlvs-images-\(UInt64.random(in: 0...UInt64.max))")
    private let id: MigrationID

    init() throws { id = try MigrationID("web1-20261121-1a2b") }

    private func write(_ purpose: SavedImages.Purpose, _ text: String = "image") throws {
        let path = try images.create(id, purpose)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    private func text(_ purpose: SavedImages.Purpose) -> String? {
        FileManager.default.contents(atPath: images.path(id, purpose)).map { String(decoding: $0, as: UTF8.self) }
    }

    private func spentText(_ purpose: SavedImages.Purpose) -> String? {
        FileManager.default.contents(atPath: images.path(id, purpose) + ".spent").map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    private func cleaned(_ body: () throws -> Void) rethrows {
        defer { try? FileManager.default.removeItem(atPath: images.directory) }
        try body()
    }

    @Test("A base is there when all of it is, and what writes on after a failure does not reach the next one")
    func base() async throws {
        defer { try? FileManager.default.removeItem(atPath: images.directory) }
        func write(_ text: String, to path: String) throws {
            let file = try #require(FileHandle(forWritingAtPath: path))
            try file.write(contentsOf: Data(text.utf8))
        }
        var late: FileHandle?
        await #expect(throws: Failure.self) {
            try await images.makeBase(id) { path in
                try write("half", to: path)
                late = FileHandle(forWritingAtPath: path)
                throw Failure(.failed, "the dump failed")
            }
        }
        #expect(try images.names(of: id).isEmpty)
        for text in ["first", "second"] {
            try await images.makeBase(id) { path in
                #expect(!images.exists(id, .base) || text == "second")
                try write(text, to: path)
            }
            try late?.write(contentsOf: Data("late".utf8))
            #expect(self.text(.base) == text)
        }
        var status = stat()
        #expect(stat(images.path(id, .base), &status) == 0 && status.st_mode & 0o7777 == 0o600)
    }

    @Test("One that is spent is so before its space is given back, and for good")
    func spent() throws {
        try cleaned {
            #expect(try images.state(id, .handOver) == .absent)
            try write(.handOver)
            try images.markSpent(id, .handOver)
            #expect(try images.state(id, .handOver) == .spent)
            #expect(!images.exists(id, .handOver))
            #expect(text(.handOver) == nil)
            #expect(spentText(.handOver) == "image")
            try images.retireSpent(id, .handOver)
            #expect(spentText(.handOver) == "")
            #expect(try images.state(id, .handOver) == .spent)
        }
    }

    @Test("One that is not spent is never retired")
    func notSpent() throws {
        try cleaned {
            try write(.settlement)
            try images.retireSpent(id, .settlement)
            #expect(text(.settlement) == "image")
        }
    }

    @Test("A bracket that is taken a second time has an image again")
    func again() throws {
        try cleaned {
            try write(.settlement, "first")
            try images.markSpent(id, .settlement)
            try write(.settlement, "second")
            #expect(images.exists(id, .settlement))
            #expect(try images.state(id, .settlement) != .spent)
        }
    }

    @Test("The first freeze's memory stays as a base that nobody can restore, until the guest has moved")
    func base() throws {
        try cleaned {
            let content = "Xen saved domain, xl format\n \0 \rand what follows"
            try write(.substitution, content)
            try images.markSpent(id, .substitution)
            try images.retireSpent(id, .substitution)
            #expect(try images.state(id, .substitution) == .spent)
            #expect(spentText(.substitution) == "")
            // A second time, after a run that died in between, there is nothing left to do.
            try images.retireSpent(id, .substitution)
            #expect(text(.base) == String(repeating: "\0", count: 32) + "and what follows")
            try write(.received)
            try images.markSpent(id, .received)
            try images.retireSpent(id, .received)
            #expect(text(.base) == nil)
            #expect(spentText(.received) == "")
        }
    }

    @Test("All of a migration's files go, and no other's")
    func removal() throws {
        try cleaned {
            for purpose in SavedImages.Purpose.allCases { try write(purpose) }
            try images.markSpent(id, .handOver)
            let other = try MigrationID("web1-20261121-1a2c")
            _ = try images.create(other, .base)
            #expect(try images.removeAll(id).count == SavedImages.Purpose.allCases.count)
            #expect(try FileManager.default.contentsOfDirectory(atPath: images.directory).count == 1)
        }
    }

    @Test("A file that grows is read to the end that it gets; one that ends too early is a failure")
    func growingFile() throws {
        try cleaned {
            try write(.handOver, "0123456789")
            let path = images.path(id, .handOver)
            var waits = 0
            var ended = false
            let file = try GrowingFile(path, piece: 4, hasEnded: { ended }) {
                waits += 1
                let writer = try #require(FileHandle(forWritingAtPath: path))
                try writer.seekToEnd()
                try writer.write(contentsOf: Data("ABCDE".utf8))
                try writer.close()
                ended = waits == 2
            }
            var read = ""
            try file.next(12) { read += String(decoding: $0, as: UTF8.self) }
            #expect(read == "0123456789AB")
            try file.rest { read += String(decoding: $0, as: UTF8.self) }
            #expect(read == "0123456789ABCDEABCDE")
            #expect(file.position == 20)
            #expect(throws: Failure.self) { try file.next(1) { _ in } }
        }
    }
}

@Suite("Left-over images")
struct LeftOverImageTests {
    /// Hours after a crash: images of an open migration, of one that has ended, of one that nobody knows, and something else.
    @Test("Doctor names each with its path, size, migration and what to do, and none of an open migration")
    func findings() throws {
        let target = try TargetHost()
        try target.begin(try TargetHost.spec())
        try target.take(
            try TargetHost.spec(domain: "web2", id: "web2-20261121-0002", volume: "web2", number: 8), .target,
            isOpen: false)
        let images = target.host.images
        func make(_ id: String, _ purpose: SavedImages.Purpose) throws -> String {
            let path = try images.create(try MigrationID(id), purpose)
            try Data(repeating: 7, count: 2048).write(to: URL(fileURLWithPath: path))
            return path
        }
        _ = try make("web1-20261121-0001", .received)
        #expect(try Housekeeping(host: target.host).imageFindings().map(\.severity) == [.fine])
        let ended = try make("web2-20261121-0002", .handOver)
        // It begins as the open migration's files do.
        let unknown = try make("web1-20261121-0001.1.x-20261121-0003", .base)
        let old = images.directory + "/web2-20261121-0002.3.01234567.image"
        try Data().write(to: URL(fileURLWithPath: old))
        chmod(old, 0o644)
        try Data().write(to: URL(fileURLWithPath: images.directory + "/core"))
        chmod(images.directory + "/core", 0o600)
        let findings = try Housekeeping(host: target.host).imageFindings()
        #expect(findings.count == 5)
        #expect(findings.allSatisfy { $0.severity == .warning && $0.host == "nodeb" })
        func finding(_ path: String) throws -> Finding {
            try #require(findings.first { $0.what.contains("\(path) (") })
        }
        #expect(try finding(ended).what.contains("(2 KiB) is left over"))
        #expect(try finding(ended).why?.contains("web2-20261121-0002 of web2, which has ended") == true)
        #expect(try finding(ended).remedy == "see with 'xl list' that the guest runs, then remove it: rm \(ended)")
        #expect(try finding(unknown).why?.contains("of which this host has no record") == true)
        #expect(try finding(old).remedy == "remove it: rm \(old)")
        #expect(findings.last?.what == "others than root may read the saved image \(old)")
    }

    @Test("Of a migration whose name begins another's, only its own images go")
    func prefix() throws {
        let target = try TargetHost()
        let images = target.host.images
        let other = try images.create(try MigrationID("web.1.example-20261121-0001"), .handOver)
        let own = try images.create(try MigrationID("web"), .handOver)
        #expect(try images.removeAll(try MigrationID("web")).count == 1)
        #expect(FileManager.default.fileExists(atPath: other))
        #expect(!FileManager.default.fileExists(atPath: own))
    }

    @Test(
        "A file name is taken apart from its end",
        arguments: [
            ("web1-20261121-0001.2.zst.01234567.image", SavedImages.Purpose.received, false),
            ("a.1.b-20261121-0001.back.01234567.image.spent", .rollback, true),
            ("web1-20261121-0001.1.01234567.image.spent.new", .substitution, true),
        ])
    func name(_ text: String, _ purpose: SavedImages.Purpose, _ isSpent: Bool) throws {
        let name = try #require(ImageFileName(text))
        #expect(name.purpose == purpose)
        #expect(name.isSpent == isSpent)
        #expect(name.migration.text.hasSuffix("-20261121-0001"))
        for odd in ["", "x", text + "x", "." + text.dropFirst(text.count - 6), text.replacing(".01234567", with: "")] {
            #expect(ImageFileName(odd) == nil)
        }
    }
}

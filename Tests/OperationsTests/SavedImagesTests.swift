import Foundation
import HostModel
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

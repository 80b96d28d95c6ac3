import Foundation
import Glibc
import HostModel
import Testing

@testable import Hosts

@Suite("A lock that a command holds as well")
struct HeldLockTests {
    @Test("It is held until the command has ended, also where whoever has begun it knows nothing of it any more")
    func held() async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/xenlvs-held-\(UUID())"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let (path, pipe) = (directory + "/lock", directory + "/pipe")
        try #require(mkfifo(pipe, 0o600) == 0)

        let lock = try FileLock(path: path, purpose: "the test")
        var code: Failure.Code?
        do {
            // It waits for somebody who writes.
            let command = Command(.sha256sum, [pipe], .mutation, deadline: .milliseconds(500))
            try await ProcessRunner().run(command, holding: lock)
        } catch let failure as Failure { code = failure.code }
        #expect(code == .outcomeUnknown)
        lock.leave()
        let refused = #expect(throws: Failure.self) { _ = try FileLock(path: path, purpose: "the test") }
        #expect(refused?.code == .busy)

        let writer = open(pipe, O_WRONLY | O_CLOEXEC)
        #expect(writer >= 0)
        close(writer)
        _ = try await FileLock.waiting(path: path, purpose: "the test", limit: .seconds(20))
    }

    @Test("A command that has ended leaves it to whoever has begun it; without a lock it has nothing to read")
    func ended() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/xenlvs-held-\(UUID())"
        try Data("1\n".utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        for effect in [Command.Effect.query, .mutation] {
            let lock = try FileLock(path: path, purpose: "the test")
            let command = Command(.sha256sum, ["-"], effect)
            let (given, empty) = (
                try await ProcessRunner().run(command, holding: lock), try await ProcessRunner().run(command)
            )
            #expect(given.output.hasPrefix("4355a46b19d348dc"))
            #expect(empty.output.hasPrefix("e3b0c44298fc1c14"))
            #expect(throws: Failure.self) { _ = try FileLock(path: path, purpose: "the test") }
            withExtendedLifetime(lock) {}
        }
        _ = try FileLock(path: path, purpose: "the test")
    }
}

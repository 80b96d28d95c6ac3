import Foundation
import Glibc
import HostModel
import Hosts
import Testing

@Suite("A lock on a file")
struct FileLockTests {
    @Test("It is refused while it is held, and given up also where a forked child still has the open file")
    func givenUp() throws {
        let directory =
            FileManager.default.temporaryDirectory.path + "/xenlvs-lock-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/lock"
        var lock: FileLock? = try FileLock(path: path, purpose: "the test")
        let refused = #expect(throws: Failure.self) { _ = try FileLock(path: path, purpose: "the test") }
        #expect(refused?.code == .busy && refused?.why == "it holds \(path)")

        // A second descriptor of the same open file: what a child has between fork(2) and execve(2).
        let held = try #require((3..<1024).first { (try? link(of: $0)) == path })
        let child = dup(Int32(held))
        defer { close(child) }
        #expect(child >= 0)
        withExtendedLifetime(lock) {}
        lock = nil
        _ = try FileLock(path: path, purpose: "the test")
    }

    private func link(of descriptor: Int) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
    }
}

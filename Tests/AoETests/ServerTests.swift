import DiskKit
import Foundation
import HostModel
import Testing

@testable import AoE
@testable import BlockServer

@Suite("Target server")
struct ServerTests {
    @Test("A target whose last answer has only just left goes with the next round, and not before")
    func lastAnswer() throws {
        let file = try TestFile(sectors: 8, in: "/dev/shm")
        let directory = file.path + ".state"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var server = try AoEServer(.single(queueDepth: 8), report: { _ in })
        let id = try server.add(file.path, stateDirectory: directory)
        // As it is between two rounds when an order has sent what an interface had not taken before.
        let slot = server.occupy(id)
        server.exports[id.number].pointee.engine.release(try #require(slot))
        try server.close(id)
        let isKept = try server.remove(id) == nil
        #expect(isKept)
        _ = server.round()
        let isRemoved = try server.remove(id) != nil
        #expect(isRemoved)
    }
}

extension AoEServer {
    /// Takes a file in as e1.SLOT.
    mutating func add(
        _ path: String, slot: Int = 2, queueDepth: Int = 8, stateDirectory: String
    ) throws(Failure) -> TargetID {
        let configuration = AoETargetConfiguration(
            address: try AoEAddress(shelf: 1, slot: slot), durability: .writeback, allowed: [], queueDepth: queueDepth,
            stateDirectory: stateDirectory, version: "0")
        let backing = try Backing(opening: path, readOnly: false, policy: .automatic)
        return try add(try Export(configuration, backing: backing, serial: "S", pool: pool, report: { _ in }))
    }

    /// Makes a target one with a request under way, which goes when the slot is released.
    mutating func occupy(_ id: TargetID) -> Int? {
        let slot = exports[id.number].pointee.engine.take()
        exports[id.number].pointee.isActive = true
        active[activeCount] = Int32(id.number)
        activeCount += 1
        return slot
    }
}

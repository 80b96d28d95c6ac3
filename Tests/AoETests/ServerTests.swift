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
        let configuration = AoETargetConfiguration(
            address: try AoEAddress(shelf: 1, slot: 2), durability: .writeback, allowed: [], queueDepth: 8,
            stateDirectory: directory, version: "0")
        let backing = try Backing(opening: file.path, readOnly: false, policy: .automatic)
        let export = try Export(
            configuration, backing: backing, serial: "S", pool: server.pool, report: { _ in })
        let id = try server.add(export)
        // As it is between two rounds when an order has sent what an interface had not taken before.
        server.exports[id.number].pointee.isActive = true
        server.active[0] = Int32(id.number)
        server.activeCount = 1
        try server.close(id)
        let isKept = try server.remove(id) == nil
        #expect(isKept)
        _ = server.round()
        let isRemoved = try server.remove(id) != nil
        #expect(isRemoved)
    }
}

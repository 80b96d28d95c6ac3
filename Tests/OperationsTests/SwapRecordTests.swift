import Foundation
import HostModel
import Hosts
import Migration
import Storage
import Testing

@testable import Operations

@Suite("Swaps in the journal")
struct SwapRecordTests {
    private func withDatabase(_ body: (StateDatabase) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "swap-\(UUID())")
        defer { try? FileManager.default.removeItem(at: directory) }
        try body(try StateDatabase(path: directory.appending(path: "state.db").path))
    }

    private func record(_ goal: SwitchGoal?) throws -> VolumeRecord {
        var volume = try Sample.volume("web1")
        volume.switchGoal = goal
        return VolumeRecord(name: volume.name, body: try JSONText.encode(volume), backing: volume.backingPath)
    }

    private func migration(open: Bool) throws -> MigrationRecord {
        let name = try HostName("nodea")
        let spec = MigrationSpec(
            id: try MigrationID("web1-20261121-0001"), domain: try DomainName("web1"),
            uuid: "00000000-0000-4000-8000-000000000001", memory: .mebibytes(96),
            source: Endpoint(name: name, address: "10.0.0.1"),
            target: Endpoint(name: try HostName("nodeb"), address: "10.0.0.2"),
            volumes: [try Sample.specification("web1")],
            plan: MigrationPlan(settlement: .late, comparesCopies: false), verifies: false, bandwidth: nil,
            removesSource: false)
        return MigrationRecord(
            id: spec.id.text, domain: "web1", role: .source, epoch: 0, spec: try JSONText.encode(spec), machine: "{}",
            decided: false, isOpen: open, created: 1, updated: 1)
    }

    @Test("What is wanted and the DRBD number are recorded together, and given back")
    func together() throws {
        try withDatabase { database in
            let owner = StandaloneReplica.owner(try VolumeName("web1"))
            try database.put(try record(.replica(minor: 7)), holding: 7, as: owner) { #expect($0.isEmpty) }
            #expect(try database.allocations().minors == [7])
            #expect(try database.volume(try VolumeName("web1"))?.volume().switchGoal == .replica(minor: 7))
            // Again, as by a run that goes on.
            try database.put(try record(.replica(minor: 8)), holding: 8, as: owner) { _ in }
            #expect(try database.allocations().minors == [8])
            try database.release(owner)
            #expect(try database.allocations().minors.isEmpty)
        }
    }

    @Test("A number that a migration holds is refused, and nothing is recorded")
    func taken() throws {
        try withDatabase { database in
            try database.insert(try migration(open: true), minors: [7], ports: [])
            try database.put(try record(.volume))
            #expect(throws: Failure.self) {
                try database.put(try record(.replica(minor: 7)), holding: 7, as: "swap/web1") { _ in }
            }
            #expect(try database.volume(try VolumeName("web1"))?.volume().switchGoal == .volume)
        }
    }

    @Test("A swap and a migration of one volume exclude each other, whichever is first")
    func exclusion() throws {
        try withDatabase { database in
            try database.put(try record(.volume))
            try database.insert(try migration(open: true), minors: [3], ports: [])
            let failure = #expect(throws: Failure.self) {
                try database.put(try record(.replica(minor: 7)), holding: 7, as: "swap/web1") {
                    try SwapManager.requireNoMigration(of: try VolumeName("web1"), try $0.map(OpenMigration.init))
                }
            }
            #expect(failure?.code == .busy)
            #expect(failure?.why?.contains("web1-20261121-0001") == true)
            #expect(try database.volume(try VolumeName("web1"))?.volume().switchGoal == .volume)
            #expect(try database.allocations().minors == [3])
        }
        try withDatabase { database in
            try database.put(try record(.replica(minor: 7)))
            #expect(throws: Failure.self) {
                try database.insert(try migration(open: true), minors: [3], ports: []) { volumes in
                    try MigrationStarter.requireNoSwap(
                        of: [try VolumeName("web1")], in: volumes, try DomainName("web1"))
                }
            }
            #expect(try database.migrations().isEmpty)
            #expect(try database.allocations().minors.isEmpty)
        }
    }

    @Test("A volume whose switch leads to the volume may be migrated")
    func allowed() throws {
        for goal in [nil, SwitchGoal.volume] {
            try MigrationStarter.requireNoSwap(
                of: [try VolumeName("web1")], in: [try record(goal)], try DomainName("web1"))
        }
        try MigrationStarter.requireNoSwap(
            of: [try VolumeName("other")], in: [try record(.replica(minor: 7))], try DomainName("web1"))
    }
}

import LabKit
import Testing

extension Scenarios {
    @Suite("A migration")
    struct MigrationScenarios {
        @Test("A running PV guest is moved with every block verified, and nothing is lost or left", .timeLimit(.minutes(15)))
        func movesPVGuest() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                let migration = try await hosts.migrate("web1", from: hosts.a, "--verify")
                #expect(migration.report.freezes.map(\.number) == [1, 2, 3])
                #expect(migration.report.domainRunsOn == "nodeb")
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a, verified: true)
            }
        }
    }
}

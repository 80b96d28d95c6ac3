import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Guests that are handed over while they run, between hosts that share nothing.
    @Suite("A live migration")
    struct LiveMigrations {
        private static let migrate = "xenlvs migrate web1 --to nodeb"

        @Test(
            "A PVH guest on a switch moves live to a host that shares nothing, and back", .timeLimit(.minutes(30)))
        func thereAndBack() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: hosts.a)
                let plan = try await hosts.a.run("\(Self.migrate) --dry-run", timeout: .seconds(120)).stdout
                #expect(plan.contains("Method: live, its disks are swapped by their switches"), "\(plan)")
                #expect(
                    plan.contains("--allow-two-primaries=yes") && plan.contains("--allow-two-primaries=no"), "\(plan)")
                var logs: [LabProcess] = []
                for source in [hosts.a, hosts.b] {
                    let target = hosts.peer(of: source)
                    try await target.expectArrival(of: journey.guest)
                    let moved = try await hosts.migrate("web1", from: source)
                    #expect(moved.report.method == "live" && moved.report.freezes.map(\.number) == [1])
                    logs.append(try await target.followArrival(of: journey.guest))
                    try await hosts.verifyMigrated(&journey, moved, from: source, ends: source.name == "nodeb")
                    try await expectOnePrimary(hosts)
                }
                for log in logs { try await log.signal() }
            }
        }

        @Test(
            "One whose run is killed after every step is finished by resuming it", .onlyInTheFullRun,
            .timeLimit(.minutes(40)))
        func resumesAfterEveryStep() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                let guest = LabGuest("web1", kind: .pvh, volumes: ["web1", "web1-data"])
                var journey = try await hosts.start(guest, hasSwitch: true, on: a)
                try await hosts.crash(Self.migrate, at: "reserveTarget:after", on: a)
                let id = try await hosts.identifier(of: "web1", on: a)
                let undecided = [
                    "makeTargetVolumes", "makeTargetReplica", "makeSourceReplica", "promoteSource",
                    "leadSourceToReplica", "clearTarget", "recallOnSource", "connectTarget", "connectSource",
                    "synchronise", "verifyCopies", "linkTargetToSwitch", "openWindow", "promoteTarget", "moveLive",
                    "quietSource", "decide",
                ]
                let decided = [
                    "acknowledgeDecision", "startOnTarget", "demoteSource", "leadTargetToVolume",
                    "takeDownTargetReplica", "cleanSource", "cleanTarget", "closeTarget",
                ]
                for step in undecided + decided {
                    if undecided.contains(step) { try await b.expectArrival(of: guest) }
                    try await hosts.crash("xenlvs migration resume \(id)", at: "\(step):after", on: a)
                    let running = try await hosts.hostsRunning(guest)
                    let frozen = ["moveLive", "quietSource", "decide", "acknowledgeDecision"].contains(step)
                    #expect(running.count <= 1, "it runs on both hosts after \(step)")
                    #expect(running.isEmpty == frozen, "after \(step) it runs on \(running)")
                }
                let migration = try await hosts.proceed("resume", id, on: a)
                let log = try await b.followArrival(of: guest)
                try await hosts.verifyMigrated(&journey, migration, from: a)
                try await log.signal()
            }
        }

        @Test(
            "An abort leads the guest back as it runs, and lets one that was suspended run on", .onlyInTheFullRun,
            .timeLimit(.minutes(30)))
        func aborts() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: a)
                for step in ["leadSourceToReplica", "openWindow", "promoteTarget", "moveLive", "quietSource"] {
                    try await hosts.crash(Self.migrate, at: "\(step):after", on: a)
                    let id = try await hosts.identifier(of: "web1", on: a)
                    try await hosts.abort(id, on: a)
                    try await hosts.verifyStayed(&journey, id, hasSwitches: true, ends: false)
                }

                // The link is cut while the guest's memory is under way, and both sides are Primary.
                let run = try await hosts.beginMigrating("web1", from: a)
                try await hosts.b.waitForArrival()
                try await a.cutLink(.cluster)
                let ended = try await run.wait(timeout: Hosts.limit)
                #expect(ended.exit == 2 || ended.exit == 3, "\(ended)")
                try await hosts.expectRunning(journey.guest, on: [a], "after the link was cut")
                try await journey.goesOn()
                try await a.restoreLink(.cluster)
                let id = try await hosts.identifier(of: "web1", on: a)
                if ended.exit == 3 { try await hosts.abort(id, on: a) }
                try await hosts.verifyStayed(&journey, id, hasSwitches: true)
            }
        }

        /// Nothing of the window outlives the migration.
        private func expectOnePrimary(_ hosts: Hosts) async throws {
            for node in hosts.all {
                let left = try await node.run("drbdsetup events2 --now all | grep 'exists resource'", check: false)
                    .stdout
                #expect(left.isEmpty, "on \(node.name): \(left)")
            }
        }
    }
}

import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Guests that are shut down, copied and started on the other host.
    @Suite("A cold migration")
    struct ColdMigrations {
        private static let migrate = "xenlvs migrate web1 --to nodeb --method cold"

        @Test(
            "A guest is shut down, copied and started there, and comes back, also where runs are killed",
            .onlyInTheFullRun, .timeLimit(.minutes(30)))
        func thereAndBack() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                let guest = LabGuest("web1", volumes: ["web1", "web1-data"])
                var journey = try await hosts.start(guest, on: a)
                let refused = try await a.run(Self.migrate, check: false)
                #expect(refused.exit == 1 && refused.stderr.contains("no configuration of web1"), "\(refused.stderr)")
                try await b.define(LabGuest("web1", volumes: ["web1"]))
                let other = try await a.run(Self.migrate, timeout: .seconds(120), check: false)
                #expect(
                    [1, 2].contains(other.exit) && other.stderr.contains("it has no disk xvdb"), "\(other.stderr)")
                try await b.define(guest)
                let plan = try await a.run("\(Self.migrate) --dry-run", timeout: .seconds(120)).stdout
                #expect(plan.contains("xl shutdown") && plan.contains("xl create -p /etc/xen/web1.cfg"), "\(plan)")

                for source in [a, b] {
                    let moved = try await hosts.migrate("web1", from: source, "--method", "cold", "--verify")
                    #expect(moved.report.method == "cold" && moved.report.freezes.map(\.number) == [1])
                    journey.bootsAgain()
                    try await hosts.verifyMigrated(&journey, moved, from: source, verified: true, ends: false)
                }

                try await hosts.crash(Self.migrate, at: "shutDown:after", on: a)
                let id = try await hosts.identifier(of: "web1", on: a)
                for step in [
                    "promoteSource", "linkSourceToReplica", "connectSource", "synchronise", "verifyCopies",
                    "demoteSource", "releaseTargetVolume", "linkTargetToVolumeEarly", "decide", "acknowledgeDecision",
                    "startOnTarget", "cleanSource", "cleanTarget", "closeTarget",
                ] {
                    try await hosts.crash("xenlvs migration resume \(id)", at: "\(step):after", on: a)
                    let runs = ["startOnTarget", "cleanSource", "cleanTarget", "closeTarget"].contains(step)
                    try await hosts.expectRunning(guest, on: runs ? [b] : [], "after \(step)")
                }
                let finished = try await hosts.proceed("resume", id, on: a)
                journey.bootsAgain()
                try await hosts.verifyMigrated(&journey, finished, from: a)
            }
        }

        @Test(
            "One that is aborted, or loses its link, starts the guest where it was", .onlyInTheFullRun,
            .timeLimit(.minutes(25)))
        func returns() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                try await b.define(journey.guest)
                for step in ["shutDown", "synchronise", "demoteSource", "linkTargetToVolumeEarly"] {
                    try await hosts.crash(Self.migrate, at: "\(step):after", on: a)
                    let id = try await hosts.identifier(of: "web1", on: a)
                    try await hosts.expectRunning(journey.guest, on: [], "after \(step)")
                    try await hosts.abort(id, on: a)
                    journey.bootsAgain()
                    try await hosts.verifyStayed(&journey, id, hasSwitches: true, ends: false)
                }

                // Nobody has to type anything for the guest to run again.
                let run = try await hosts.stop(Self.migrate, at: "synchronise:before", on: a)
                try await a.cutLink(.cluster)
                try await run.letGo()
                let ended = try await run.wait(timeout: Hosts.limit)
                #expect(ended.exit == 2 || ended.exit == 3, "\(ended)")
                try await hosts.expectRunning(journey.guest, on: [a], "after the link was cut")
                journey.bootsAgain()
                try await journey.goesOn()
                try await a.restoreLink(.cluster)
                let id = try await hosts.identifier(of: "web1", on: a)
                if ended.exit == 3 { try await hosts.abort(id, on: a) }
                try await hosts.verifyStayed(&journey, id, hasSwitches: true)
            }
        }
    }
}

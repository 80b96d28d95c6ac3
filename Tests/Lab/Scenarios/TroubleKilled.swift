import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    @Suite("A coordinator that is killed")
    struct Killed {
        @Test(
            "A migration whose run is killed after every step is finished by resuming it", .onlyInTheFullRun,
            .timeLimit(.minutes(40)))
        func resumesAfterEveryStep() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                try await hosts.crash("xenlvs migrate web1 --to nodeb", at: "reserveTarget:after", on: hosts.a)
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                let resume = "xenlvs migration resume \(id)"
                let prepare = ["makeTargetVolumes", "makeTargetReplica", "makeSourceReplica"]
                try await crash(resume, after: prepare, journey.guest, hosts)
                // An 'xl' that was at work goes on without the run that had started it.
                try await hosts.kill(resume, during: "save", on: hosts.a)
                try await crash(
                    resume, after: ["saveForReplica", "promoteSource", "linkSourceToReplica"], journey.guest, hosts)
                try await hosts.kill(resume, during: "restore", on: hosts.a)
                let untilDecision = [
                    "restoreOnReplica", "continueOnReplica", "connectTarget", "connectSource", "synchronise",
                    "verifyCopies", "linkTargetToReplica", "transferImage", "demoteSource", "promoteTarget",
                    "finishRestore", "decide",
                ]
                try await crash(resume, after: untilDecision, journey.guest, hosts)
                let afterDecision = [
                    "acknowledgeDecision", "startOnTarget", "saveForVolume", "takeDownTargetReplica",
                    "linkTargetToVolume", "restoreOnVolume", "continueOnVolume", "cleanSource", "cleanTarget",
                    "closeTarget",
                ]
                try await crash(resume, after: afterDecision, journey.guest, hosts)
                let migration = try await hosts.proceed("resume", id, on: hosts.a)
                #expect(migration.report.freezes.map(\.number) == [1, 2, 3], "a freeze is forgotten")
                let killed = 1 + prepare.count + 1 + 3 + 1 + untilDecision.count + afterDecision.count
                #expect(migration.report.runs.count == killed + 1, "a run that was killed is forgotten")
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a)
            }
        }

        /// Kills one run after each of these steps, and looks each time at where the guest runs.
        private func crash(_ resume: String, after steps: [String], _ guest: LabGuest, _ hosts: Hosts) async throws {
            for step in steps {
                try await hosts.crash(resume, at: "\(step):after", on: hosts.a)
                let running = try await hosts.hostsRunning(guest)
                #expect(running.count <= 1, "\(guest.name) runs on both hosts after \(step)")
                #expect(running.isEmpty == Self.frozen.contains(step), "after \(step) it runs on \(running)")
            }
        }

        /// After these steps the guest is saved or paused.
        private static let frozen: Set = [
            "saveForReplica", "promoteSource", "linkSourceToReplica", "restoreOnReplica", "transferImage",
            "demoteSource", "promoteTarget", "finishRestore", "decide", "acknowledgeDecision", "saveForVolume",
            "takeDownTargetReplica", "linkTargetToVolume", "restoreOnVolume",
        ]

        @Test(
            "Until the decision an abort brings the guest back from every phase, after it none is accepted",
            .onlyInTheFullRun, .timeLimit(.minutes(40)))
        func abortsInEveryPhase() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                // One for each state that the guest can be found in; the simulation has every step.
                let places = [
                    "reserveTarget:before", "makeSourceReplica:after", "restoreOnReplica:after", "synchronise:after",
                    "finishRestore:after",
                ]
                for place in places {
                    try await hosts.crash("xenlvs migrate web1 --to nodeb", at: place, on: hosts.a)
                    let id = try await hosts.identifier(of: "web1", on: hosts.a)
                    // Either host can be asked.
                    let node = place == "synchronise:after" ? hosts.b : hosts.a
                    try await hosts.abort(id, on: node)
                    try await hosts.verifyStayed(&journey, id, known: place != "reserveTarget:before", ends: false)
                }
                try await hosts.crash("xenlvs migrate web1 --to nodeb", at: "acknowledgeDecision:before", on: hosts.a)
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                let refused = try await hosts.a.run("xenlvs migration abort \(id)", check: false)
                #expect(refused.exit == 1)
                #expect(refused.stderr.contains("belongs to the target"), "\(refused.stderr)")
                try await hosts.expectRunning(journey.guest, on: [], "after a refused abort")
                let migration = try await hosts.proceed("resume", id, on: hosts.a)
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a)
            }
        }
    }
}

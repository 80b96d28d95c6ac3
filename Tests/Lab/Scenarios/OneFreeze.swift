import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Migrations that lead the switches of running guests' disks elsewhere, in trouble.
    @Suite("A one-freeze migration")
    struct OneFreeze {
        private static let migrate = "xenlvs migrate web1 --to nodeb --method one-freeze"

        @Test(
            "One whose run is killed after every step is finished by resuming it", .onlyInTheFullRun,
            .timeLimit(.minutes(40)))
        func resumesAfterEveryStep() async throws {
            try await scenario { hosts in
                let guest = LabGuest("web1", volumes: ["web1", "web1-data"])
                var journey = try await hosts.start(guest, hasSwitch: true, on: hosts.a)
                try await hosts.crash(Self.migrate, at: "reserveTarget:after", on: hosts.a)
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                let resume = "xenlvs migration resume \(id)"
                let steps = [
                    "makeTargetVolumes", "makeTargetReplica", "makeSourceReplica", "promoteSource",
                    "leadSourceToReplica", "connectTarget", "connectSource", "synchronise", "verifyCopies",
                    "linkTargetToSwitch", "transferImage", "demoteSource", "promoteTarget", "finishRestore", "decide",
                    "acknowledgeDecision", "startOnTarget", "leadTargetToVolume", "takeDownTargetReplica",
                    "cleanSource", "cleanTarget", "closeTarget",
                ]
                for step in steps {
                    try await hosts.crash(resume, at: "\(step):after", on: hosts.a)
                    let running = try await hosts.hostsRunning(guest)
                    #expect(running.count <= 1, "it runs on both hosts after \(step)")
                    #expect(running.isEmpty == Self.frozen.contains(step), "after \(step) it runs on \(running)")
                }
                let migration = try await hosts.proceed("resume", id, on: hosts.a)
                #expect(migration.report.freezes.map(\.number) == [1])
                #expect(migration.report.runs.count == steps.count + 2, "a run that was killed is forgotten")
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a)
            }
        }

        /// After these steps the guest is saved or paused.
        private static let frozen: Set = [
            "transferImage", "demoteSource", "promoteTarget", "finishRestore", "decide", "acknowledgeDecision",
        ]

        @Test(
            "An abort leads a running guest back without a freeze, and a saved one back out of its own",
            .onlyInTheFullRun, .timeLimit(.minutes(40)))
        func aborts() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: hosts.a)
                for step in [
                    "makeSourceReplica", "promoteSource", "leadSourceToReplica", "synchronise", "transferImage",
                    "demoteSource", "finishRestore",
                ] {
                    try await hosts.crash(Self.migrate, at: "\(step):after", on: hosts.a)
                    let id = try await hosts.identifier(of: "web1", on: hosts.a)
                    // Either host can be asked.
                    try await hosts.abort(id, on: step == "synchronise" ? hosts.b : hosts.a)
                    let frozen = try await hosts.a.report(id).freezes.map(\.number)
                    #expect(frozen == (Self.frozen.contains(step) ? [1] : []), "after \(step)")
                    try await hosts.verifyStayed(&journey, id, hasSwitches: true, ends: false)
                }
                try await hosts.crash(Self.migrate, at: "acknowledgeDecision:before", on: hosts.a)
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                let refused = try await hosts.a.run("xenlvs migration abort \(id)", check: false)
                #expect(refused.exit == 1 && refused.stderr.contains("belongs to the target"), "\(refused.stderr)")
                let migration = try await hosts.proceed("resume", id, on: hosts.a)
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a)
            }
        }

        @Test(
            "A target that is switched off before the decision changes nothing, and after it has the guest's disks",
            .onlyInTheFullRun, .timeLimit(.minutes(30)))
        func targetSwitchedOff() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: hosts.a)
                let handOver = try await hosts.stop(Self.migrate, at: "demoteSource:after", on: hosts.a)
                let closed = try await hosts.a.run("dmsetup table xenlvs-switch-web1").text
                #expect(closed.hasSuffix("error"), "the source's disk could be written: \(closed)")
                try await hosts.b.powerOff()
                try await handOver.letGo()
                try await hosts.end(handOver, expecting: 3, saying: ["nodeb"])
                try await hosts.expectRunning(journey.guest, on: [hosts.a], "after the rollback")
                try await journey.goesOn()
                try await hosts.switchOn()
                let first = try await hosts.identifier(of: "web1", on: hosts.a)
                _ = try await hosts.proceed("resume", first, on: hosts.a, expecting: 2)
                try await hosts.verifyStayed(&journey, first, hasSwitches: true, ends: false)

                // The second time the guest runs there already, and is lost with its host.
                try await hosts.crash(Self.migrate, at: "startOnTarget:after", on: hosts.a)
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                try await hosts.b.waitForTicks(of: journey.guest, beyond: 5)
                try await journey.follow(hosts)
                _ = try await journey.console()
                try await hosts.b.powerOff()
                try await hosts.switchOn()
                let link = try await hosts.b.run("readlink /dev/xenlvs/web1").text
                #expect(link == "/dev/mapper/xenlvs-switch-web1", "after its restart the target's link is \(link)")
                let stopped = try await hosts.proceed("resume", id, on: hosts.a, expecting: 3)
                #expect(stopped.stderr.contains("xl create"), "\(stopped.stderr)")
                try await hosts.b.define(journey.guest)
                try await journey.startedAgain(on: hosts.b, hosts)
                let migration = try await hosts.proceed("resume", id, on: hosts.a)
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a)
            }
        }

        @Test(
            "A source that is switched off has its guest's disks on the switch again", .onlyInTheFullRun,
            .timeLimit(.minutes(20)))
        func sourceSwitchedOff() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for step in ["leadSourceToReplica", "verifyCopies", "demoteSource"] {
                    try await hosts.crash(Self.migrate, at: "\(step):after", on: a)
                    _ = try await journey.console()
                    try await a.powerOff()
                    try await hosts.switchOn()
                    let table = try await a.run(
                        "readlink /dev/xenlvs/web1; dmsetup table xenlvs-switch-web1; lsblk -dno MAJ:MIN /dev/vg0/web1"
                    ).text.split(separator: "\n").map(String.init)
                    #expect(table.count == 3 && table[1].contains(" linear \(table.last ?? "") 0"), "\(table)")
                    let id = try await hosts.identifier(of: "web1", on: a)
                    try await hosts.abort(id, on: a)
                    try await journey.startedAgain(on: a, hosts)
                    try await hosts.verifyStayed(&journey, id, hasSwitches: true, ends: step == "demoteSource")
                }
            }
        }
    }
}

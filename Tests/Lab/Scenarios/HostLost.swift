import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    @Suite("A host that is lost for good")
    struct HostLost {
        @Test(
            "Where the target dies after the decision, the guest is started on the source with all its data",
            .onlyInTheFullRun, .timeLimit(.minutes(20)))
        func targetLostAfterDecision() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                try await hosts.crash("xenlvs migrate web1 --to nodeb", at: "startOnTarget:after", on: hosts.a)
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                try await hosts.b.waitForTicks(of: journey.guest, beyond: 5)
                let alive = try await hosts.a.run("xenlvs migration resolve \(id) --fenced nodeb", check: false)
                #expect(alive.exit == 1 && alive.stderr.contains("nodeb is not dead"), "\(alive.stderr)")

                try await journey.follow(hosts)
                try await hosts.b.powerOff()
                let resolved = try await hosts.a.run(
                    "xenlvs migration resolve \(id) --fenced nodeb", timeout: .seconds(180))
                #expect((resolved.stdout + resolved.stderr).contains("xl create"), "\(resolved.stderr)")
                try await hosts.expectRunning(journey.guest, on: [], "before it is started")
                try await journey.startedAgain(on: hosts.a, hosts)

                // The other one comes back after all.
                try await hosts.switchOn()
                let late = try await hosts.a.run("xenlvs migration resume \(id)", timeout: .seconds(180))
                #expect((late.stdout + late.stderr).contains("has come back"), "\(late.stderr)")
                try await hosts.expectRunning(journey.guest, on: [hosts.a], "after the target has come back")
                for node in hosts.all {
                    #expect(try await hosts.newestMigration(of: "web1", on: node)?.state == "lost")
                }
                try await hosts.verifyStayed(&journey, nil, leavesCopies: true)
            }
        }

        @Test(
            "Where the source dies in the hand-over, the paused guest goes on at the operator's word, and nowhere else",
            .onlyInTheFullRun, .timeLimit(.minutes(20)))
        func sourceLostInHandOver() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                try await hosts.crash("xenlvs migrate web1 --to nodeb", at: "finishRestore:after", on: hosts.a)
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                try await journey.follow(hosts)
                try await hosts.a.powerOff()
                try await hosts.b.run("xenlvs migration resolve \(id) --fenced nodea", timeout: .seconds(300))
                try await hosts.expectRunning(journey.guest, on: [hosts.b], "at the operator's word")

                // The other one comes back after all, and does not know what was decided without it.
                try await hosts.switchOn()
                let abort = try await hosts.a.run("xenlvs migration abort \(id)", timeout: .seconds(180), check: false)
                #expect(abort.exit == 4 && abort.stderr.contains("belongs to nodeb"), "\(abort.exit): \(abort.stderr)")
                try await hosts.expectRunning(journey.guest, on: [hosts.b], "after the late source's abort")
                let migration = try await hosts.proceed("resume", id, on: hosts.a)
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a)
            }
        }

        @Test(
            "An incomplete copy is kept without a link where the source dies while it synchronises",
            .onlyInTheFullRun, .timeLimit(.minutes(20)))
        func sourceLostWhileSynchronising() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                let (run, id) = try await hosts.beginSynchronising("web1", from: hosts.a, bandwidth: "1M")
                try await hosts.a.powerOff()
                _ = try await run.wait()
                let resolved = try await hosts.b.run(
                    "xenlvs migration resolve \(id) --fenced nodea", timeout: .seconds(180))
                #expect((resolved.stdout + resolved.stderr).contains("not complete"), "\(resolved.stderr)")
                let link = try await hosts.b.run("xenlvs link show web1").stdout
                #expect(link.contains("rightly-absent"), "\(link)")

                // Its own copy is whole, and the guest belongs to it.
                try await hosts.switchOn()
                let abort = try await hosts.a.run("xenlvs migration abort \(id)", timeout: .seconds(180), check: false)
                #expect(abort.exit == 0, "\(abort.stderr)")
                try await journey.startedAgain(on: hosts.a, hosts)
                try await hosts.verifyStayed(&journey, nil, leavesCopies: true)
            }
        }
    }
}

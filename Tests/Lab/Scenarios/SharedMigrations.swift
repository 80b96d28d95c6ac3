import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Guests that move alone: both hosts have their disks, which one of them serves over iSCSI.
    @Suite("A migration on shared disks")
    struct SharedMigrations {
        private static let migrate = "xenlvs migrate web1 --to nodeb"
        private static let share = "xenlvs share web1 --via iscsi --hosts nodea,nodeb --portal 10.78.0.1"

        @Test(
            "A PVH guest moves live there and back, also where runs are killed and the link is cut", .onlyInTheFullRun,
            .timeLimit(.minutes(25)))
        func live() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                var journey = try await start(LabGuest("web1", kind: .pvh), hosts)
                let plan = try await a.run("\(Self.migrate) --dry-run", timeout: .seconds(120)).stdout
                #expect(plan.contains("Method: live, its disks are shared"), "\(plan)")
                #expect(plan.contains("xl migrate-receive -p") && plan.contains("--- freeze 1 ---"), "\(plan)")

                var logs: [LabProcess] = []
                for source in [a, b] {
                    let target = hosts.peer(of: source)
                    try await target.expectArrival(of: journey.guest)
                    let moved = try await hosts.migrate("web1", from: source)
                    #expect(moved.report.method == "live" && moved.report.freezes.map(\.number) == [1])
                    logs.append(try await landed(&journey, on: target))
                    try await expectMoved(&journey, moved, hosts)
                }

                try await b.expectArrival(of: journey.guest)
                try await hosts.crash(Self.migrate, at: "reserveTarget:after", on: a)
                let id = try await hosts.identifier(of: "web1", on: a)
                for step in [
                    "clearTarget", "recallOnSource", "checkSharedDisks", "moveLive", "quietSource", "decide",
                    "acknowledgeDecision", "startOnTarget", "cleanSource", "cleanTarget", "closeTarget",
                ] {
                    // An attempt that was broken off has left its log.
                    if ["clearTarget", "recallOnSource", "checkSharedDisks", "moveLive", "quietSource", "decide"]
                        .contains(step)
                    {
                        try await b.expectArrival(of: journey.guest)
                    }
                    try await hosts.crash("xenlvs migration resume \(id)", at: "\(step):after", on: a)
                    let running = try await hosts.hostsRunning(journey.guest)
                    let frozen = ["moveLive", "quietSource", "decide", "acknowledgeDecision"]
                    #expect(running.count <= 1, "it runs on both hosts after \(step)")
                    #expect(running.isEmpty == frozen.contains(step), "after \(step) it runs on \(running)")
                }
                let finished = try await hosts.proceed("resume", id, on: a)
                logs.append(try await landed(&journey, on: b))
                try await expectMoved(&journey, finished, hosts)

                for log in logs { try await log.signal() }
                try await end(&journey, hosts)
            }
        }

        @Test(
            "One that is aborted, or loses its link before the decision, leaves the guest where it was",
            .onlyInTheFullRun, .timeLimit(.minutes(20)))
        func stays() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                var journey = try await start(LabGuest("web1", kind: .pvh), hosts)
                for step in ["checkSharedDisks", "moveLive", "quietSource"] {
                    try await hosts.crash(Self.migrate, at: "\(step):after", on: a)
                    let id = try await hosts.identifier(of: "web1", on: a)
                    try await hosts.abort(id, on: a)
                    try await expectStayed(&journey, id, hosts)
                }

                // 'xl migrate' itself is killed while it sends.
                let killed = try await hosts.beginMigrating("web1", from: a)
                try await b.waitForArrival()
                try await a.run("pkill -KILL -f '^[^ ]*xl -vvv migrate'")
                try await hosts.end(killed, expecting: 2, saying: ["xl"])
                try await expectStayed(&journey, try await hosts.identifier(of: "web1", on: a), hosts)

                let run = try await hosts.beginMigrating("web1", from: a)
                try await b.waitForArrival()
                try await a.cutLink(.cluster)
                try await hosts.expectRunning(journey.guest, on: [a], "while the link is cut")
                try await journey.goesOn(for: 20)
                let ended = try await run.wait()
                #expect(ended.exit == 2 || ended.exit == 3, "\(ended)")
                try await hosts.expectRunning(journey.guest, on: [a], "after the link was cut")
                try await a.restoreLink(.cluster)
                let id = try await hosts.identifier(of: "web1", on: a)
                if ended.exit == 3 { try await hosts.abort(id, on: a) }
                try await expectStayed(&journey, id, hosts)

                // Once the domain was let go, a killed 'xl migrate' changes nothing any more.
                try await b.expectArrival(of: journey.guest)
                let stopped = try await hosts.stop(Self.migrate, at: "quietSource:before", on: a)
                try await a.run("pkill -KILL -f '^[^ ]*xl -vvv migrate'")
                try await stopped.letGo()
                try await hosts.end(stopped, expecting: 0)
                let log = try await landed(&journey, on: b)
                try await hosts.expectRunning(journey.guest, on: [b], "after its migration")
                try await log.signal()
                try await end(&journey, hosts)
            }
        }

        @Test(
            "A PV guest is saved, sent and restored, there and back, and a run that is killed is resumed or taken back",
            .onlyInTheFullRun, .timeLimit(.minutes(20)))
        func saved() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                var journey = try await start(LabGuest("web1"), hosts)
                let moved = try await hosts.migrate("web1", from: a)
                #expect(moved.report.method == "one-freeze" && moved.report.freezes.map(\.number) == [1])
                #expect(moved.stderr.contains("has no shadow paging"), "\(moved.stderr)")
                try await journey.arrived(on: b)
                try await expectMoved(&journey, moved, hosts)
                let back = try await hosts.migrate("web1", from: b)
                try await journey.arrived(on: a)
                try await expectMoved(&journey, back, hosts)

                for step in ["transferImage", "quietSource", "finishRestore"] {
                    try await hosts.crash(Self.migrate, at: "\(step):after", on: a)
                    let id = try await hosts.identifier(of: "web1", on: a)
                    try await hosts.abort(id, on: a)
                    try await expectStayed(&journey, id, hosts)
                }
                try await hosts.crash(Self.migrate, at: "transferImage:after", on: a)
                let id = try await hosts.identifier(of: "web1", on: a)
                try await hosts.crash("xenlvs migration resume \(id)", at: "finishRestore:after", on: a)
                try await hosts.crash("xenlvs migration resume \(id)", at: "decide:after", on: a)
                let finished = try await hosts.proceed("resume", id, on: a)
                try await journey.arrived(on: b)
                try await expectMoved(&journey, finished, hosts)
                try await end(&journey, hosts)
            }
        }
    }
}

extension Scenarios.SharedMigrations {
    /// A guest on nodea whose disk nodeb sees.
    private func start(_ guest: LabGuest, _ hosts: Hosts) async throws -> Journey {
        let journey = try await hosts.start(guest, on: hosts.a)
        try await hosts.b.run("modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
        let shared = try await hosts.a.run(Self.share, timeout: .seconds(180))
        #expect(shared.stdout.contains("shared over iscsi with nodeb"), "\(shared)")
        return journey
    }

    private func landed(_ journey: inout Journey, on node: LabNode) async throws -> LabProcess {
        let log = try await node.followArrival(of: journey.guest)
        try await journey.arrived(on: node)
        return log
    }

    private func expectMoved(
        _ journey: inout Journey, _ migration: FinishedMigration, _ hosts: Hosts,
        at place: SourceLocation = #_sourceLocation
    ) async throws {
        try await journey.goesOn()
        try await hosts.expectRunning(journey.guest, on: [journey.node], "after its migration", at: place)
        #expect(migration.report.outcome.state == "migrated", sourceLocation: place)
        try await expectNothingElse(than: journey, migration.id, "migrated", hosts, at: place)
        let console = try await journey.console()
        let freezes = migration.report.freezes.map { "\($0.milliseconds)" }.joined(separator: ", ")
        print(
            "\(migration.id) to \(journey.node.name), \(migration.report.method): \(migration.report.totalMilliseconds) ms,",
            "freezes \(freezes) ms, the guest's longest gap so far \(console.longestGap) ms")
    }

    private func expectStayed(
        _ journey: inout Journey, _ id: String, _ hosts: Hosts, at place: SourceLocation = #_sourceLocation
    ) async throws {
        try await journey.goesOn()
        try await hosts.expectRunning(journey.guest, on: [journey.node], "after \(id)", at: place)
        try await expectNothingElse(than: journey, id, "rolledBack", hosts, at: place)
    }

    /// No other domain, in whatever state and under whatever name, and both journals closed.
    private func expectNothingElse(
        than journey: Journey, _ id: String, _ state: String, _ hosts: Hosts, at place: SourceLocation
    ) async throws {
        for node in hosts.all {
            let expected = node.name == journey.node.name ? [journey.guest.name] : []
            let found = try await node.guests().keys.sorted()
            #expect(found == expected, "on \(node.name)", sourceLocation: place)
            let recorded = try await node.migrations().first { $0.id == id }?.state
            #expect(recorded == state, "in \(node.name)'s journal", sourceLocation: place)
        }
    }

    /// Shuts the guest down and looks at its disk, then at what is left on the hosts.
    private func end(_ journey: inout Journey, _ hosts: Hosts) async throws {
        try await journey.node.shutDown(journey.guest)
        try await Task.sleep(for: .seconds(1))
        let console = try await journey.console()
        for problem in try await hosts.a.disk("/dev/xenlvs/web1").problems(given: console) {
            Issue.record("\(problem)")
        }
        print("the guest's longest gap: \(console.longestGap) ms over \(console.ticks.count) ticks")
        let ended = try await hosts.a.run("xenlvs unshare web1", timeout: .seconds(180))
        #expect(ended.stdout.contains("removed web1 on nodeb"), "\(ended)")
        let problems =
            try await hosts.a.residue(volumes: ["web1"], links: ["web1"])
            + hosts.b.residue(volumes: [], links: [])
        #expect(problems.isEmpty, "\(problems)")
    }
}

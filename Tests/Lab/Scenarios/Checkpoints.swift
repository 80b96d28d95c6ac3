import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A guest's memory and disks of one moment.
    @Suite("A checkpoint", .onlyInTheFullRun)
    struct Checkpoints {
        @Test(
            "It is made while the guest runs, survives, and brings the guest back more than once",
            .timeLimit(.minutes(15)))
        func thereAndBack() async throws {
            try await scenario { hosts in
                let a = hosts.a
                let guest = LabGuest("web1", volumes: ["web1", "data"])
                let journey = try await hosts.start(guest, hasSwitch: true, on: a)
                let made = try await a.run("xenlvs domain checkpoint create web1", timeout: .seconds(120))
                print(made.stdout)
                #expect(made.stdout.hasPrefix("web1-1: "), "\(made.stdout)")
                let then = try await ticks(guest, on: a)
                try await journey.goesOn(for: 10)
                let list = try await a.run("xenlvs domain checkpoint list; xenlvs volume list").stdout
                #expect(list.contains("vg0/web1.cp1") && list.contains("vg0/data.cp1"), "\(list)")
                for (command, words) in [
                    ("xenlvs domain checkpoint restore web1-1", "xl shutdown web1"),
                    ("xenlvs volume remove web1.cp1", "belongs to the checkpoint"),
                    ("xenlvs domain checkpoint restore web1-9", "no checkpoint"),
                ] {
                    let refused = try await a.run(command, check: false)
                    #expect(
                        [5, 6].contains(refused.exit) && refused.stderr.contains(words), "\(command): \(refused.stderr)"
                    )
                }
                for _ in 1...2 {
                    try await a.run("xl destroy web1")
                    let back = try await a.run("xenlvs domain checkpoint restore web1-1", timeout: .seconds(180))
                    print(back.stderr + back.stdout)
                    try await a.run("sleep 3")
                    let console = try await a.console(of: guest)
                    #expect(console.boots.count == 1, "it was booted anew")
                    #expect(console.errors.isEmpty, "\(console.errors)")
                    // It counts on from where it was, not from where it is.
                    let first = try #require(console.ticks.drop { $0.number <= then }.first { $0.number <= then + 15 })
                    #expect(first.number > 0)
                    #expect(try await ticks(guest, on: a) > 0)
                }
                try await a.run("xenlvs domain checkpoint remove web1-1")
                try await a.shutDown(guest)
                for volume in guest.volumes {
                    let disk = try await a.disk("/dev/xenlvs/\(volume)")
                    #expect(disk.isSound, "\(disk.report)")
                }
                let problems = try await a.residue(
                    volumes: ["web1", "data"], links: ["web1", "data"], switches: ["web1", "data"])
                #expect(problems.isEmpty, "\(problems)")
                #expect(try await a.run("ls /var/lib/xenlvs/checkpoints").text.isEmpty)
            }
        }

        private func ticks(_ guest: LabGuest, on node: LabNode) async throws -> Int {
            try await node.console(of: guest).ticks.last?.number ?? 0
        }

        @Test(
            "A checkpoint that is killed at any place leaves a guest that runs, once 'recover' was run",
            .timeLimit(.minutes(20)))
        func killed() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                let create = "xenlvs domain checkpoint create web1"
                for place in [
                    "checkpointNote:after", "checkpointMemory:before", "checkpointMemory:after",
                    "checkpointSnapshot:after",
                    "checkpointGoOn:before", "checkpointGoOn:after", "checkpointSeal:before",
                ] {
                    try await hosts.crash(create, at: place, on: a)
                    let doctor = try await a.run("xenlvs doctor", check: false)
                    #expect(doctor.exit == 1 && doctor.stdout.contains("xenlvs recover"), "\(place): \(doctor.stdout)")
                    let second = try await a.run(create, check: false)
                    #expect(second.exit == 5, "\(place): \(second.stderr)")
                    let recovered = try await a.run("xenlvs recover --wait 0", timeout: .seconds(180))
                    #expect(
                        recovered.stdout.contains("the checkpoint web1-1 was cut off and is removed"),
                        "\(place): \(recovered.stdout)")
                    try await hosts.verifySwitched(&journey, ends: false)
                }
                try await hosts.kill(create, during: "save", on: a)
                try await a.run("xenlvs recover --wait 0", timeout: .seconds(180))
                try await hosts.verifySwitched(&journey, ends: false)
                try await hosts.verifySwitched(&journey)
            }
        }

        @Test("A restore that is killed at any place is finished by the next one", .timeLimit(.minutes(30)))
        func restoreKilled() async throws {
            try await scenario { hosts in
                let a = hosts.a
                let guest = LabGuest("web1")
                let journey = try await hosts.start(guest, hasSwitch: true, on: a)
                try await a.run("xenlvs domain checkpoint create web1", timeout: .seconds(120))
                try await journey.goesOn(for: 10)
                let restore = "xenlvs domain checkpoint restore web1-1"
                for place in [
                    "checkpointRollBack:before", "checkpointRollBack:after", "checkpointRevive:before",
                    "checkpointRevive:after", "checkpointStart:before", "checkpointStart:after",
                ] {
                    try await a.run("xl destroy web1 2>/dev/null; true")
                    try await hosts.crash(restore, at: place, on: a)
                    let removed = try await a.run("xenlvs volume remove web1", check: false)
                    #expect(removed.exit != 0)
                    try await isFinished(restore, after: place, guest, on: a)
                }
                // The 'xl' that has watched over the guest ends with it, and is not to be taken for one at work.
                try await a.run("xl destroy web1; while pgrep -f '^[^ ]*xl restore' >/dev/null; do sleep 0.1; done")
                try await hosts.kill(restore, during: "restore", on: a)
                try await isFinished(restore, after: "xl restore", guest, on: a)
                try await isNotTakenForRestored(restore, guest, hosts)
                // While the disks are put back nobody starts the guest on half of it.
                try await a.run("xl destroy web1")
                let run = try await hosts.stop(restore, at: "checkpointRollBack:before", on: a)
                try await run.signal("KILL")
                _ = try? await run.wait()
                try await a.run(restore, timeout: .seconds(180))
                try await a.run("xenlvs domain checkpoint remove web1-1")
                try await a.shutDown(guest)
                #expect(try await a.disk("/dev/xenlvs/web1").isSound)
            }
        }

        private func isFinished(
            _ restore: String, after place: String, _ guest: LabGuest, on node: LabNode
        ) async throws {
            let done = try await node.run(restore, timeout: .seconds(180))
            #expect(done.stdout.contains("web1 runs"), "\(place): \(done.stdout)")
            try await node.run("sleep 2")
            let console = try await node.console(of: guest)
            #expect(console.boots.count == 1 && console.errors.isEmpty, "\(place): \(console.errors)")
        }

        /// Somebody starts the guest from its disks after a restore was killed right before its memory came back.
        private func isNotTakenForRestored(_ restore: String, _ guest: LabGuest, _ hosts: Hosts) async throws {
            let a = hosts.a
            try await a.run("xl destroy web1")
            try await hosts.crash(restore, at: "checkpointRevive:before", on: a)
            try await a.create(guest)
            let refused = try await a.run(restore, check: false)
            #expect(refused.exit == 5 && refused.stderr.contains("not known to be"), "\(refused.stderr)")
            #expect(try await a.guests()["web1"] != nil)
            try await a.run("xl destroy web1")
            let done = try await a.run(restore, timeout: .seconds(180))
            #expect(done.stdout.contains("web1 runs"), "\(done.stdout)")
        }
    }
}

import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    @Suite("Trouble on the way")
    struct OnTheWay {
        @Test(
            "A target that is switched off does not touch the guest: the sync is resumed, the hand-over rolled back",
            .onlyInTheFullRun, .timeLimit(.minutes(30)))
        func targetSwitchedOff() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                let (running, id) = try await hosts.beginSynchronising("web1", from: hosts.a, bandwidth: "2M")
                try await hosts.b.powerOff()
                try await hosts.end(running, expecting: 3, saying: ["nodeb", "xenlvs migration resume \(id)"])
                try await hosts.expectRunning(journey.guest, on: [hosts.a], "while the target is off")
                try await journey.goesOn()
                try await switchOn(hosts.b)

                // The second time within the hand-over, when the guest is saved and the target holds its image.
                let resumed = try await hosts.stop(
                    "xenlvs migration resume \(id)", at: "demoteSource:before", on: hosts.a)
                try await hosts.expectRunning(journey.guest, on: [], "in the hand-over")
                try await hosts.b.powerOff()
                try await resumed.letGo()
                try await hosts.end(resumed, expecting: 3, saying: ["nodeb", "xenlvs migration resume \(id)"])
                try await hosts.expectRunning(journey.guest, on: [hosts.a], "after the rollback")
                try await journey.goesOn()
                let link = try await hosts.a.run("readlink -f /dev/xenlvs/web1; readlink -f /dev/vg0/web1").text
                #expect(Set(link.split(separator: "\n")).count == 1, "the guest is not back on its volume: \(link)")

                try await switchOn(hosts.b)
                let tidied = try await hosts.proceed("resume", id, on: hosts.a, expecting: 2)
                #expect(tidied.report.outcome.state == "rolledBack")
                let console = try await hosts.verifyStayed(&journey, id)
                // A target that has died may hold up a write until DRBD has noticed.
                #expect(console.longestGap < 120_000, "the guest stood still for \(console.longestGap) ms")
            }
        }

        private func switchOn(_ node: LabNode) async throws {
            try await node.powerOn()
            try await node.waitUntilReady()
        }

        @Test(
            "An ssh that hangs stops the sync where it can be resumed, and rolls the hand-over back",
            .onlyInTheFullRun, .timeLimit(.minutes(30)))
        func sshCut() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                let (running, id) = try await hosts.beginSynchronising("web1", from: hosts.a, bandwidth: "2M")
                try await hosts.a.cutSSH(to: hosts.b)
                try await hosts.end(running, expecting: 3, saying: ["nodeb", "xenlvs migration resume \(id)"])
                try await hosts.expectRunning(journey.guest, on: [hosts.a], "without ssh")
                try await journey.goesOn()
                try await hosts.a.restoreSSH(to: hosts.b)

                // The worst place: the target is Primary already and waits for no more than the word to go on.
                let resumed = try await hosts.stop(
                    "xenlvs migration resume \(id)", at: "finishRestore:before", on: hosts.a)
                try await hosts.a.cutSSH(to: hosts.b)
                try await resumed.letGo()
                try await hosts.end(resumed, expecting: 3, saying: ["nodeb", "xenlvs migration resume \(id)"])
                try await hosts.expectRunning(journey.guest, on: [hosts.a], "after the rollback")
                try await journey.goesOn()
                try await hosts.a.restoreSSH(to: hosts.b)
                let tidied = try await hosts.proceed("resume", id, on: hosts.a, expecting: 2)
                #expect(tidied.report.outcome.state == "rolledBack")
                try await hosts.verifyStayed(&journey, id)
            }
        }

        @Test(
            "Where 'xl restore' fails on the target, the guest is put back in the same freeze", .onlyInTheFullRun,
            .timeLimit(.minutes(15)))
        func restoreFails() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                let running = try await hosts.stop(
                    "xenlvs migrate web1 --to nodeb", at: "linkTargetToReplica:before", on: hosts.a)
                // Somebody starts another guest there after the preflight has found enough memory.
                let filler = LabGuest("filler", volumes: ["filler"])
                try await hosts.b.run(
                    """
                    set -e; free=$(xl info free_memory)
                    cat >/etc/xen/filler.cfg <<END
                    name = "filler"
                    type = "pv"
                    kernel = "/lab/guest/vmlinuz"
                    memory = $((free - 60))
                    END
                    xl create -q -p /etc/xen/filler.cfg
                    """)
                try await running.letGo()
                try await hosts.end(running, expecting: 2, saying: ["rolled back", "nodeb", "memory"])
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                try await hosts.b.destroy(filler)
                let report = try await hosts.a.report(id)
                #expect(report.freezes.map(\.number) == [1, 2], "the guest was stopped once more to go back")
                try await hosts.verifyStayed(&journey, id)
            }
        }

        @Test(
            "Where the disk is full while the image is written, the guest runs on and nothing is lost",
            .onlyInTheFullRun, .timeLimit(.minutes(20)))
        func diskFull() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                // A file system of its own for the images: room for one, and then somebody takes half of it.
                let images = "/var/lib/xenlvs/images"
                let fill = "dd if=/dev/zero of=\(images)/filler bs=1M count=70 status=none"
                let mount = "mkdir -p \(images); mount -t tmpfs -o size=110m tmpfs \(images)"
                try await hosts.a.run(mount)
                do {
                    let first = try await hosts.stop(
                        "xenlvs migrate web1 --to nodeb", at: "saveForReplica:before", on: hosts.a)
                    try await hosts.a.run(fill)
                    try await first.letGo()
                    try await hosts.end(first, expecting: 2, saying: ["rolled back", "full"])
                    try await hosts.a.run("rm \(images)/filler")
                    let id = try await hosts.identifier(of: "web1", on: hosts.a)
                    try await hosts.verifyStayed(&journey, id, ends: false)

                    // In the hand-over the way back needs an image too: the guest runs on, on its replica.
                    let second = try await hosts.stop(
                        "xenlvs migrate web1 --to nodeb", at: "transferImage:before", on: hosts.a)
                    try await hosts.a.run(fill)
                    try await second.letGo()
                    try await hosts.end(second, expecting: 4, saying: ["full", "xenlvs migration"])
                    try await hosts.expectRunning(journey.guest, on: [hosts.a], "on a full disk")
                    try await journey.goesOn()
                    try await hosts.a.run("rm \(images)/filler")
                    let later = try await hosts.identifier(of: "web1", on: hosts.a)
                    try await hosts.abort(later, on: hosts.a)
                    try await hosts.verifyStayed(&journey, later)
                } catch {
                    _ = try? await hosts.a.run("umount -l \(images)")
                    throw error
                }
                try await hosts.a.run("umount \(images)")
            }
        }

        @Test(
            "A second migration of a domain is refused, and Ctrl-C in the sync brings the guest back",
            .timeLimit(.minutes(15)))
        func interrupted() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                let (running, id) = try await hosts.beginSynchronising("web1", from: hosts.a, bandwidth: "1M")
                let second = try await hosts.a.run("xenlvs migrate web1 --to nodeb", check: false)
                #expect(second.exit == 5)
                #expect(second.stderr.contains("being migrated already"), "\(second.stderr)")
                let resume = try await hosts.a.run("xenlvs migration resume \(id)", check: false)
                #expect(resume.exit == 5, "a second run was let in: \(resume.stderr)")
                #expect(running.isRunning, "the migration was disturbed by a second one: \(running.errors)")
                try await running.signal("INT")
                try await hosts.end(running, expecting: 130, saying: ["rolled back"])
                try await hosts.verifyStayed(&journey, id)
            }
        }
    }
}

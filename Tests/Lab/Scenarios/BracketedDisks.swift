import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A guest that has its LVs open gets switches by being saved and restored once.
    @Suite("A bracket that puts a switch below a guest", .onlyInTheFullRun)
    struct BracketedDisks {
        @Test("The guest goes on where it was, and its disk can be swapped from then on", .timeLimit(.minutes(15)))
        func prepared() async throws {
            try await scenario { hosts in
                let a = hosts.a
                let guest = LabGuest("web1", volumes: ["web1", "data"])
                var journey = try await hosts.start(guest, on: a)
                let refused = try await a.run("xenlvs swap web1 --to replica", check: false)
                #expect(refused.exit == 1 && refused.stderr.contains("domain prepare"), "\(refused.stderr)")
                let swapped = try await a.run("xenlvs swap web1 --to replica --bracket", timeout: .seconds(180))
                print(swapped.stderr + swapped.stdout)
                #expect(swapped.stderr.contains("stood still for"), "\(swapped.stderr)")
                try await journey.goesOn()
                // Once is enough.
                let again = try await a.run("xenlvs domain prepare web1 --now", timeout: .seconds(120))
                #expect(!again.stderr.contains("stood still"), "\(again.stderr)")
                try await a.run("xenlvs swap web1 --to volume", timeout: .seconds(120))
                #expect(try await a.run("ls /var/lib/xenlvs/brackets").text.isEmpty)
                let console = try await hosts.verifySwitched(&journey)
                print("the guest's longest gap: \(console.longestGap) ms")
            }
        }

        @Test("A bracket that is killed at any place is finished by 'recover'", .timeLimit(.minutes(20)))
        func killed() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), on: a)
                for place in [
                    "swapBracket:before", "swapBracket:after", "swapBracketBack:before", "swapBracketBack:after",
                ] {
                    try await hosts.crash("xenlvs domain prepare web1 --now", at: place, on: a)
                    let doctor = try await a.run("xenlvs doctor", check: false)
                    #expect(doctor.exit == 1 && doctor.stdout.contains("xenlvs recover"), "\(place): \(doctor.stdout)")
                    let recovered = try await a.run("xenlvs recover --wait 0", timeout: .seconds(180))
                    #expect(recovered.stdout.contains("domain web1: "), "\(place): \(recovered.stdout)")
                    try await hosts.verifySwitched(&journey, ends: false)
                    // Back to the LV itself, for the next place.
                    try await a.shutDown(journey.guest)
                    try await a.run(
                        "dmsetup remove xenlvs-switch-web1; ln -sfn /dev/vg0/web1 /dev/xenlvs/web1")
                    try await journey.startedAgain(on: a, hosts)
                }
                try await hosts.kill("xenlvs domain prepare web1 --now", during: "save", on: a)
                try await a.run("xenlvs recover --wait 0", timeout: .seconds(180))
                try await journey.goesOn()
                try await a.run("xenlvs recover --wait 0", timeout: .seconds(180))
                try await hosts.verifySwitched(&journey)
            }
        }
    }
}

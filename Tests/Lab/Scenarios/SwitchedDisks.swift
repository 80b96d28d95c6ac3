import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A running guest's disk is led to a replica and back by its switch.
    @Suite("A disk with a switch")
    struct SwitchedDisks {
        @Test(
            "A prepared domain's disk goes to a replica and back while it runs, and nothing is lost",
            .timeLimit(.minutes(20)))
        func thereAndBack() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), on: a)
                let bare = try await a.run("xenlvs swap web1 --to replica", check: false)
                #expect(bare.exit == 1 && bare.stderr.contains("xenlvs domain prepare"), "\(bare.stderr)")

                try await a.run("xenlvs domain prepare web1")
                try await journey.goesOn()
                let early = try await a.run("xenlvs swap web1 --to replica", check: false)
                #expect(early.exit == 5 && early.stderr.contains("has the LV itself open"), "\(early.stderr)")
                try await a.shutDown(journey.guest)
                try await journey.startedAgain(on: a, hosts)

                let there = try await a.run("xenlvs swap web1:xvda --to replica", timeout: .seconds(120))
                print("to the replica:\n\(there.stdout)")
                #expect(there.stdout.contains("/dev/drbd0"))
                try await expectOnReplica(a)
                try await journey.goesOn()
                let again = try await a.run("xenlvs swap web1 --to replica")
                #expect(again.stdout.contains("was there"), "\(again.stdout)")
                try await expectKept(a)

                let back = try await a.run("xenlvs swap web1 --to volume", timeout: .seconds(120))
                print("to the volume:\n\(back.stdout)")
                try await a.run("xenlvs doctor --format json >/root/doctor", check: false)
                let doctor = try await a.run("grep -i switch /root/doctor; rm /root/doctor").stdout
                #expect(doctor.contains("every switch leads where it has to"), "\(doctor)")
                let console = try await hosts.verifySwitched(&journey)
                print("the guest's longest gap: \(console.longestGap) ms over \(console.ticks.count) ticks")
            }
        }

        /// DRBD is below the guest: it has written.
        private func expectOnReplica(_ node: LabNode) async throws {
            let table = try await node.run("dmsetup table xenlvs-switch-web1").text
            #expect(table.contains("linear 147:0 0"), "\(table)")
            let state = try await node.run("cat /proc/drbd; cat /sys/block/dm-*/dm/name").stdout
            #expect(state.contains("ro:Primary/") && state.contains("ds:UpToDate/"), "\(state)")
            #expect(state.contains("xenlvs-lower-web1"), "\(state)")
        }

        /// What would take the disk away, or count on its size, is refused meanwhile.
        private func expectKept(_ node: LabNode) async throws {
            for (command, words) in [
                ("xenlvs volume resize web1 --size 40M", "replica"), ("xenlvs volume remove web1", "replica"),
                ("xenlvs migrate web1 --to nodeb", "xenlvs swap web1 --to volume"),
            ] {
                let refused = try await node.run(command, timeout: .seconds(120), check: false)
                #expect([1, 5].contains(refused.exit), "\(command): \(refused.exit)")
                #expect(refused.stderr.contains(words), "\(command): \(refused.stderr)")
            }
            let shown = try await node.run("xenlvs volume show web1; xenlvs volume list; xenlvs domain list").stdout
            #expect(shown.contains("147:0, replica") && shown.contains("on a replica"), "\(shown)")
        }

        @Test("Strangers, a second opener and a device that is too small are noticed", .timeLimit(.minutes(10)))
        func trouble() async throws {
            try await scenario { hosts in
                let a = hosts.a
                // Somebody else's device has the name: nothing is made, and it stays.
                try await a.run("dmsetup create xenlvs-switch-web1 -u other-1 --table '0 8192 zero'")
                let foreign = try await a.run("xenlvs volume create web1 --size 32M", check: false)
                #expect(foreign.exit == 1 && foreign.stderr.contains("its UUID is other-1"), "\(foreign.stderr)")
                #expect(try await a.run("lvs --noheadings; ls /dev/xenlvs 2>/dev/null || true").text.isEmpty)
                #expect(try await a.run("dmsetup table xenlvs-switch-web1").text == "0 8192 zero")
                try await a.run("dmsetup remove xenlvs-switch-web1")

                try await a.run("xenlvs volume create web1 --size 32M --switch")
                // Somebody who is no guest has it open.
                let opener = try await a.start("exec sleep 600 </dev/mapper/xenlvs-switch-web1")
                let second = try await a.run("xenlvs swap web1 --to replica", check: false)
                #expect(second.exit == 5 && second.stderr.contains("is open 1 times"), "\(second.stderr)")
                let held = try await a.run("xenlvs volume remove web1", check: false)
                #expect(held.exit == 5, "\(held.stderr)")
                try await opener.signal("KILL")
                _ = try? await opener.wait()

                try await refusedExchange(hosts)
                try await suspended(hosts)

                try await a.run("xenlvs volume resize web1 --size 40M")
                #expect(try await a.run("blockdev --getsize64 /dev/xenlvs/web1").text == "\(40 << 20)")
                try await a.run("xenlvs volume remove web1")
                #expect(try await a.residue(volumes: [], links: []).isEmpty)
            }
        }

        /// The kernel compares sizes only when the table is exchanged, and leaves the device suspended then.
        private func refusedExchange(_ hosts: Hosts) async throws {
            let a = hosts.a
            try await a.run("xenlvs swap web1 --to replica", timeout: .seconds(120))
            let run = try await hosts.stop("xenlvs swap web1 --to volume", at: "swapExchange:before", on: a)
            try await a.run("lvreduce -qq -f -y -L 28M vg0/web1 2>&1")
            try await run.letGo()
            try await hosts.end(run, expecting: 1, saying: ["the former table was put back at once"])
            let state = try await a.run("dmsetup info xenlvs-switch-web1; dmsetup table xenlvs-switch-web1").stdout
            #expect(state.contains("ACTIVE") && state.contains("linear 147:0 0"), "\(state)")
            #expect(!state.contains("INACTIVE") && !state.contains("SUSPENDED"), "\(state)")
            try await a.run("lvextend -qq -L 32M vg0/web1")
            try await a.run("xenlvs swap web1 --to volume", timeout: .seconds(120))
        }

        /// As a run leaves it that is killed while it puts a table back.
        private func suspended(_ hosts: Hosts) async throws {
            let a = hosts.a
            try await a.run("dmsetup suspend --nolockfs xenlvs-switch-web1")
            let shown = try await a.run("xenlvs volume show web1").stdout
            #expect(shown.contains("suspended"), "\(shown)")
            try await a.run("xenlvs recover --wait 0")
            let state = try await a.run("dmsetup info xenlvs-switch-web1").stdout
            #expect(state.contains("ACTIVE"), "\(state)")
        }
    }
}

import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A running guest's disk goes to other storage below it.
    @Suite("A disk that is swapped to another place", .onlyInTheFullRun)
    struct MovedDisks {
        private static let copy = "xenlvs swap web1 --to vg:vg1 --copy"

        @Test(
            "A running guest's disk is copied to another volume group while it writes, and nothing is lost",
            .timeLimit(.minutes(15)))
        func toGroup() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for (flags, words) in [("", "--copy"), ("--same-data", "--copy")] {
                    let refused = try await a.run("xenlvs swap web1 --to vg:vg1 \(flags)", check: false)
                    #expect(refused.exit == 64 && refused.stderr.contains(words), "\(refused.stderr)")
                }
                let there = try await a.run(Self.copy, timeout: .seconds(300))
                print("to vg1:\n\(there.stderr)\(there.stdout)")
                #expect(there.stdout.contains("vg1/web1"), "\(there.stdout)")
                try await expectMoved(a, to: "vg1", keeping: "web1.old", in: "vg0")
                try await journey.goesOn()
                let again = try await a.run(Self.copy)
                #expect(again.stdout.contains("was there"), "\(again.stdout)")

                // Slowly, and into larger extents: the guest's disk grows. The former name is taken.
                try await a.run("xenlvs volume create web1.old2 --size 4M")
                let back = try await a.run(
                    "xenlvs swap web1 --to vg:vg0 --copy --bandwidth 4M", timeout: .seconds(300))
                print("back, slowly:\n\(back.stderr)\(back.stdout)")
                try await expectMoved(a, to: "vg0", keeping: "web1.old", in: "vg1", number: 3)
                try await journey.goesOn()
                for name in ["web1.old", "web1.old2", "web1.old3"] { try await a.run("xenlvs volume remove \(name)") }
                let console = try await hosts.verifySwitched(&journey)
                print("the guest's longest gap: \(console.longestGap) ms over \(console.ticks.count) ticks")
            }
        }

        /// The volume is where it has to be, the old copy cannot be written or started, and doctor has nothing to say.
        private func expectMoved(
            _ node: LabNode, to group: String, keeping old: String, in former: String, number: Int = 1
        ) async throws {
            let table = try await node.run("dmsetup table xenlvs-switch-web1; lsblk -dno MAJ:MIN /dev/\(group)/web1")
                .text
            let lines = table.split(separator: "\n")
            #expect(lines.count == 2 && lines[0].contains("linear \(lines[1]) 0"), "\(table)")
            let list = try await node.run("xenlvs volume list; xenlvs volume show web1").stdout
            #expect(list.contains("\(group)/web1 ") && list.contains("former"), "\(list)")
            let lvs = try await node.run("lvs --noheadings --separator , -o vg_name,lv_name,lv_attr,lv_tags").stdout
            let name = number == 1 ? old : "\(old)\(number)"
            #expect(lvs.contains("\(former),\(name),-ri"), "\(lvs)")
            #expect(!lvs.contains("copylog") && !lvs.contains("xenlvs.swap"), "\(lvs)")
            let written = try await node.run(
                "dd if=/dev/zero of=/dev/\(former)/\(name) bs=4k count=1 oflag=direct", check: false)
            #expect(written.exit != 0)
            #expect(try await node.run("ls /dev/xenlvs/\(name)", check: false).exit != 0, "an old copy has no link")
            try await node.run("xenlvs doctor --format json >/root/doctor", check: false)
            let doctor = try await node.run("grep -i switch /root/doctor; rm /root/doctor").stdout
            #expect(doctor.contains("every switch leads where it has to"), "\(doctor)")
        }

        private static let places = [
            "swapRecord:after", "swapTarget:before", "swapTarget:after", "swapMirror:before", "swapMirror:after",
            "swapWindow:before", "swapWindow:after", "swapCompare:before", "swapCompare:after", "swapCommit:before",
            "swapCommit:after", "swapExchange:before", "swapExchange:after", "swapRename:before", "swapRename:after",
            "swapSettle:before", "swapSettle:after",
        ]

        @Test(
            "A copy that is killed at any place is taken back before its decision, and finished after it",
            .timeLimit(.minutes(25)))
        func killed() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                let decided = Self.places.firstIndex(of: "swapCommit:after") ?? 0
                for place in Self.places[..<decided] {
                    try await hosts.crash("\(Self.copy) --bandwidth 12M", at: place, on: a)
                    try await journey.goesOn(for: 2)
                    try await a.run("xenlvs swap web1 --to volume", timeout: .seconds(120))
                    try await hosts.verifySwitched(&journey, ends: false)
                    #expect(try await a.run("lvs --noheadings vg1").text.isEmpty, "left after \(place)")
                }
                // All of it once, each run killed one place later.
                for place in Self.places {
                    try await hosts.crash("\(Self.copy) --bandwidth 12M", at: place, on: a)
                    try await journey.goesOn(for: 2)
                    let shown = try await a.run("xenlvs volume show web1").stdout
                    #expect(
                        shown.contains("xenlvs swap web1") || shown.contains("link repair")
                            || place == "swapSettle:after",
                        "\(place): \(shown)")
                }
                try await a.run(Self.copy, timeout: .seconds(120))
                try await expectMoved(a, to: "vg1", keeping: "web1.old", in: "vg0")
                try await journey.goesOn()
                try await a.run("xenlvs volume remove web1.old")
                let refused = try await a.run("xenlvs swap web1 --to vg:vg9 --copy", check: false)
                #expect(refused.exit == 6, "\(refused.stderr)")
                try await verifyDisk(&journey, hosts)
            }
        }

        @Test(
            "After a power cut in the middle of a copy it goes on, or is finished where it was decided",
            .timeLimit(.minutes(25)))
        func powerCut() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for place in [
                    "swapTarget:after", "swapWindow:after", "swapCompare:before", "swapCommit:after",
                    "swapExchange:after",
                ] {
                    try await hosts.crash("\(Self.copy) --bandwidth 12M", at: place, on: a)
                    try await journey.goesOn()
                    _ = try await journey.console()
                    try await a.powerOff()
                    try await hosts.switchOn()
                    let table = try await a.run("dmsetup table xenlvs-switch-web1").text
                    let isMirror = ["swapWindow:after", "swapCompare:before"].contains(place)
                    #expect(table.contains("mirror disk") == isMirror, "\(place): \(table)")
                    try await journey.startedAgain(on: a, hosts)
                    if place == "swapCommit:after" {
                        try await expectMoved(a, to: "vg1", keeping: "web1.old", in: "vg0")
                        try await a.run("xenlvs swap web1 --to vg:vg0 --copy", timeout: .seconds(300))
                        try await a.run("xenlvs volume remove web1.old; xenlvs volume remove web1.old2", check: false)
                    }
                }
                try await a.run(Self.copy, timeout: .seconds(300))
                try await expectMoved(a, to: "vg1", keeping: "web1.old", in: "vg0")
                try await journey.goesOn()
                try await verifyDisk(&journey, hosts)
            }
        }

        @Test(
            "Where the new place fails, the guest goes on with its volume, with xenlvs and without",
            .timeLimit(.minutes(15)))
        func failing() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for isThere in [true, false] {
                    let run = try await hosts.stop("\(Self.copy) --bandwidth 12M", at: "swapWindow:after", on: a)
                    try await a.breakVolume("vg1/web1")
                    if isThere {
                        try await run.letGo()
                        try await hosts.end(run, expecting: 1, saying: ["the guest is on its volume as before"])
                    } else {
                        try await run.signal("KILL")
                        _ = try? await run.wait()
                        try await a.run("sleep 3")
                        let shown = try await a.run("xenlvs volume show web1; xenlvs doctor || true").stdout
                        #expect(shown.contains("copy-failed"), "\(shown)")
                        try await a.run("xenlvs link repair web1")
                        try await a.run("xenlvs swap web1 --to volume", timeout: .seconds(120))
                    }
                    try await journey.goesOn()
                    try await hosts.verifySwitched(&journey, ends: false)
                }
                // Somebody writes to the copy behind the mirror's back, where the guest's file system is free.
                let run = try await hosts.stop(Self.copy, at: "swapCompare:before", on: a)
                try await a.run("dd if=/dev/urandom of=/dev/vg1/web1 bs=4k count=1 seek=5000 oflag=direct status=none")
                try await run.letGo()
                try await hosts.end(
                    run, expecting: 1, saying: ["are not the same", "the guest is on its volume as before"])
                try await hosts.verifySwitched(&journey)
            }
        }

        private func verifyDisk(_ journey: inout Journey, _ hosts: Hosts) async throws {
            let node = journey.node
            try await node.shutDown(journey.guest)
            let console = try await journey.console()
            let disk = try await node.disk("/dev/xenlvs/web1")
            let problems = disk.problems(given: console, expectedBoots: journey.expectedBoots)
            #expect(problems.isEmpty, "\(problems)")
            #expect(disk.stamps != nil)
            print("the guest's longest gap: \(console.longestGap) ms over \(console.ticks.count) ticks")
        }
    }
}

extension LabNode {
    /// A volume group on the node's second disk, with larger extents than the first one's.
    fileprivate func makeSecondGroup() async throws {
        try await run("vgcreate -qq -s 8M vg1 $(readlink -f /dev/disk/by-id/*labspare | head -n 1)")
    }

    /// Lets every request to an LV fail from now on, until it is removed.
    fileprivate func breakVolume(_ volume: String) async throws {
        try await run(
            """
            name=$(dmsetup info -c --noheadings -o name /dev/\(volume))
            sectors=$(blockdev --getsz /dev/\(volume))
            dmsetup load $name --table "0 $sectors error" && dmsetup suspend --noflush --nolockfs $name && dmsetup resume $name
            """)
    }
}

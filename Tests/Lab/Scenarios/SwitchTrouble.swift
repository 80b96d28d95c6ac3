import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Bad input, and what breaks at the worst moment: whatever it is, the guest goes on, on its volume.
    @Suite("Trouble with a switch", .onlyInTheFullRun)
    struct SwitchTrouble {
        private static let toReplica = "xenlvs swap web1 --to replica"
        private static let toVolume = "xenlvs swap web1 --to volume"
        private static let copy = "xenlvs swap web1 --to vg:vg1 --copy"
        private static let migrate = "xenlvs migrate web1 --to nodeb"
        private static let stayed = "the guest is on its volume as before"
        private static let secondOpener = "is open 2 times, 1 of them by a guest"

        // MARK: A table that is smaller than before

        @Test(
            "A place that is smaller than the disk, or has no room for it, is refused and nothing is made",
            .timeLimit(.minutes(15)))
        func smallerPlaces() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                try await a.makeSecondGroup()
                try await b.run("rm -f /srv/small; truncate -s 16M /srv/small; losetup /dev/loop6 /srv/small")
                let served = try await b.start(
                    "exec xenlvs aoe serve /dev/loop6 --shelf 1 --slot 0 --interface storage-a")
                try await served.waitForOutput("serving e1.0")
                try await a.run(
                    "xenlvs attach aoe e1.0 --as small --interface storage-b --timeout 60", timeout: .seconds(120))
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for manner in ["--copy", "--copy --overwrite", "--same-data"] {
                    try await expectFailure(
                        "xenlvs swap web1 --to device:small \(manner)", on: a,
                        saying: ["it has 16777216 bytes, the volume 33554432", "never becomes smaller"])
                }
                // An LV is made as large as it has to be. One that somebody has made is not taken, however large.
                try await a.run("lvcreate -qq -y -Wn -L 16M -n web1 vg1")
                try await expectFailure(Self.copy, on: a, saying: ["there is an LV vg1/web1 already", "what to do"])
                try await a.run("lvremove -qq -f vg1/web1; lvcreate -qq -y -Wn -l 100%FREE -n filler vg1")
                try await expectFailure(Self.copy, on: a, saying: ["the group has", "what to do"])
                try await a.run("lvremove -qq -f vg1/filler")
                try await expectFailure(
                    "xenlvs volume resize web1 --size 16M", on: a, saying: ["a volume can only become larger"])

                #expect(try await a.run("lvs --noheadings vg1").text.isEmpty)
                let shown = try await a.run("xenlvs volume show web1").stdout
                #expect(!shown.contains("has not ended"), "\(shown)")
                try await expectOnVolume(a, "after refusals")
                try await a.run("xenlvs detach small", timeout: .seconds(60))
                try await served.endNow("TERM")
                try await b.run("losetup -d /dev/loop6; rm /srv/small")
                try await hosts.verifySwitched(&journey)
            }
        }

        @Test("A new place that becomes smaller after it was made is left again", .timeLimit(.minutes(15)))
        func shrunkenPlace() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                // Sizes are compared before the table is loaded; the kernel does so only at the exchange.
                for (place, words) in [
                    ("swapTarget:after", "is smaller than what is recorded of it"),
                    ("swapMirror:before", "the former table was put back at once"),
                ] {
                    let run = try await hosts.stop(Self.copy, at: place, on: a)
                    try await a.run("lvreduce -qq -f -y -L 24M vg1/web1 2>&1")
                    try await run.letGo()
                    try await expectFailure(
                        of: run, "made smaller at \(place)", exits: [1, 4], saying: [words, Self.stayed])
                    try await expectOnVolume(a, "after \(place)")
                    #expect(try await a.run("lvs --noheadings vg1").text.isEmpty, "left after \(place)")
                    try await hosts.verifySwitched(&journey, ends: false)
                }
                try await hosts.verifySwitched(&journey)
            }
        }

        @Test(
            "A switch that is larger than what is recorded of its volume is not made smaller below its guest",
            .timeLimit(.minutes(15)))
        func recordedSmaller() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                // Without stamps: where they are follows from the disk's size, which changes for good.
                var journey = try await hosts.start(LabGuest("web1"), isStamped: false, hasSwitch: true, on: a)
                try await a.run(
                    """
                    set -e; lvextend -qq -L 40M vg0/web1
                    number=$(lsblk -dno MAJ:MIN /dev/vg0/web1)
                    dmsetup load xenlvs-switch-web1 --table "0 81920 linear $number 0"; dmsetup resume xenlvs-switch-web1
                    """)
                try await journey.goesOn()
                let shown = try await a.run("xenlvs volume show web1").stdout
                #expect(shown.contains("wrong-size"), "\(shown)")
                let words = ["it has 81920 sectors and would have 65536", "never becomes smaller"]
                for command in [Self.toReplica, Self.toVolume] {
                    try await expectFailure(command, on: a, saying: words)
                }
                try await expectFailure(
                    "\(Self.migrate) --method one-freeze", on: a, saying: ["the switch of web1 is wrong-size"])
                // What cannot be is not recorded either: it would keep the volume from being put right.
                try await expectFailure(Self.copy, on: a, exits: [1, 4], saying: ["never becomes smaller"])
                let after = try await a.run("xenlvs volume show web1; lvs --noheadings vg1").stdout
                #expect(!after.contains("has not ended") && !after.contains("vg1"), "\(after)")
                try await expectOnVolume(a, "after refusals")
                try await journey.goesOn()

                let grown = try await a.run("xenlvs volume resize web1 --size 40M", check: false)
                #expect(grown.exit == 0, "\(grown.stderr)")
                #expect(try await a.run("blockdev --getsize64 /dev/xenlvs/web1").text == "\(40 << 20)")
                for command in [Self.toReplica, Self.toVolume] {
                    let swapped = try await a.run(command, timeout: .seconds(120), check: false)
                    #expect(swapped.exit == 0, "\(command): \(swapped.stderr)")
                    try await journey.goesOn(for: 2)
                }
                try await hosts.verifySwitched(&journey)
            }
        }

        // MARK: A device that is gone between load and resume

        @Test(
            "A replica that goes before the switch is led to it leaves the guest on its volume",
            .timeLimit(.minutes(15)))
        func replicaGone() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                let run = try await hosts.stop(Self.toReplica, at: "swapExchange:before", on: a)
                try await a.run(Self.down)
                try await run.letGo()
                try await expectFailure(
                    of: run, "its replica is gone", exits: [1, 6], saying: ["/dev/drbd", Self.stayed, "what to do"])
                try await expectOnVolume(a, "without its replica")
                try await hosts.verifySwitched(&journey, ends: false)

                // Where the run was killed the next one makes another replica.
                try await hosts.crash(Self.toReplica, at: "swapExchange:before", on: a)
                try await a.run(Self.down)
                try await expectOnVolume(a, "after a kill", isAlone: false)
                try await expectThereAndBack(&journey, hosts)

                // Or it goes back, and the one after that makes another.
                try await hosts.crash(Self.toReplica, at: "swapExchange:before", on: a)
                try await a.breakDevice("/dev/mapper/xenlvs-lower-web1")
                try await journey.goesOn(for: 2)
                let next = try await a.run(Self.toReplica, timeout: .seconds(120), check: false)
                print("with a lower device that fails, after a kill: exit \(next.exit)\n\(next.stderr)")
                #expect(next.exit == 0 || next.stderr.contains(Self.stayed), "\(next.stderr)")
                try await journey.goesOn(for: 2)
                try await expectThereAndBack(&journey, hosts)
                try await hosts.verifySwitched(&journey)
            }
        }

        @Test("No guest is led to a replica that has lost its disk in the last moment", .timeLimit(.minutes(10)))
        func replicaWithoutDisk() async throws {
            try await scenario { hosts in
                try await expectNoticed(hosts, "its replica has no disk") { try await $0.run(Self.detach) }
            }
        }

        @Test("No guest is led to a replica over a device that fails by then", .timeLimit(.minutes(10)))
        func replicaFails() async throws {
            try await scenario { hosts in
                try await expectNoticed(hosts, "what is below its replica fails") {
                    try await $0.breakDevice("/dev/mapper/xenlvs-lower-web1")
                }
            }
        }

        @Test(
            "A new place, or a log, that is gone before the switch is led to it leaves the guest on its volume",
            .timeLimit(.minutes(15)))
        func placeGone() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for gone in ["vg1/web1", "vg0/web1.copylog"] {
                    let run = try await hosts.stop(Self.copy, at: "swapMirror:before", on: a)
                    try await a.run("lvremove -qq -f \(gone)")
                    try await run.letGo()
                    try await expectFailure(of: run, "\(gone) is gone", saying: [Self.stayed, "what to do"])
                    try await expectOnVolume(a, "without \(gone)")
                    #expect(try await a.run("lvs --noheadings vg1").text.isEmpty, "left without \(gone)")
                    try await hosts.verifySwitched(&journey, ends: false)
                }
                try await hosts.crash(Self.copy, at: "swapMirror:before", on: a)
                try await a.run("lvremove -qq -f vg1/web1")
                try await expectOnVolume(a, "after a kill")
                try await journey.goesOn(for: 2)
                try await expectFailure(Self.copy, on: a, exits: [1, 4, 6], saying: [Self.stayed])
                try await expectOnVolume(a, "after the next run")
                try await hosts.verifySwitched(&journey)
            }
        }

        @Test(
            "A new place that fails, or becomes smaller, right before the last exchange does not get the guest",
            .timeLimit(.minutes(15)))
        func placeFailsLast() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for isSmaller in [true, false] {
                    do { try await expectPlaceToFailLast(&journey, hosts, isSmaller: isSmaller) } catch {
                        // What a mirror holds back would keep the guest, and with it the hosts from being made clean.
                        _ = try? await a.leadToVolume()
                        throw error
                    }
                }
                try await hosts.verifySwitched(&journey)
            }
        }

        // MARK: DRBD that is not Primary

        @Test("A replica that is not Primary is not swapped to, and the next swap is", .timeLimit(.minutes(10)))
        func notPrimary() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                let run = try await hosts.stop(Self.toReplica, at: "swapExchange:before", on: a)
                try await a.run(Self.secondary)
                try await run.letGo()
                try await expectFailure(
                    of: run, "its replica is Secondary", saying: ["Read-only file system", Self.stayed, "what to do"])
                try await expectOnVolume(a, "over a Secondary")
                try await hosts.verifySwitched(&journey, ends: false)
                try await expectThereAndBack(&journey, hosts)

                // A killed run's replica that is Secondary by now.
                try await hosts.crash(Self.toReplica, at: "swapExchange:before", on: a)
                try await a.run(Self.secondary)
                let next = try await a.run(Self.toReplica, timeout: .seconds(120), check: false)
                print("a Secondary, after a kill: exit \(next.exit)\n\(next.stderr)")
                #expect(next.exit == 0 || next.stderr.contains(Self.stayed), "\(next.stderr)")
                try await journey.goesOn(for: 2)
                try await expectThereAndBack(&journey, hosts)
                try await hosts.verifySwitched(&journey)
            }
        }

        @Test(
            "A migration whose replica is not Primary, or gone, when it comes to the guest is taken back",
            .timeLimit(.minutes(20)))
        func notPrimaryInMigration() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for (what, script, words) in [
                    ("Secondary", Self.secondary, "Read-only file system"), ("gone", Self.down, "/dev/drbd"),
                ] {
                    let run = try await hosts.stop(Self.migrate, at: "leadSourceToReplica:before", on: a)
                    try await a.run(script)
                    try await run.letGo()
                    try await expectFailure(
                        of: run, "the migration's replica is \(what)", exits: [2], saying: ["rolled back", words])
                    try await expectOnVolume(a, "with its migration's replica \(what)")
                    let id = try await hosts.identifier(of: "web1", on: a)
                    try await hosts.verifyStayed(&journey, id, hasSwitches: true, ends: false)
                }
                try await expectToMove(&journey, hosts)
            }
        }

        // MARK: A switch that is open twice

        @Test(
            "A switch that somebody beside the guest has open is neither swapped nor handed over",
            .timeLimit(.minutes(25)))
        func openTwice() async throws {
            try await scenario { hosts in
                let a = hosts.a
                try await a.makeSecondGroup()
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: a)
                try await withOpener(on: a) {
                    for command in [Self.toReplica, Self.copy] {
                        try await expectFailure(command, on: a, exits: [5], saying: [Self.secondOpener, "lsof"])
                    }
                    try await expectFailure(Self.migrate, on: a, exits: [1, 2], saying: [Self.secondOpener])
                    try await expectOnVolume(a, "while it is open twice")
                    let refused = try await hosts.newestMigration(of: "web1", on: a)?.id
                    try await hosts.verifyStayed(&journey, refused, hasSwitches: true, ends: false)
                }

                // Whoever opens it after it was looked at is led along with the guest: both write to the same.
                let run = try await hosts.stop(Self.toReplica, at: "swapExchange:before", on: a)
                try await withOpener(on: a) {
                    try await run.letGo()
                    try await hosts.end(run, expecting: 0)
                    let table = try await a.run("dmsetup table xenlvs-switch-web1").text
                    #expect(table.contains("linear 147:"), "\(table)")
                    try await journey.goesOn()
                    try await expectFailure(Self.toVolume, on: a, exits: [5], saying: [Self.secondOpener])
                    try await journey.goesOn(for: 2)
                }
                try await a.run(Self.toVolume, timeout: .seconds(120))
                try await hosts.verifySwitched(&journey, ends: false)

                // In the hand-over nobody but the suspended guest may have it open: somebody might write after the decision.
                let what = "it is open twice in the hand-over"
                let handOver = try await hosts.stop(Self.migrate, at: "quietSource:before", on: a)
                try await hosts.expectRunning(journey.guest, on: [], "in the hand-over")
                try await withOpener(on: a) {
                    try await handOver.letGo()
                    try await expectFailure(
                        of: handOver, what, exits: [2], saying: ["rolled back", "is open 2 times"])
                    try await expectOnVolume(a, what)
                }
                try await expectStayed(&journey, hosts, what)
                try await expectToMove(&journey, hosts)
            }
        }

        // MARK: A guest that does not answer

        @Test(
            "A guest that does not answer runs on where it is, and moves live once it does", .timeLimit(.minutes(20)))
        func deafLive() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: a)
                try await a.makeDeaf(journey.guest)
                let failed = try await hosts.migrate("web1", from: a, expecting: 2)
                try await expectDeafToStay(&journey, hosts, failed, "live")
            }
        }

        @Test(
            "What a killed 'xl migrate' has asked a guest to do is taken back: it does not suspend itself later",
            .timeLimit(.minutes(15)))
        func requestLeft() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: a)
                try await a.makeDeaf(journey.guest)
                let run = try await hosts.beginMigrating("web1", from: a)
                try await a.waitUntilAsked(journey.guest)
                try await a.run("pkill -KILL -f '^[^ ]*xl -vvv migrate'")
                try await expectFailure(
                    of: run, "'xl migrate' is killed while it waits for the guest", exits: [2],
                    saying: ["rolled back", "xl"])
                try await expectNothingAsked(of: journey.guest, on: a)
                try await a.letHear(journey.guest)
                try await Task.sleep(for: .seconds(5))
                try await hosts.expectRunning(journey.guest, on: [a], "once it hears again")
                let id = try await hosts.identifier(of: "web1", on: a)
                try await hosts.verifyStayed(&journey, id, hasSwitches: true)
            }
        }

        @Test(
            "A guest that somebody pauses in a live hand-over stays paused on the source, and runs on when it is let",
            .timeLimit(.minutes(15)))
        func pausedLive() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: a)
                try await a.replaceXL(doing: #"case " $* " in *" migrate "*) /lab/real/xl pause web1 ;; esac"#)
                let ended = try await a.run(Self.migrate, timeout: Hosts.limit, check: false)
                print("a paused guest, live: exit \(ended.exit)\n\(ended.stderr)")
                try await a.putXLBack()
                #expect([2, 4].contains(ended.exit), "exit \(ended.exit)")
                #expect(ended.stderr.contains("does not answer"), "\(ended.stderr)")
                // Who has to do something is told what.
                if ended.exit == 4 { #expect(ended.stderr.contains("paused"), "\(ended.stderr)") }
                let problems = try await hosts.problemsNow(with: journey.guest)
                #expect(problems.isEmpty, "\(problems)")
                try await expectOnVolume(a, "with a paused guest")
                try await expectNothingAsked(of: journey.guest, on: a)

                try await a.run("xl unpause web1")
                try await journey.goesOn()
                let id = try await hosts.identifier(of: "web1", on: a)
                if ended.exit == 4 { try await hosts.abort(id, on: a) }
                try await hosts.expectRunning(journey.guest, on: [a], "after it was let run")
                try await hosts.verifyStayed(&journey, id, hasSwitches: true)
            }
        }

        @Test("A guest that cannot be saved for its hand-over runs on where it is", .timeLimit(.minutes(20)))
        func deafSaved() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                try await a.makeDeaf(journey.guest)
                let failed = try await hosts.migrate("web1", from: a, "--method", "one-freeze", expecting: 2)
                try await expectDeafToStay(&journey, hosts, failed, "one-freeze")
            }
        }

        @Test(
            "A bracket of a guest that does not answer, or is paused, ends, and the guest runs on",
            .timeLimit(.minutes(20)))
        func deafBracket() async throws {
            try await scenario { hosts in
                let a = hosts.a
                let prepare = "xenlvs domain prepare web1 --now"
                var journey = try await hosts.start(LabGuest("web1"), on: a)
                let words = ["cannot save web1", "does not answer"]

                try await a.makeDeaf(journey.guest)
                try await expectFailure(prepare, on: a, saying: words)
                try await expectNoBracket(journey, on: a)
                let run = try await a.start(prepare)
                try await a.waitUntilAsked(journey.guest)
                try await a.run("pkill -KILL -f '^[^ ]*xl save'")
                try await expectFailure(
                    of: run, "'xl save' is killed while it waits for the guest", saying: ["cannot save web1", "xl"])
                try await expectNoBracket(journey, on: a)
                // What follows is to be seen also where that was found.
                try await a.askNothing(of: journey.guest)
                try await a.letHear(journey.guest)
                try await Task.sleep(for: .seconds(3))
                try await journey.goesOn()

                try await a.replaceXL(doing: #"[ "$1" != save ] || /lab/real/xl pause web1"#)
                try await expectFailure(prepare, on: a, saying: words)
                try await a.putXLBack()
                try await a.run("xl unpause web1", check: false)
                try await expectNoBracket(journey, on: a)

                let done = try await a.run(prepare, timeout: .seconds(180))
                #expect(done.stderr.contains("stood still for"), "\(done.stderr)")
                let console = try await hosts.verifySwitched(&journey)
                print("the guest's longest gap: \(console.longestGap) ms")
            }
        }

        // MARK: 'xl migrate' that fails

        @Test(
            "Whichever 'xl' of a live hand-over fails, the guest stays, one side is Primary, and a later one succeeds",
            .timeLimit(.minutes(30)))
        func xlFails() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: a)
                // While the memory is under way, and both sides are Primary.
                for (node, pattern, word) in [
                    (a, "^[^ ]*xl -vvv migrate", "xl"), (b, "^[^ ]*xl migrate-receive", "nodeb"),
                ] {
                    let what = "the 'xl' of \(node.name) is killed"
                    let run = try await hosts.beginMigrating("web1", from: a)
                    try await b.waitForArrival()
                    try await node.run("pkill -KILL -f '\(pattern)'")
                    try await expectFailure(of: run, what, exits: [2], saying: ["rolled back", word])
                    try await expectStayed(&journey, hosts, what)
                }
                // At once, on either side.
                let words = "xl: made to fail by the lab"
                for (node, condition) in [
                    (a, #"case " $* " in *" migrate "*)"#), (b, #"case " $* " in *" migrate-receive "*)"#),
                ] {
                    let what = "the 'xl' of \(node.name) fails"
                    try await node.replaceXL(doing: "\(condition) echo '\(words)' >&2; exit 1 ;; esac")
                    try await expectFailure(Self.migrate, on: a, exits: [2], saying: ["rolled back", words])
                    try await node.putXLBack()
                    try await expectStayed(&journey, hosts, what)
                }
                try await expectToMove(&journey, hosts)
            }
        }

        @Test(
            "Once the guest was let go, a target that loses it gives it back, and an 'xl migrate' that dies changes nothing",
            .timeLimit(.minutes(20)))
        func lostBehindPermission() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: a)
                let lost = try await hosts.stop(Self.migrate, at: "quietSource:before", on: a)
                try await b.run("xl destroy web1")
                // Until its word that it has the guest is so old that it is asked once more.
                try await Task.sleep(for: .seconds(4))
                try await lost.letGo()
                let what = "the target has lost the guest"
                try await expectFailure(of: lost, what, exits: [2], saying: ["rolled back", "nodeb"])
                try await expectStayed(&journey, hosts, what)

                try await b.expectArrival(of: journey.guest)
                let stopped = try await hosts.stop(Self.migrate, at: "quietSource:before", on: a)
                try await a.run("pkill -KILL -f '^[^ ]*xl -vvv migrate'")
                try await stopped.letGo()
                let ended = try await stopped.wait(timeout: Hosts.limit)
                print("'xl migrate' is killed once it has let the guest go: exit \(ended.exit)\n\(ended.stderr)")
                let moved = try await hosts.finished("web1", on: a, ended, Self.migrate, expecting: 0)
                let log = try await b.followArrival(of: journey.guest)
                try await hosts.verifyMigrated(&journey, moved, from: a)
                try await log.signal()
            }
        }
    }
}

extension Scenarios.SwitchTrouble {
    /// In these scenarios there is one replica.
    private static let minor = """
        minor=$(drbdsetup events2 --now all | sed -n 's/^exists device name:.* minor:\\([0-9]*\\) .*/\\1/p')
        """

    private static let down = "drbdsetup down xenlvs-web1"

    private static let secondary = """
        set -e; \(minor)
        # Who looks at a new device has it open for a moment.
        for i in $(seq 25); do drbdsetup secondary $minor && break; sleep 0.2; done
        grep -q 'ro:Secondary/' /proc/drbd
        """

    private static let detach = """
        set -e; \(minor); drbdsetup detach $minor --force
        for i in $(seq 25); do grep -q 'ds:Diskless/' /proc/drbd && exit; sleep 0.2; done; exit 1
        """

    /// Runs what has to be refused, or to fail, and checks how and with which words.
    private func expectFailure(
        _ command: String, on node: LabNode, exits: [Int32] = [1], saying words: [String],
        at place: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await node.run(command, timeout: Hosts.limit, check: false)
        check(result, command, exits, words, at: place)
    }

    /// Waits for the end of what has to fail.
    private func expectFailure(
        of run: LabProcess, _ what: String, exits: [Int32] = [1], saying words: [String],
        at place: SourceLocation = #_sourceLocation
    ) async throws {
        check(try await run.wait(timeout: Hosts.limit), what, exits, words, at: place)
    }

    private func check(
        _ result: RunResult, _ what: String, _ exits: [Int32], _ words: [String], at place: SourceLocation
    ) {
        print("\(what): exit \(result.exit)\n\(result.stderr)")
        #expect(
            exits.contains(result.exit), "\(what): exit \(result.exit)\n\(result.stderr)", sourceLocation: place)
        for word in words {
            #expect(
                result.stderr.contains(word), "\(what): '\(word)' is not in: \(result.stderr)", sourceLocation: place)
        }
    }

    /// The switch leads to the volume, and neither stands still nor has anything that a resume would bring in.
    /// - Parameter isAlone: whether nothing of a replica may be left.
    private func expectOnVolume(
        _ node: LabNode, _ when: String, isAlone: Bool = true, at place: SourceLocation = #_sourceLocation
    ) async throws {
        let shown = try await node.run(
            """
            dmsetup info xenlvs-switch-web1; dmsetup table xenlvs-switch-web1; dmsetup ls | grep xenlvs-lower
            echo $(lsblk -dno MAJ:MIN /dev/vg0/web1)
            """
        ).text
        let lines = shown.split(separator: "\n")
        let number = lines.last ?? ""
        #expect(
            shown.contains("ACTIVE") && !shown.contains("INACTIVE") && !shown.contains("SUSPENDED"),
            "\(when): \(shown)", sourceLocation: place)
        #expect(lines.contains { $0.contains(" linear \(number) 0") }, "\(when): \(shown)", sourceLocation: place)
        if isAlone { #expect(!shown.contains("xenlvs-lower"), "\(when): \(shown)", sourceLocation: place) }
    }

    /// Spoils a swap to a replica right before the exchange, which has to be noticed.
    private func expectNoticed(
        _ hosts: Hosts, _ what: String, at place: SourceLocation = #_sourceLocation,
        _ spoil: (LabNode) async throws -> Void
    ) async throws {
        let a = hosts.a
        var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
        let run = try await hosts.stop(Self.toReplica, at: "swapExchange:before", on: a)
        try await spoil(a)
        try await run.letGo()
        try await expectFailure(of: run, what, saying: [Self.stayed, "what to do"], at: place)
        try await expectOnVolume(a, what, at: place)
        try await hosts.verifySwitched(&journey, ends: false, at: place)
        try await expectThereAndBack(&journey, hosts, at: place)
        try await hosts.verifySwitched(&journey, at: place)
    }

    /// Spoils the new place right before the switch is led to it alone, which has to be noticed.
    private func expectPlaceToFailLast(_ journey: inout Journey, _ hosts: Hosts, isSmaller: Bool) async throws {
        let node = journey.node
        let what = "the new place \(isSmaller ? "is smaller" : "fails") at the last exchange"
        let run = try await hosts.stop(Self.copy, at: "swapExchange:before", on: node)
        if isSmaller {
            try await node.run("lvreduce -qq -f -y -L 24M vg1/web1 2>&1")
        } else {
            try await node.breakDevice("/dev/vg1/web1")
        }
        try await node.waitForFailedMirror()
        try await run.letGo()
        try await expectFailure(of: run, what, saying: [Self.stayed, "what to do"])
        try await expectOnVolume(node, what)
        try await hosts.verifySwitched(&journey, ends: false)
        #expect(try await node.run("lvs --noheadings vg1").text.isEmpty, "left where \(what)")
    }

    /// A swap to a replica works, and the one back.
    private func expectThereAndBack(
        _ journey: inout Journey, _ hosts: Hosts, at place: SourceLocation = #_sourceLocation
    ) async throws {
        let node = journey.node
        try await node.run(Self.toReplica, timeout: .seconds(120))
        let table = try await node.run("dmsetup table xenlvs-switch-web1").text
        #expect(table.contains("linear 147:"), "\(table)", sourceLocation: place)
        try await journey.goesOn()
        try await node.run(Self.toVolume, timeout: .seconds(120))
        try await hosts.verifySwitched(&journey, ends: false, at: place)
    }

    /// After the newest migration, which was taken back: nothing is left of it, no domain on the other host and no replica on
    /// either, so that neither is Primary.
    private func expectStayed(
        _ journey: inout Journey, _ hosts: Hosts, _ when: String, at place: SourceLocation = #_sourceLocation
    ) async throws {
        try await hosts.expectRunning(journey.guest, on: [journey.node], "after: \(when)", at: place)
        let id = try await hosts.identifier(of: "web1", on: journey.node)
        try await hosts.verifyStayed(&journey, id, hasSwitches: true, ends: false, at: place)
        for node in hosts.all {
            let expected = node.name == journey.node.name ? [journey.guest.name] : []
            let found = try await node.guests().keys.sorted()
            #expect(found == expected, "on \(node.name) after: \(when)", sourceLocation: place)
        }
    }

    /// Somebody beside the guest has the switch open meanwhile. Whoever is left would keep the hosts from being made clean.
    private func withOpener(on node: LabNode, _ body: () async throws -> Void) async throws {
        let opener = try await node.openSwitch()
        do { try await body() } catch {
            try? await opener.endNow()
            throw error
        }
        try await opener.endNow()
    }

    /// A migration comes about now. It ends the guest and looks at its disks.
    private func expectToMove(
        _ journey: inout Journey, _ hosts: Hosts, at place: SourceLocation = #_sourceLocation
    ) async throws {
        let (source, target) = (journey.node, hosts.peer(of: journey.node))
        try await target.expectArrival(of: journey.guest)
        let moved = try await hosts.migrate("web1", from: source)
        var log: LabProcess?
        if moved.report.method == "live" { log = try await target.followArrival(of: journey.guest) }
        try await hosts.verifyMigrated(&journey, moved, from: source, at: place)
        try await log?.signal()
    }

    /// A guest that did not answer runs on where it is, and moves once it does.
    private func expectDeafToStay(
        _ journey: inout Journey, _ hosts: Hosts, _ failed: FinishedMigration, _ method: String
    ) async throws {
        let a = hosts.a
        print("a deaf guest, \(method):\n\(failed.stderr)")
        #expect(failed.stderr.contains("does not answer"), "\(failed.stderr)")
        try await expectOnVolume(a, "with a deaf guest")
        try await expectNothingAsked(of: journey.guest, on: a)
        try await a.letHear(journey.guest)
        try await Task.sleep(for: .seconds(3))
        let console = try await hosts.verifyStayed(&journey, failed.id, hasSwitches: true, ends: false)
        // It was asked for a minute, and has not stopped for that.
        #expect(console.longestGap < 45_000, "it stood still for \(console.longestGap) ms")
        try await expectToMove(&journey, hosts)
    }

    /// What was begun with saving the guest has ended, and it runs on its LV.
    private func expectNoBracket(
        _ journey: Journey, on node: LabNode, at place: SourceLocation = #_sourceLocation
    ) async throws {
        let left = try await node.run("ls /var/lib/xenlvs/brackets").text
        #expect(left.isEmpty, "left of the bracket: \(left)", sourceLocation: place)
        try await expectNothingAsked(of: journey.guest, on: node, at: place)
        try await journey.goesOn()
    }

    private func expectNothingAsked(
        of guest: LabGuest, on node: LabNode, at place: SourceLocation = #_sourceLocation
    ) async throws {
        let request = try await node.request(to: guest)
        #expect(request.isEmpty, "\(guest.name) is still asked to \(request)", sourceLocation: place)
    }
}

extension LabNode {
    /// A volume group on the node's second disk, with larger extents than the first one's.
    fileprivate func makeSecondGroup() async throws {
        try await run("vgcreate -qq -s 8M vg1 $(readlink -f /dev/disk/by-id/*labspare | head -n 1)")
    }

    /// Lets every request to a device-mapper device fail from now on.
    fileprivate func breakDevice(_ path: String) async throws {
        try await run(
            """
            set -e; name=$(dmsetup info -c --noheadings -o name \(path))
            dmsetup load $name --table "0 $(blockdev --getsz \(path)) error"
            dmsetup suspend --noflush --nolockfs $name; dmsetup resume $name
            """)
    }

    /// Waits until the mirror in the switch has met an error.
    fileprivate func waitForFailedMirror() async throws {
        try await run(
            """
            for i in $(seq 80); do
                dmsetup status --noflush xenlvs-switch-web1 | grep -q ' 1 AA ' || exit 0; sleep 0.5
            done
            dmsetup status --noflush xenlvs-switch-web1 >&2; exit 1
            """)
    }

    /// Puts the switch on the volume by hand, with all that is held back.
    fileprivate func leadToVolume() async throws {
        try await run(
            """
            set -e; name=xenlvs-switch-web1
            dmsetup load $name --table "0 $(blockdev --getsz /dev/vg0/web1) linear $(lsblk -dno MAJ:MIN /dev/vg0/web1) 0"
            dmsetup suspend --noflush --nolockfs $name; dmsetup resume $name
            """)
    }

    /// Somebody beside the guest has the switch open, until the process is ended.
    fileprivate func openSwitch() async throws -> LabProcess {
        let opener = try await start("exec sleep 900 <>/dev/mapper/xenlvs-switch-web1")
        try await run(
            """
            for i in $(seq 100); do
                [ "$(dmsetup info -c --noheadings -o open xenlvs-switch-web1)" -ge 2 ] && exit; sleep 0.2
            done; exit 1
            """)
        return opener
    }

    private func requestPath(_ guest: LabGuest) -> String { "/local/domain/$(xl domid \(guest.name))/control/shutdown" }

    /// The guest cannot read any more what it is asked to do: it runs on, and answers nothing.
    fileprivate func makeDeaf(_ guest: LabGuest) async throws {
        try await run("xenstore-chmod \(requestPath(guest)) n0")
    }

    /// It reads at once what it has missed.
    fileprivate func letHear(_ guest: LabGuest) async throws {
        try await run("xenstore-chmod \(requestPath(guest)) n$(xl domid \(guest.name))")
    }

    /// What the guest is asked to do and has not answered yet; empty for nothing.
    fileprivate func request(to guest: LabGuest) async throws -> String {
        try await run("xenstore-read \(requestPath(guest))").text
    }

    fileprivate func askNothing(of guest: LabGuest) async throws {
        try await run("xenstore-write \(requestPath(guest)) ''")
    }

    /// Waits until the guest is asked to suspend itself.
    fileprivate func waitUntilAsked(_ guest: LabGuest) async throws {
        try await run(
            """
            request=\(requestPath(guest))
            for i in $(seq 500); do [ "$(xenstore-read $request)" = suspend ] && exit; sleep 0.3; done; exit 1
            """, timeout: .seconds(400))
    }
}

extension LabProcess {
    fileprivate func endNow(_ name: String = "KILL") async throws {
        try await signal(name)
        _ = try? await wait()
    }
}

import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    @Suite("A migration")
    struct Migrations {
        @Test(
            "A PV guest on a switch is moved there with one freeze and back with three, and its report is one page",
            .timeLimit(.minutes(30)))
        func movesPVGuest() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: hosts.a)
                let migration = try await hosts.migrate("web1", from: hosts.a, "--verify")
                #expect(migration.stderr.contains("moves by one-freeze"), "\(migration.stderr)")
                #expect(migration.stderr.contains("has no shadow paging"), "\(migration.stderr)")
                #expect(migration.report.freezes.map(\.number) == [1], "nothing but the hand-over freezes it")
                #expect(migration.report.domainRunsOn == "nodeb")
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a, verified: true, ends: false)
                for node in hosts.all { try await verifyPage(migration, on: node) }
                let back = try await hosts.migrate("web1", from: hosts.b, "--method", "three-freeze")
                #expect(back.stderr.contains("moves by three-freeze"), "\(back.stderr)")
                #expect(back.report.freezes.map(\.number) == [1, 2, 3])
                try await hosts.verifyMigrated(&journey, back, from: hosts.b)
            }
        }

        /// The page shows what happened and needs nothing from anywhere.
        private func verifyPage(_ migration: FinishedMigration, on node: LabNode) async throws {
            try await node.run("xenlvs migration report \(migration.id) --html /root/report.html")
            let page = try await node.run("cat /root/report.html; rm /root/report.html").stdout
            for part in ["<!doctype html>", "<svg", migration.id, "nodea", "nodeb", "xvda"] {
                #expect(page.contains(part), "\(node.name)'s page lacks \(part)")
            }
            for sum in [migration.report.volumes.first?.sha256?.source].compactMap(\.self) {
                #expect(page.contains(sum), "\(node.name)'s page lacks the checksum")
            }
            for outside in ["src=", "href=\"http", "@import", "url(", "<link", "<script"] {
                #expect(!page.contains(outside), "\(node.name)'s page is not self-contained: \(outside)")
            }
        }

        @Test(
            "Both disks are switched in the same bracket with a restricted key, and --remove-source leaves nothing behind",
            .onlyInTheFullRun, .timeLimit(.minutes(15)))
        func movesTwoDisks() async throws {
            try await scenario { hosts in
                let guest = LabGuest("web1", volumes: ["web1", "web1-data"])
                var journey = try await hosts.start(guest, on: hosts.a)
                // The source may do no more on the target than to move its guests into this group.
                try await hosts.b.run(Hosts.restrictKey(into: "vg0"))
                let shell = try await hosts.a.run("ssh nodeb true", check: false)
                #expect(shell.exit != 0 && shell.stderr.contains("restrict"), "a shell was given: \(shell.stderr)")
                // Slow enough for a look at it in the middle.
                let running = try await hosts.beginMigrating(
                    "web1", from: hosts.a, "--remove-source", "--bandwidth", "4M", "--seed", "replica")
                try await hosts.waitForPhase("synchronise", of: "web1", on: hosts.a)
                let links = try await hosts.a.run("readlink /dev/xenlvs/web1 /dev/xenlvs/web1-data").text
                #expect(
                    links.split(separator: "\n").map { $0.hasPrefix("/dev/drbd") } == [true, true],
                    "during the synchronisation the links lead to: \(links)")
                let result = try await running.wait(timeout: Hosts.limit)
                let migration = try await hosts.finished("web1", on: hosts.a, result, "xenlvs migrate", expecting: 0)
                #expect(migration.report.freezes.map(\.number) == [1, 2, 3], "one bracket a phase, for both disks")
                #expect(migration.report.volumes.map(\.device) == ["xvda", "xvdb"])
                try await hosts.b.run(Hosts.freeKey)
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a, removedSource: true)
            }
        }

        @Test(
            "A PVH guest goes with --settle early and comes back onto the copy that was left", .onlyInTheFullRun,
            .timeLimit(.minutes(20)))
        func movesPVHGuestThereAndBack() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), on: hosts.a)
                let old = try await hosts.a.run("lvs --noheadings -o lv_uuid vg0/web1").text
                let there = try await hosts.migrate("web1", from: hosts.a, "--settle", "early", "--verify")
                #expect(there.report.freezes.map(\.number) == [1, 2], "settling early has no third freeze")
                try await hosts.verifyMigrated(&journey, there, from: hosts.a, verified: true, ends: false)

                let back = try await hosts.migrate("web1", from: hosts.b)
                try await hosts.verifyMigrated(&journey, back, from: hosts.b)
                let new = try await hosts.a.run("lvs --noheadings -o lv_uuid vg0/web1").text
                #expect(new == old, "the copy that was left is the volume again")
            }
        }

        @Test("A guest on a directory pool is moved there and back again", .onlyInTheFullRun, .timeLimit(.minutes(20)))
        func movesDirectoryVolume() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), directory: Hosts.pool, on: hosts.a)
                let there = try await hosts.migrate("web1", from: hosts.a, "--verify")
                try await hosts.verifyMigrated(
                    &journey, there, from: hosts.a, directory: Hosts.pool, verified: true, ends: false)
                let back = try await hosts.migrate("web1", from: hosts.b, "--settle", "early")
                try await hosts.verifyMigrated(&journey, back, from: hosts.b, directory: Hosts.pool)
            }
        }

        @Test(
            "Different guests are moved at the same time, in both directions", .onlyInTheFullRun,
            .timeLimit(.minutes(20)))
        func movesSideBySide() async throws {
            try await scenario { hosts in
                var first = try await hosts.start(LabGuest("web1"), on: hosts.a)
                var second = try await hosts.start(LabGuest("web2"), on: hosts.a)
                var third = try await hosts.start(LabGuest("web3"), on: hosts.b)
                async let one = hosts.migrate("web1", from: hosts.a)
                async let two = hosts.migrate("web2", from: hosts.a)
                async let three = hosts.migrate("web3", from: hosts.b)
                let ends = try await [one, two, three]
                // None may be judged before all have arrived: what a neighbour leaves is told apart by where it is.
                try await first.arrived(on: hosts.b)
                try await second.arrived(on: hosts.b)
                try await third.arrived(on: hosts.a)
                let overlap = ends.map(\.report.beginMilliseconds).max()! < ends.map(\.report.untilMilliseconds).min()!
                #expect(overlap, "the migrations were under way at the same time")
                try await hosts.verifyMigrated(&first, ends[0], from: hosts.a, others: [second, third])
                try await hosts.verifyMigrated(&second, ends[1], from: hosts.a, others: [first, third])
                try await hosts.verifyMigrated(&third, ends[2], from: hosts.b, others: [first, second])
            }
        }

        @Test("A dry run tells every command and changes nothing", .timeLimit(.minutes(10)))
        func dryRunChangesNothing() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                let before = try await hosts.fingerprint()
                let refused = try await hosts.a.run("xenlvs migrate web1 --to nodeb --method one-freeze", check: false)
                #expect(refused.exit == 1 && refused.stderr.contains("xenlvs domain prepare"), "\(refused.stderr)")
                let run = try await hosts.a.run("xenlvs migrate web1 --to nodeb --dry-run --verify")
                #expect(run.stdout.contains("three-freeze, which needs nothing of its disks"), "\(run.stdout)")
                let after = try await hosts.fingerprint()
                #expect(after == before, "\(after.difference(from: before))")
                for part in ["xl save", "xl restore", "drbdsetup", "drbdmeta", "lvcreate", "/dev/xenlvs/web1", "nodeb"]
                {
                    #expect(run.stdout.contains(part), "the plan does not speak of \(part):\n\(run.stdout)")
                }
                for node in hosts.all { #expect(try await node.migrations().isEmpty) }
                try await hosts.verifyStayed(&journey, nil)
            }
        }
    }
}

extension Hosts {
    /// What a change would show in, line by line. The journal is left out: opening one that was not there makes it.
    fileprivate func fingerprint() async throws -> [String] {
        var result: [String] = []
        for node in all {
            let lines = try await node.run(
                """
                lvs --noheadings -o lv_full_name,lv_size,lv_tags,lv_uuid; losetup -n -a; lsmod | cut -d ' ' -f 1 | grep drbd
                drbdsetup events2 --now all; xl list | awk 'NR > 1 { print $1, $2, $3 }'
                find /dev/xenlvs /var/lib/xenlvs /etc/xenlvs /etc/xen \(Self.pool) ! -type d ! -name 'state.db*' \
                    -printf '%p %l %m\n' 2>/dev/null | sort
                """, check: false
            ).stdout.split(separator: "\n")
            result += lines.map { "\(node.name): \($0)" }
        }
        return result
    }
}

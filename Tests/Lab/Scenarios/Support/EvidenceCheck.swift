import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A check that cannot fail proves nothing.
    @Suite("The evidence that scenarios look for")
    struct EvidenceCheck {
        @Test("Everything that a migration may leave on a host is noticed", .timeLimit(.minutes(5)))
        func residueIsNoticed() async throws {
            try await scenario { hosts in
                try await hosts.makeVolume("web1", on: hosts.b)
                #expect(try await hosts.b.residue(volumes: ["web1"], links: ["web1"]).isEmpty)
                try await hosts.b.run(
                    """
                    set -e
                    lvcreate -qq -y -Wn -L 4M -n stray vg0
                    modprobe drbd; drbdsetup new-resource xenlvs-stray
                    mkdir -p /var/lib/xenlvs/images; touch /var/lib/xenlvs/images/some.1.image
                    touch /var/lib/xenlvs/.some.xenlvs-new \(Hosts.pool)/stray.drbdmd
                    ln -s /dev/vg0/stray /dev/xenlvs/stray; ln -sfn /dev/vg0/stray /dev/xenlvs/web1
                    truncate -s 1M /srv/stray; losetup -f /srv/stray
                    dmsetup create xenlvs-lower-stray --table '0 8192 linear /dev/vg0/stray 0'
                    """)
                let problems = try await hosts.b.residue(volumes: ["web1"], links: ["web1"]).joined(separator: "\n")
                for part in [
                    "replica xenlvs-stray", "logical volumes on nodeb: [\"stray\", \"web1\"]", "some.1.image",
                    ".some.xenlvs-new", "stray.drbdmd", "links on nodeb: [\"stray\", \"web1\"]", "link web1 leads to",
                    "loop devices left on nodeb: [\"/srv/stray\"]", "switches on nodeb: [\"xenlvs-lower-stray\"]",
                    "nodeb's xenlvs-lower-stray leads to",
                ] {
                    #expect(problems.contains(part), "\(part) is not noticed:\n\(problems)")
                }
            }
            try await Hosts.clean().b.run("rm -f /srv/stray")
        }

        @Test(
            "A guest that runs twice, a lost number and a link that leads nowhere are noticed", .timeLimit(.minutes(10))
        )
        func brokenOutcomes() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                // An old copy of the disk: what the guest counts from now on is not on it.
                try await hosts.a.run(
                    """
                    set -e; lvcreate -qq -y -Wn -L 32M -n old vg0
                    dd if=/dev/vg0/web1 of=/dev/vg0/old bs=1M iflag=direct oflag=direct status=none
                    ln -s /dev/vg0/gone /dev/xenlvs/gone
                    """)
                try await hosts.watch.watch(hosts.all)
                _ = try await hosts.start(journey.guest, on: hosts.b)
                for node in hosts.all { try await node.makeUnrelatedPrimary() }

                let now = try await hosts.problemsNow(with: journey.guest)
                #expect(now.contains("web1 runs on [\"nodea\", \"nodeb\"]"), "\(now)")
                let overlaps = try await hosts.watch.problems(hosts.all)
                #expect(overlaps.contains { $0.contains("ran on nodea and nodeb") }, "\(overlaps)")
                #expect(now.contains("DRBD is Primary on [\"nodea\", \"nodeb\"]"), "\(now)")

                let problems = try await hosts.problemsAfterReturn(&journey, nil).joined(separator: "\n")
                for part in ["web1 is on nodeb", "links on nodea: [\"gone\", \"web1\"]", "link gone leads to"] {
                    #expect(problems.contains(part), "\(part) is not noticed:\n\(problems)")
                }
                #expect(!problems.contains("is not on the disk"), "\(problems)")

                try await hosts.a.run("dd if=/dev/vg0/old of=/dev/vg0/web1 bs=1M oflag=direct status=none")
                let disk = try await hosts.a.disk("/dev/xenlvs/web1")
                let lost = disk.problems(given: try await journey.console())
                #expect(lost.contains { $0.contains("is not on the disk") }, "\(lost)")
            }
        }
    }
}

extension LabNode {
    /// A DRBD device of one host alone, made Primary by force.
    fileprivate func makeUnrelatedPrimary() async throws {
        try await run(
            """
            set -e; modprobe drbd
            for name in lower meta; do lvcreate -qq -y -Wn -L 4M -n $name vg0; done
            dd if=/dev/zero of=/dev/vg0/meta bs=1M count=4 oflag=direct status=none
            drbdmeta 900 v08 /dev/vg0/meta flex-external create-md
            drbdsetup new-resource alone; drbdsetup new-minor alone 900 0
            drbdsetup attach 900 /dev/vg0/lower /dev/vg0/meta flexible
            drbdsetup primary 900 --force
            """)
    }
}

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
                    """)
                let problems = try await hosts.b.residue(volumes: ["web1"], links: ["web1"]).joined(separator: "\n")
                for part in [
                    "replica xenlvs-stray", "logical volumes on nodeb: [\"stray\", \"web1\"]", "some.1.image",
                    ".some.xenlvs-new", "stray.drbdmd", "links on nodeb: [\"stray\", \"web1\"]", "link web1 leads to",
                    "loop devices left on nodeb: [\"/srv/stray\"]",
                ] {
                    #expect(problems.contains(part), "\(part) is not noticed:\n\(problems)")
                }
            }
            try await Hosts.clean().b.run("rm -f /srv/stray")
        }
    }
}

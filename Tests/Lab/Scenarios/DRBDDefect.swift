import LabKit
import ScenarioKit
import Testing

/// DRBD 8.4 forgets the last 256 KiB of its dirty bitmap when a device is attached, where the size is a multiple of
/// 256 KiB, as every LV's is: `bm_count_bits` in drbd_bitmap.c masks the whole last word away. Where both ends are attached
/// again in the middle of a sync, it then reports complete copies that differ.
extension Scenarios {
    @Suite("DRBD 8.4's forgotten tail")
    struct DRBDDefect {
        /// The bytes that one word of the bitmap stands for.
        static let tail = 256 * 1024

        @Test("DRBD 8.4 reports complete copies whose last 256 KiB differ", .timeLimit(.minutes(5)))
        func defectIsThere() async throws {
            try await scenario { hosts in
                let size = 16 << 20
                let (a, b) = (BareReplica(hosts.a, peer: hosts.b, size), BareReplica(hosts.b, peer: hosts.a, size))
                for (replica, content) in [(a, "urandom"), (b, "zero")] {
                    try await replica.make(content: "/dev/\(content)")
                    try await replica.attach()
                }
                try await a.run("drbdsetup primary 900 --force")
                try await a.run("drbdsetup disk-options 900 --c-plan-ahead=0 --resync-rate=1M")
                for replica in [a, b] { try await replica.connect() }
                try await a.wait(for: "cs:SyncSource")
                try await Task.sleep(for: .seconds(2))
                for replica in [a, b] { try await replica.run("drbdsetup down defect") }
                #expect(try await a.tail() != b.tail(), "the sync was broken off before the tail")

                for replica in [a, b] { try await replica.attach() }
                try await a.run("drbdsetup primary 900")
                for replica in [a, b] { try await replica.connect() }
                try await a.waitUntilComplete()
                #expect(try await a.tail() != b.tail(), "complete, says DRBD; if they are equal it has been mended")

                // What saves xenlvs: the tail, compared.
                try await a.run("drbdsetup verify 900 --start=\((size - Self.tail) / 512)s")
                try await a.waitUntilVerified()
                #expect(try await a.outOfSync() == Self.tail / 1024, "the comparison finds all of it")
            }
        }

        @Test(
            "A migration whose DRBD was attached again by hand in the middle hands over equal copies",
            .onlyInTheFullRun, .timeLimit(.minutes(15)))
        func migrationIsNotCaught() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), megabytes: 16, isStamped: false, on: hosts.a)
                // Free blocks of the file system: nobody writes there, and DRBD alone brings them to the target.
                try await hosts.a.run("set -o pipefail; \(Self.fillTail)")
                let running = try await hosts.beginMigrating(
                    "web1", from: hosts.a, "--bandwidth", "768K", "--seed", "replica")
                let id = try await hosts.waitForPhase("synchronise", of: "web1", on: hosts.a)
                try await hosts.a.run("until grep -q SyncSource /proc/drbd; do sleep 0.2; done; sleep 1")
                try await running.signal("KILL")
                _ = try await running.wait()

                try await attachAgain(hosts, journey.guest)
                try await verifyTails(hosts, equal: false)
                let migration = try await hosts.proceed("resume", id, on: hosts.a)
                let notes = migration.report.notes.map(\.text)
                #expect(notes.contains { $0.contains("differed") }, "the report tells of the difference: \(notes)")
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a)
                try await verifyTails(hosts, equal: true)
            }
        }

        private static let fillTail = """
            dd if=/dev/urandom of=/dev/vg0/web1 bs=64K count=4 oflag=direct conv=notrunc status=none \
                seek=$(( $(blockdev --getsize64 /dev/vg0/web1) / 65536 - 4 ))
            """

        /// Saves the guest, takes DRBD down on both hosts, attaches it again as an administrator would, and lets the guest
        /// go on.
        private func attachAgain(_ hosts: Hosts, _ guest: LabGuest) async throws {
            try await hosts.a.run("xl save web1 /root/web1.image", timeout: .seconds(120))
            for node in hosts.all {
                try await node.run(
                    """
                    set -e
                    show=$(drbdsetup show xenlvs-web1)
                    minor=$(sed -n 's/.*device.*minor \\([0-9]*\\);.*/\\1/p' <<<"$show")
                    [ "$minor" ] || { echo "$show" >&2; exit 1; }
                    meta=$(sed -n 's/.*meta-disk[^"]*"\\([^"]*\\)".*/\\1/p' <<<"$show")
                    size=$(blockdev --getsz /dev/vg0/web1)
                    drbdsetup down xenlvs-web1
                    drbdsetup new-resource xenlvs-web1
                    drbdsetup new-minor xenlvs-web1 $minor 0
                    drbdmeta $minor v08 $meta flex-external apply-al
                    drbdsetup attach $minor /dev/vg0/web1 $meta flexible --size=${size}s
                    [ $(hostname) = nodeb ] || drbdsetup primary $minor
                    """)
            }
            try await hosts.a.run("xl restore /root/web1.image; rm /root/web1.image", timeout: .seconds(120))
            try await hosts.a.waitForTicks(of: guest, beyond: hosts.a.console(of: guest).ticks.count + 3)
        }

        private func verifyTails(_ hosts: Hosts, equal: Bool) async throws {
            var sums: [String] = []
            for node in hosts.all {
                sums.append(
                    try await node.run(
                        "blockdev --flushbufs /dev/vg0/web1; tail -c \(Self.tail) /dev/vg0/web1 | sha256sum"
                    ).text)
            }
            #expect((sums[0] == sums[1]) == equal, "the last 256 KiB of the copies: \(sums)")
        }
    }
}

/// One end of a replica that is set up with DRBD's own commands alone.
private struct BareReplica {
    let node: LabNode
    let peer: LabNode
    let bytes: Int

    init(_ node: LabNode, peer: LabNode, _ bytes: Int) {
        self.node = node
        self.peer = peer
        self.bytes = bytes
    }

    @discardableResult
    func run(_ script: String) async throws -> RunResult { try await node.run("set -e; \(script)") }

    /// Data of the given content, and fresh metadata.
    func make(content: String) async throws {
        try await run(
            """
            modprobe drbd
            lvcreate -qq -y -Wn -L \(bytes)b -n defect vg0
            lvcreate -qq -y -Wn -L 4M -n defect.md vg0
            dd if=\(content) of=/dev/vg0/defect bs=1M count=\(bytes >> 20) oflag=direct status=none
            dd if=/dev/zero of=/dev/vg0/defect.md bs=1M count=4 oflag=direct status=none
            drbdmeta --peer-max-bio-size 1048576 900 v08 /dev/vg0/defect.md flex-external create-md
            """)
    }

    func attach() async throws {
        try await run(
            """
            drbdsetup new-resource defect
            drbdsetup new-minor defect 900 0
            drbdmeta 900 v08 /dev/vg0/defect.md flex-external apply-al
            drbdsetup attach 900 /dev/vg0/defect /dev/vg0/defect.md flexible --size=\(bytes / 512)s
            """)
    }

    func connect() async throws {
        let (own, other) = ("ipv4:\(node.address()):7999", "ipv4:\(peer.address()):7999")
        try await run("drbdsetup connect defect \(own) \(other) --protocol=C --verify-alg=sha1")
    }

    func waitUntilComplete() async throws {
        try await wait(for: "cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate")
        #expect(try await outOfSync() == 0)
    }

    func waitUntilVerified() async throws {
        try await run("for i in $(seq 300); do grep -q cs:Connected /proc/drbd && exit 0; sleep 0.1; done; exit 1")
    }

    /// In KiB, as the kernel counts.
    func outOfSync() async throws -> Int? {
        Int(try await run("sed -n 's/.* oos:\\([0-9]*\\).*/\\1/p' /proc/drbd").text)
    }

    /// Waits until the kernel's own report holds a text.
    func wait(for text: String) async throws {
        try await run(
            "for i in $(seq 300); do grep -q '\(text)' /proc/drbd && exit 0; sleep 0.1; done; cat /proc/drbd >&2; exit 1"
        )
    }

    /// The checksum of the last 256 KiB of the data.
    func tail() async throws -> String {
        try await run(
            "blockdev --flushbufs /dev/vg0/defect; tail -c \(Scenarios.DRBDDefect.tail) /dev/vg0/defect | sha256sum"
        ).text
    }
}

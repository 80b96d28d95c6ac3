import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// The bulk of a volume goes past DRBD.
    @Suite("A migration whose volumes are sent past DRBD", .onlyInTheFullRun)
    struct SeededMigrations {
        private static let migrate = "xenlvs migrate web1 --to nodeb --method one-freeze"

        @Test("Of a volume that is one tenth full a tenth is sent, and nothing is lost", .timeLimit(.minutes(20)))
        func tenth() async throws {
            try await scenario { hosts in
                for seed in ["replica", "stream"] {
                    var journey = try await start(hosts, megabytes: 256, filled: 24)
                    let before = try await hosts.a.sentBytes()
                    let migration = try await hosts.migrate(
                        "web1", from: hosts.a, "--method", "one-freeze", "--verify", "--seed", seed)
                    let sent = try await hosts.a.sentBytes() - before
                    print("--seed \(seed), 256 MiB of which 24 are filled: \(sent >> 10) KiB on the wire")
                    print(try await hosts.a.run("xenlvs migration report \(migration.id)").stdout)
                    try await hosts.verifyMigrated(&journey, migration, from: hosts.a, verified: true)
                    try await hosts.reset()
                }
            }
        }

        @Test("Killed while it is sent and around it the migration is finished by resuming it, or taken back")
        func killed() async throws {
            try await scenario { hosts in
                var journey = try await start(hosts, megabytes: 64, filled: 8)
                let migrate = "\(Self.migrate) --seed stream"
                try await hosts.crash(migrate, at: "seedCopies:after", on: hosts.a)
                try await hosts.abort(try await hosts.identifier(of: "web1", on: hosts.a), on: hosts.a)
                try await journey.goesOn()
                #expect(try await hosts.a.run("lvs --noheadings -o lv_name").text == "web1")
                try await hosts.crash(migrate, at: "seedCopies:before", on: hosts.a)
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                let resume = "xenlvs migration resume \(id)"
                // In the middle: the snapshot is there.
                try await hosts.crash(resume, at: "seedCopies.3:after", on: hosts.a)
                try await hosts.crash(resume, at: "seedCopies:after", on: hosts.a)
                let migration = try await hosts.proceed("resume", id, on: hosts.a)
                try await hosts.verifyMigrated(&journey, migration, from: hosts.a)
            }
        }

        private func start(_ hosts: Hosts, megabytes: Int, filled: Int) async throws -> Journey {
            let (guest, a) = (LabGuest("web1"), hosts.a)
            try await hosts.makeVolume("web1", megabytes: megabytes, hasSwitch: true, on: a)
            try await a.run(
                """
                set -e; mount /dev/xenlvs/web1 /mnt
                dd if=/dev/urandom of=/mnt/filling bs=1M count=\(filled) status=none; umount /mnt
                """, timeout: .seconds(120))
            try await a.create(guest)
            try await a.waitForTicks(of: guest, beyond: 5)
            return Journey(of: guest, from: a)
        }
    }
}

extension LabNode {
    /// What has left this host for the others, in bytes.
    fileprivate func sentBytes() async throws -> Int {
        let text = try await run(
            "cat /sys/class/net/cluster-*/statistics/tx_bytes /sys/class/net/storage-*/statistics/tx_bytes"
        )
        .text
        return text.split(separator: "\n").compactMap { Int($0) }.reduce(0, +)
    }
}

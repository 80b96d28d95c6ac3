import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Linux's own initiator on one host, the product's target on the other.
    @Suite("A disk over ATA over Ethernet")
    struct AoEDisk {
        @Test(
            "What a client was told to be written is on the disk, whether the target is killed or its host loses power",
            .onlyInTheFullRun, .timeLimit(.minutes(20)))
        func survivesItsTarget() async throws {
            try await scenario { hosts in
                try await hosts.b.run("lvcreate -qq -y -Wn -L 24M -n served vg0")
                var target = try await serve(on: hosts.b)
                try await attach(on: hosts.a)
                try await hosts.a.run(
                    """
                    set -e; [ $(blockdev --getsize64 /dev/etherd/e1.0) = 25165824 ]
                    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/etherd/e1.0 16M
                    /lab/stamps prepare /dev/etherd/e1.0
                    mkdir -p /mnt; mount /dev/etherd/e1.0 /mnt
                    """, timeout: .seconds(240))
                let client = try await hosts.a.start("exec /lab/stamps count /dev/etherd/e1.0 /mnt/counter")
                try await count(client, beyond: 0)

                try await target.signal("KILL")
                _ = try await target.wait()
                target = try await serve(on: hosts.b)
                try await count(client, beyond: numbers(client))

                try await hosts.b.powerOff()
                try await hosts.switchOn()
                target = try await serve(on: hosts.b)
                try await count(client, beyond: numbers(client))

                try await client.signal("USR1")
                let printed = try await client.wait()
                #expect(printed.exit == 0 && !printed.stdout.contains("guest-error"), "\(printed.stdout.suffix(300))")
                try await hosts.a.run("umount /mnt; rmmod aoe", timeout: .seconds(120))
                try await target.signal("TERM")
                #expect(try await target.wait().exit == 0, "the target did not end in good order: \(target.errors)")
                try await verify(printed.stdout, on: hosts.b)
            }
        }

        private func serve(on node: LabNode) async throws -> LabProcess {
            let target = try await node.start(
                "exec xenlvs aoe serve /dev/vg0/served --shelf 1 --slot 0 --interface storage-a")
            try await target.waitForOutput("serving e1.0")
            return target
        }

        private func attach(on node: LabNode) async throws {
            try await node.run(
                """
                modprobe aoe aoe_iflist=storage-b
                for i in $(seq 100); do
                    echo >/dev/etherd/discover; [ -b /dev/etherd/e1.0 ] && exit 0; sleep 0.2
                done; ls -l /dev/etherd >&2; exit 1
                """)
        }

        private func numbers(_ client: LabProcess) -> Int { GuestConsole(client.output).ticks.count }

        private func count(_ client: LabProcess, beyond number: Int) async throws {
            try await waitUntil(
                "ten more numbers", within: .seconds(120), evidence: { client.errors },
                condition: {
                    guard client.isRunning else { throw ScenarioError("the client has ended: \(client.errors)") }
                    return numbers(client) > number + 10
                })
        }

        /// The client is gone: what it printed must be on the target's own disk.
        private func verify(_ printed: String, on node: LabNode) async throws {
            let disk = try await node.disk("/dev/vg0/served")
            let console = GuestConsole(printed)
            for problem in disk.problems(given: console, isFirst: false) { Issue.record("\(problem)") }
            #expect(disk.stamps != nil, "the stamped blocks were not there to be checked")
        }
    }
}

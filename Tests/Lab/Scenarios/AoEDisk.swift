import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Linux's own initiator on one host, the product's target on the other.
    @Suite("A disk over ATA over Ethernet")
    struct AoEDisk {
        @Test(
            "What is written over a bad wire, and across a restart of the target under load, is what is on the disk",
            .onlyInTheFullRun, .timeLimit(.minutes(15)))
        func badWire() async throws {
            try await scenario { hosts in
                try await hosts.b.run("lvcreate -qq -y -Wn -L 16M -n served vg0")
                var target = try await serve(on: hosts.b)
                try await attach(on: hosts.a)
                for node in hosts.all {
                    try await node.impair(
                        .storage, to: hosts.peer(of: node), delay: .milliseconds(1), lossPercent: 1,
                        duplicatePercent: 1, reorderPercent: 25)
                }
                let load = try await hosts.a.start("exec \(Self.fio) --filename=/dev/etherd/e1.0")
                try await waitUntil("a quarter to be written", within: .seconds(120), evidence: { load.errors }) {
                    try await hosts.a.sectorsWritten(overAoE: "e1.0") > 2048
                }
                try await target.signal("TERM")
                #expect(try await target.wait().exit == 0, "the target did not end in good order: \(target.errors)")
                #expect(load.isRunning, "the target was not under load: \(load.output)")
                target = try await serve(on: hosts.b)

                let written = try await load.wait(timeout: .seconds(240))
                #expect(written.exit == 0, "\(written.stdout)\(written.stderr)")
                for node in hosts.all {
                    let card = "storage-\(hosts.peer(of: node).letter)"
                    let lost = try await node.run(
                        "tc -s qdisc show dev \(card) | sed -n 's/.*(dropped \\([0-9]*\\),.*/\\1/p'")
                    #expect(Int(lost.text) ?? 0 > 0, "nothing was lost on the way from \(node.name): \(lost.text)")
                }
                try await hosts.a.run("rmmod aoe", timeout: .seconds(120))
                try await target.signal("TERM")
                #expect(try await target.wait().exit == 0, "the target did not end in good order: \(target.errors)")
                // By the initiator's own reading, and then on the target's own disk.
                let onDisk = try await hosts.b.run(
                    "\(Self.fio) --filename=/dev/vg0/served --verify_only", timeout: .seconds(120), check: false)
                #expect(onDisk.exit == 0, "\(onDisk.stdout)\(onDisk.stderr)")
            }
        }

        /// Writes 4 MiB at random to 1 MiB, so that there are later writes which a late copy of an earlier one could undo, and
        /// then reads what was written: each block has a checksum, and the number of the last write to it. Two writes to one
        /// place are never under way together. (fio compares the numbers only where all blocks have one size, and by neither
        /// `--time_based` nor `--verify_only`.)
        private static let fio = """
            fio --name=load --rw=randwrite --size=1M --io_size=4M --norandommap --serialize_overlap=1 --bs=4k \
            --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --minimal
            """

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
    }
}

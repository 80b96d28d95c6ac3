import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// The daemon on one host, Linux's initiator on the other, two ways between them, and the product's udev rules.
    @Suite("A daemon's export over two interfaces, one of them a VLAN")
    struct AoEDaemon {
        @Test(
            "It is written to without an error while a cable is pulled, the daemon is killed and the volume grows",
            .timeLimit(.minutes(15)))
        func twoPaths() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                var daemon = try await startDaemon(on: hosts.b)
                let exported = try await hosts.b.run(
                    "xenlvs export aoe two --shelf 1 --slot 2 --interface storage-a --interface lab7",
                    timeout: .seconds(60))
                #expect(exported.stdout == "exported e1.2 16 MiB on storage-a,lab7 durable direct read-write\n")
                let attached = try await hosts.a.run(
                    "xenlvs attach aoe e1.2 --as two --interface storage-b --interface lab7 --timeout 60",
                    timeout: .seconds(120))
                let tags = try await hosts.b.run("cat /sys/class/net/storage-a/address /sys/class/net/lab7/address")
                for (address, card) in zip(tags.text.split(separator: "\n"), ["storage-b", "lab7"]) {
                    #expect(attached.stdout.contains("\(address) on \(card)"), "\(attached.stdout)")
                }
                try await expectRules(on: hosts.a)

                let load = try await hosts.a.start(
                    "exec \(Self.fio) --time_based --runtime=60 --filename=/dev/xenlvs/two")
                try await written(beyond: 512, load, on: hosts.a)
                try await hosts.a.cutLink(.storage)
                try await written(beyond: 512, load, on: hosts.a)
                try await hosts.a.restoreLink(.storage)
                try await daemon.signal("KILL")
                _ = try await daemon.wait()
                daemon = try await startDaemon(on: hosts.b)
                try await written(beyond: 512, load, on: hosts.a)
                try await refuseWhileInUse(hosts)

                let ended = try await load.wait(timeout: .seconds(240))
                #expect(ended.exit == 0, "\(ended.stdout)\(ended.stderr)")
                try await grow(hosts)
                try await expectStatistics(on: hosts.b)
                try await hosts.a.run("xenlvs detach two", timeout: .seconds(120))
                try await hosts.b.run("xenlvs unexport aoe e1.2 --force", timeout: .seconds(60))
                let onDisk = try await hosts.b.run(
                    "\(Self.fio) --filename=/dev/xenlvs/two --verify_only", timeout: .seconds(120), check: false)
                #expect(onDisk.exit == 0, "\(onDisk.stdout)\(onDisk.stderr)")
                try await daemon.signal("TERM")
                #expect(try await daemon.wait().exit == 0, "the daemon did not end in good order: \(daemon.errors)")
                try await hosts.b.run("xenlvs volume remove two", timeout: .seconds(60))
                let problems =
                    try await hosts.a.residue(volumes: [], links: []) + hosts.b.residue(volumes: [], links: [])
                #expect(problems.isEmpty, "\(problems)")
            }
        }

        /// Writes 2 MiB in random order again and again, each block with a checksum, and reads it back.
        private static let fio = """
            fio --name=load --rw=randwrite --size=2M --bs=4k --ioengine=libaio --direct=1 --iodepth=8 --verify=crc32c \
            --verify_fatal=1 --verify_state_save=0 --minimal
            """

        private func prepare(_ hosts: Hosts) async throws {
            try await hosts.b.push(ProductUnderTest.daemon, to: ProductUnderTest.daemonPath)
            try await hosts.a.push(ProductUnderTest.udevRules, to: ProductUnderTest.udevRulesPath, mode: "0644")
            try await hosts.a.run("udevadm control --reload")
            for node in hosts.all {
                let card = "cluster-\(hosts.peer(of: node).letter)"
                try await node.run(
                    "ip link add link \(card) name lab7 type vlan id 7 && ip link set lab7 up")
            }
            try await hosts.b.run("xenlvs volume create two --size 16M", timeout: .seconds(60))
        }

        private func startDaemon(on node: LabNode) async throws -> LabProcess {
            let daemon = try await node.start("exec xenlvsd")
            try await waitUntil(
                "the daemon's socket", within: .seconds(60), evidence: { daemon.errors },
                condition: {
                    try await node.run("xenlvs exports --protocol aoe", timeout: .seconds(30), check: false).exit == 0
                })
            return daemon
        }

        /// The control files and the disk have the group and modes of the rules, and udev has looked at nothing on it.
        private func expectRules(on node: LabNode) async throws {
            try await node.run("udevadm settle --timeout=30")
            let modes = try await node.run(
                "cd /dev/etherd; stat -c '%n %a %G' discover err flush interfaces revalidate e1.2")
            let expected = ["discover 220", "err 440", "flush 220", "interfaces 220", "revalidate 220", "e1.2 660"]
            #expect(modes.text == expected.map { "\($0) disk" }.joined(separator: "\n"), "\(modes.text)")
            let facts = try await node.run("udevadm info --query=property /dev/etherd/e1.2")
            #expect(facts.text.contains("UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG=1"), "\(facts.text)")
            #expect(!facts.text.contains("ID_FS_") && !facts.text.contains("DEVLINKS="), "\(facts.text)")
        }

        private func written(beyond sectors: Int, _ load: LabProcess, on node: LabNode) async throws {
            let before = try await node.sectorsWritten(overAoE: "e1.2")
            try await waitUntil(
                "\(sectors) sectors to be written", within: .seconds(60), evidence: { load.errors },
                condition: {
                    #expect(load.isRunning, "fio ended: \(load.output)\(load.errors)")
                    return try await node.sectorsWritten(overAoE: "e1.2") > before + sectors
                })
        }

        private func refuseWhileInUse(_ hosts: Hosts) async throws {
            let unexport = try await hosts.b.run("xenlvs unexport aoe e1.2", timeout: .seconds(60), check: false)
            #expect(unexport.exit == 5 && unexport.stderr.contains("e1.2"), "\(unexport.exit): \(unexport.stderr)")
            let remove = try await hosts.b.run("xenlvs volume remove two", timeout: .seconds(60), check: false)
            #expect(remove.exit == 5, "\(remove.exit): \(remove.stderr)")
        }

        private func grow(_ hosts: Hosts) async throws {
            try await hosts.b.run(
                "xenlvs volume resize two --size 20M && xenlvs exports --rescan", timeout: .seconds(60))
            let grown = try await hosts.a.run(
                "xenlvs attachments --revalidate two; blockdev --getsize64 /dev/xenlvs/two", timeout: .seconds(120))
            #expect(grown.stdout.contains("20971520"), "\(grown)")
        }

        private func expectStatistics(on node: LabNode) async throws {
            let text = try await node.run("xenlvs exports --protocol aoe --stats --format json").stdout
            let row = try #require(try JSONDecoder().decode([Row].self, from: Data(text.utf8)).first, "\(text)")
            #expect(row.state == "serving" && row.interfaces.map(\.name) == ["storage-a", "lab7"], "\(text)")
            #expect(row.statistics.counters.writes > 0 && row.statistics.writeLatency.count > 0, "\(text)")
            let metrics = try await node.run("xenlvs exports --protocol aoe --format prometheus").stdout
            #expect(metrics.contains("e1.2"), "\(metrics)")
        }

        private struct Row: Decodable {
            struct Interface: Decodable { var name: String }
            struct Statistics: Decodable {
                struct Counters: Decodable { var writes: UInt64 }
                struct Latency: Decodable { var count: UInt64 }
                var counters: Counters
                var writeLatency: Latency
            }
            var state: String
            var interfaces: [Interface]
            var statistics: Statistics
        }
    }
}

import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A guest on one host whose disk is on the other, over Linux's initiator as the product steers it.
    @Suite("A target of another host as a guest's disk")
    struct AoEAttachment {
        @Test(
            "A guest's root is on it while its target is killed and loses power, its own host too, and while it moves",
            .onlyInTheFullRun, .timeLimit(.minutes(30)))
        func guest() async throws {
            try await scenario { hosts in
                try await hosts.b.run("lvcreate -qq -y -Wn -L 32M -n served vg0")
                var target = try await serveToBoth(on: hosts.b)
                try await refuseBadInput(on: hosts.a)
                let attached = try await hosts.a.run(
                    "xenlvs attach aoe e1.0 --as far --interface storage-b --timeout 60", timeout: .seconds(120))
                #expect(attached.stdout.hasPrefix("/dev/xenlvs/far → /dev/etherd/e1.0, 32 MiB"), "\(attached.stdout)")
                #expect(try await hosts.a.run("cat /sys/module/aoe/parameters/aoe_iflist").text == "storage-b")
                try await expect(on: hosts.a, "far", state: "up", target: "as-recorded", uses: [])

                let guest = LabGuest("web1", kind: .pvh, volumes: ["far"], hasRootOnDisk: true)
                try await hosts.a.run(
                    """
                    set -e; mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/xenlvs/far 24M
                    /lab/stamps prepare /dev/xenlvs/far
                    """, timeout: .seconds(120))
                try await hosts.a.create(guest)
                var journey = Journey(of: guest, from: hosts.a)
                for words in ["far", "far --force"] {
                    try await refuseToDetach(words, usedBy: "the domain web1 uses it", on: hosts.a)
                }

                try await target.signal("KILL")
                _ = try await target.wait()
                target = try await serveToBoth(on: hosts.b)
                try await journey.goesOn(for: 10)
                try await hosts.b.powerOff()
                try await hosts.switchOn()
                target = try await serveToBoth(on: hosts.b)
                try await journey.goesOn(for: 10)

                _ = try await journey.console()
                try await hosts.a.powerOff()
                try await hosts.switchOn()
                #expect(try await hosts.a.run("readlink /dev/xenlvs/far").text == "/dev/etherd/e1.0")
                try await expect(on: hosts.a, "far", state: "up", target: "as-recorded", uses: [])
                try await journey.startedAgain(on: hosts.a, hosts)

                try await move(&journey, hosts)
                try await hosts.b.shutDown(guest)
                try await detach("far", "e1.0", on: hosts.b)
                try await target.signal("TERM")
                #expect(try await target.wait().exit == 0, "the target did not end in good order: \(target.errors)")
                let disk = try await hosts.b.disk("/dev/vg0/served")
                for problem in disk.problems(given: try await journey.console(), expectedBoots: 2) {
                    Issue.record("\(problem)")
                }
                #expect(disk.stamps != nil, "the stamped blocks were not there to be checked")
                try await hosts.b.run("set -e; rmmod aoe; ip link delete wire; ip link delete self")
                try await expectNothingLeft(hosts, volumes: ["served"])
            }
        }

        /// The target's host reaches it too: the guest goes there live, as between hosts with any shared storage.
        private func move(_ journey: inout Journey, _ hosts: Hosts) async throws {
            try await hosts.b.run(
                "xenlvs attach aoe e1.0 --as far --interface self --timeout 60", timeout: .seconds(120))
            let guest = journey.guest
            try await hosts.a.run("xl migrate \(guest.name) nodeb", timeout: .seconds(300))
            // Its name was another one while it came, and so is that of its log.
            let log = guest.consolePath.replacing("\(guest.name).log", with: "\(guest.name)--incoming.log")
            try await hosts.b.run("ln -s \(log) \(guest.consolePath)")
            try await journey.arrived(on: hosts.b)
            try await journey.goesOn()
            try await hosts.expectRunning(guest, on: [hosts.b], "after its live migration")
            try await detach("far", "e1.0", on: hosts.a)
            try await journey.goesOn()
        }

        @Test(
            "A new size is taken over while it is open, and nothing but what is recorded ever gets its link",
            .timeLimit(.minutes(20)))
        func sizesAndStrangers() async throws {
            try await scenario { hosts in
                try await hosts.b.run(
                    "set -e; for name in one ten; do lvcreate -qq -y -Wn -L 16M -n $name vg0; done")
                var one = try await serve("one", slot: 1, on: hosts.b)
                // To the kernel's own comparison e1.1 is the beginning of e1.10.
                let ten = try await serve("ten", slot: 10, on: hosts.b)
                try await hosts.a.run(
                    """
                    set -e
                    xenlvs attach aoe e1.1 --as one --timeout 60; xenlvs attach aoe e1.10 --as ten --timeout 60
                    """, timeout: .seconds(240))

                let opener = try await hosts.a.start("exec 3</dev/xenlvs/one; echo open; exec sleep 600")
                try await opener.waitForOutput("open")
                try await refuseToDetach("one --force", usedBy: "sleep (pid ", on: hosts.a)
                one = try await restart(one, "one", slot: 1, after: "lvextend -qq -L 24M vg0/one", on: hosts.b)
                try await expect(on: hosts.a, "one", state: "up", target: "grown", uses: nil)
                let grown = try await hosts.a.run(
                    "xenlvs attachments --revalidate one; blockdev --getsize64 /dev/xenlvs/one", timeout: .seconds(120))
                #expect(grown.stderr.contains("16 MiB → 24 MiB") && grown.stdout.contains("25165824"), "\(grown)")
                try await opener.signal()
                _ = try await opener.wait()

                one = try await restart(
                    one, "one", slot: 1, after: "lvreduce -qq -f -y -L 20M vg0/one", on: hosts.b)
                let shrunk = try await hosts.a.run(
                    "xenlvs attachments --revalidate one", timeout: .seconds(120), check: false)
                #expect(shrunk.exit == 1 && shrunk.stderr.contains("20 MiB"), "\(shrunk.stderr)")
                try await partitions(on: hosts.a)
                try await recoverAfterBoot(hosts)
                // The kernel has found the partition by itself now.
                let user = try await hosts.a.start("exec 3</dev/etherd/e1.10p1; echo open; exec sleep 600")
                try await user.waitForOutput("open")
                try await refuseToDetach("ten --force", usedBy: "sleep (pid ", on: hosts.a)
                try await user.signal()
                _ = try await user.wait()

                try await detach("one", "e1.1", on: hosts.a)
                #expect(try await hosts.a.run("cat '/sys/block/etherd!e1.10/state'").text == "up")
                try await detach("ten", "e1.10", on: hosts.a)
                for target in [one, ten] {
                    try await target.signal("TERM")
                    _ = try await target.wait()
                }
                try await expectNothingLeft(hosts, volumes: ["one", "ten"])
            }
        }

        /// Of an attachment and of a volume, each with a table of the old kind: one partition of 1024 sectors behind 256.
        private func partitions(on node: LabNode) async throws {
            try await node.run("xenlvs volume create parted --size 4M", timeout: .seconds(120))
            for (name, removal) in [("ten", "detach ten"), ("parted", "volume remove parted")] {
                try await node.run(
                    """
                    printf '\\0\\0\\0\\0\\203\\0\\0\\0\\0\\1\\0\\0\\0\\4\\0\\0%48s\\125\\252' '' | tr ' ' '\\0' |
                        dd of=/dev/xenlvs/\(name) bs=1 seek=446 conv=notrunc,fsync status=none
                    """)
                let text = try await node.run(
                    "xenlvs volume partitions \(name) --format json", timeout: .seconds(120)
                ).stdout
                let found = try JSONDecoder().decode([Partition].self, from: Data(text.utf8))
                let part = try #require(found.first, "\(text)")
                #expect(found.count == 1 && part.number == 1, "\(text)")
                #expect(part.start == 256 * 512 && part.size == 1024 * 512, "\(text)")
                #expect(try await node.run("blockdev --getro --getsize64 \(part.device)").text == "1\n524288")
                let refused = try await node.run("xenlvs \(removal)", timeout: .seconds(120), check: false)
                #expect(refused.exit == 5 && refused.stderr.contains("/dev/loop"), "\(refused.stderr)")
                try await node.run("xenlvs volume partitions \(name) --remove", timeout: .seconds(120))
                #expect(try await node.run("losetup -a").text.isEmpty)
            }
            try await node.run("xenlvs volume remove parted", timeout: .seconds(120))
        }

        private struct Partition: Decodable {
            var number, start, size: Int
            var device: String
        }

        /// With e1.1 smaller than recorded only e1.10 comes back.
        private func recoverAfterBoot(_ hosts: Hosts) async throws {
            let script = "rmmod aoe; rm -r /dev/xenlvs; SECONDS=0; xenlvs recover --wait 5; echo \"$? $SECONDS\""
            let result = try await hosts.a.run(script, timeout: .seconds(120), check: false)
            let last = result.text.split(separator: "\n").last?.split(separator: " ").compactMap { Int($0) } ?? []
            #expect(last.count == 2 && last[0] == 4 && last[1] < 60, "\(result.stdout)\(result.stderr)")
            #expect(result.stdout.contains("20 MiB"), "\(result.stdout)")
            #expect(try await hosts.a.run("ls /dev/xenlvs").text == "ten")
        }

        private func refuseBadInput(on node: LabNode) async throws {
            for (words, exit, said) in [
                ("e1.9 --as far --timeout 3", 6, "nobody answers"), ("e1.0 --as far --interface nosuch", 6, "nosuch"),
                ("e1.0 --as a/b", 64, "volume name"), ("e1.0 --as far --interface 'a b'", 64, "network interface"),
            ] {
                let result = try await node.run(
                    "xenlvs attach aoe \(words)", timeout: .seconds(120), check: false)
                #expect(result.exit == exit && result.stderr.contains(said), "\(words): \(result)")
            }
            let left = try await node.run("ls /dev/xenlvs /sys/module/aoe 2>/dev/null", check: false)
            #expect(left.text.isEmpty, "\(left.text)")
        }

        private func refuseToDetach(_ words: String, usedBy user: String, on node: LabNode) async throws {
            let refused = try await node.run("xenlvs detach \(words)", timeout: .seconds(120), check: false)
            #expect(refused.exit == 5 && refused.stderr.contains(user), "\(refused.exit): \(refused.stderr)")
        }

        /// Serves on a bridge that the host has an end of as well: nobody hears his own target otherwise.
        private func serveToBoth(on node: LabNode) async throws -> LabProcess {
            try await node.run(
                """
                [ -e /sys/class/net/wire ] && exit 0; set -e
                ip link add wire type bridge; ip link add self type veth peer name port
                for end in storage-a port; do ip link set $end master wire; done
                for end in self port wire; do ip link set $end up; done
                """)
            return try await serve("served", slot: 0, by: "wire", on: node)
        }

        private func serve(
            _ volume: String, slot: Int, by interface: String = "storage-a", on node: LabNode
        ) async throws -> LabProcess {
            let target = try await node.start(
                "exec xenlvs aoe serve /dev/vg0/\(volume) --shelf 1 --slot \(slot) --interface \(interface)")
            try await target.waitForOutput("serving e1.\(slot)")
            return target
        }

        private func restart(
            _ target: LabProcess, _ volume: String, slot: Int, after script: String, on node: LabNode
        ) async throws -> LabProcess {
            try await target.signal("TERM")
            _ = try await target.wait()
            try await node.run(script)
            return try await serve(volume, slot: slot, on: node)
        }

        /// - Parameter uses: who has it, as kind and name; nil where that does not matter.
        private func expect(
            on node: LabNode, _ name: String, state: String, target: String, uses: [String]?,
            at place: SourceLocation = #_sourceLocation
        ) async throws {
            let text = try await node.run("xenlvs attachments --format json", timeout: .seconds(120)).stdout
            let all = try JSONDecoder().decode([Row].self, from: Data(text.utf8))
            let row = try #require(all.first { $0.name == name }, "\(text)", sourceLocation: place)
            #expect(row.state == state && row.target == target, "\(text)", sourceLocation: place)
            #expect(row.paths.map(\.interface) == ["storage-b"], "\(text)", sourceLocation: place)
            if let uses {
                #expect(row.uses.map { "\($0.kind) \($0.name)" } == uses, "\(text)", sourceLocation: place)
            }
        }

        private struct Row: Decodable {
            struct Path: Decodable { var interface: String }
            struct Use: Decodable { var kind, name: String }
            var name, state, target: String
            var paths: [Path]
            var uses: [Use]
        }

        private func detach(_ name: String, _ address: String, on node: LabNode) async throws {
            let result = try await node.run("xenlvs detach \(name)", timeout: .seconds(120))
            #expect(result.stdout.contains("removed /dev/etherd/\(address)\n"), "\(result.stdout)")
            let left = try await node.run(
                "ls -d '/sys/block/etherd!\(address)' /dev/xenlvs/\(name) 2>/dev/null", check: false)
            #expect(left.text.isEmpty, "\(left.text)")
        }

        private func expectNothingLeft(_ hosts: Hosts, volumes: Set<String>) async throws {
            #expect(try await hosts.a.run("xenlvs attachments --format json | tr -d '\\n'").text == "[]")
            // Refused while anything has a device open.
            try await hosts.a.run("rmmod aoe", timeout: .seconds(60))
            let problems =
                try await hosts.a.residue(volumes: [], links: [])
                + hosts.b.residue(volumes: volumes, links: [])
            #expect(problems.isEmpty, "\(problems)")
        }
    }
}

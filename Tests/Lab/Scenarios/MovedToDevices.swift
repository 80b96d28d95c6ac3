import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A running guest's disk goes to what is attached over a network, and comes back.
    @Suite("A disk that is swapped to an attached device", .onlyInTheFullRun)
    struct MovedToDevices {
        private static let target = "iqn.2026-11.invalid.xenlvs.nodeb:far"
        private static let portals = "--portal 10.77.0.2 --portal 10.78.0.2"

        @Test("To an AoE device and back, with a power cut in between", .timeLimit(.minutes(20)))
        func overAoE() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                // Larger than the guest's disk, with something on it, and served twice.
                try await b.run(
                    """
                    echo old >/srv/served; truncate -s 40M /srv/served
                    losetup /dev/loop6 /srv/served; losetup /dev/loop7 /srv/served
                    """)
                var served = try await serve("loop6", slot: 0, on: b)
                let again = try await serve("loop7", slot: 1, on: b)
                for (address, name) in [("e1.0", "far"), ("e1.1", "again")] {
                    try await attach(address, as: name, on: a)
                }
                var journey = try await hosts.start(LabGuest("web1"), isStamped: false, hasSwitch: true, on: a)
                let dry = try await a.run(
                    "xenlvs swap web1 --to device:far --copy --overwrite", timeout: .seconds(60), check: false)
                #expect(dry.exit == 1 && dry.stderr.contains("--take-flushes"), "\(dry.stderr)")
                try await a.run("set -e; xenlvs detach far; xenlvs detach again", timeout: .seconds(60))
                for (address, name) in [("e1.0", "far"), ("e1.1", "again")] {
                    try await attach(address, as: name, "--take-flushes", on: a)
                }
                let full = try await a.run("xenlvs swap web1 --to device:far --copy", check: false)
                #expect(full.exit == 1 && full.stderr.contains("--overwrite"), "\(full.stderr)")
                let other = try await a.run("xenlvs swap web1 --to device:far --same-data", check: false)
                #expect(other.exit == 1 && other.stderr.contains("are not the same"), "\(other.stderr)")
                #expect(try await b.run("head -c 4 /srv/served").text == "old", "it was written to")
                let there = try await a.run(
                    "xenlvs swap web1 --to device:far --copy --overwrite", timeout: .seconds(300))
                print("to the AoE device:\n\(there.stderr)\(there.stdout)")
                try await journey.goesOn()
                try await expectOnDevice(a, size: 40)
                let sectors = try await a.run(
                    "xenstore-read /local/domain/0/backend/vbd/$(xl domid web1)/51712/sectors"
                ).text
                #expect(sectors == "\(40 << 11)", "the guest was not told of its disk's new size: \(sectors)")
                try await a.run("xenlvs volume remove web1.old")

                _ = try await journey.console()
                try await a.powerOff()
                try await hosts.switchOn()
                try await journey.startedAgain(on: a, hosts)
                try await expectOnDevice(a, size: 40)
                try await served.signal("KILL")
                _ = try? await served.wait()
                served = try await serve("loop6", slot: 0, on: b)
                try await journey.goesOn()
                let same = try await a.run("xenlvs swap web1 --to device:again --same-data", timeout: .seconds(120))
                #expect(same.stdout.contains("attachment again"), "\(same.stdout)")
                try await journey.goesOn()

                try await a.shutDown(journey.guest)
                let back = try await a.run("xenlvs swap web1 --to vg:vg0 --copy", timeout: .seconds(300))
                print("back:\n\(back.stderr)\(back.stdout)")
                // Its file system takes the room that the disk has gained.
                try await a.run(
                    "e2fsck -fp /dev/xenlvs/web1; resize2fs /dev/xenlvs/web1", timeout: .seconds(120))
                try await journey.startedAgain(on: a, hosts)
                try await a.run("set -e; xenlvs detach far; xenlvs detach again", timeout: .seconds(60))
                for target in [served, again] {
                    try await target.signal("TERM")
                    _ = try? await target.wait()
                }
                try await b.run("losetup -d /dev/loop6; losetup -d /dev/loop7; rm /srv/served")
                try await hosts.verifySwitched(&journey)
            }
        }

        private func attach(
            _ address: String, as name: String, _ words: String = "", on node: LabNode
        ) async throws {
            try await node.run(
                "xenlvs attach aoe \(address) --as \(name) --interface storage-b --timeout 60 \(words)",
                timeout: .seconds(120))
        }

        private func serve(_ device: String, slot: Int, on node: LabNode) async throws -> LabProcess {
            let served = try await node.start(
                "exec xenlvs aoe serve /dev/\(device) --shelf 1 --slot \(slot) --interface storage-a")
            try await served.waitForOutput("serving e1.\(slot)")
            return served
        }

        /// The volume is on the device, which nobody can detach, and what needs an LV is refused.
        private func expectOnDevice(_ node: LabNode, size: Int) async throws {
            let shown = try await node.run("xenlvs volume show web1; xenlvs volume list; xenlvs attachments").stdout
            #expect(shown.contains("attachment far") && shown.contains("right"), "\(shown)")
            #expect(try await node.run("blockdev --getsize64 /dev/xenlvs/web1").text == "\(size << 20)")
            for (command, words) in [
                ("xenlvs detach far", "the volume 'web1' is on it"),
                ("xenlvs detach far --force", "the volume 'web1' is on it"),
                ("xenlvs migrate web1 --to nodeb", "on the attachment far"),
                ("xenlvs swap web1 --to replica", "a replica is made of an LV"),
            ] {
                let refused = try await node.run(command, timeout: .seconds(120), check: false)
                #expect([1, 5].contains(refused.exit), "\(command): \(refused.exit)")
                #expect(refused.stderr.contains(words), "\(command): \(refused.stderr)")
            }
        }

        @Test("To an iSCSI disk over two paths, killed on the way and continued, and back", .timeLimit(.minutes(20)))
        func overPaths() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                try await b.run(
                    """
                    set -e; xenlvs volume create far --size 32M
                    xenlvs export iscsi far \(Self.portals) --initiator iqn.2009-01.lab.xenlvs:nodea
                    """, timeout: .seconds(120))
                try await a.run("modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
                let watch = try await a.start("exec xenlvs multipath watch")
                try await watch.waitForOutput("checking paths")
                try await a.run(
                    "xenlvs attach iscsi \(Self.target) --as far \(Self.portals) --interface cluster-b --interface storage-b",
                    timeout: .seconds(90))
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                let copy = "xenlvs swap web1 --to device:far --copy --overwrite"
                for place in ["swapWindow:after", "swapCommit:before", "swapExchange:after"] {
                    try await hosts.crash("\(copy) --bandwidth 12M", at: place, on: a)
                    try await journey.goesOn(for: 2)
                }
                let there = try await a.run(copy, timeout: .seconds(300))
                #expect(there.stdout.contains("attachment far"), "\(there.stdout)")
                try await journey.goesOn()
                try await expectOnDevice(a, size: 32)
                try await a.run("xenlvs volume remove web1.old")
                try await a.run("xenlvs swap web1 --to vg:vg0 --copy", timeout: .seconds(300))
                try await a.run("xenlvs detach far", timeout: .seconds(90))
                try await watch.signal("TERM")
                _ = try? await watch.wait()
                try await hosts.verifySwitched(&journey)
            }
        }
    }
}

import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A volume that one host exports as the other's disk, by open-iscsi and multipathd as the product steers them.
    @Suite("An iSCSI disk of another host")
    struct ISCSIAttachment {
        private static let target = "iqn.2026-11.invalid.xenlvs.nodeb:web1"
        private static let initiator = "iqn.2009-01.lab.xenlvs:nodea"
        private static let bothPortals = "--portal 10.77.0.2 --portal 10.78.0.2"
        private static let bothInterfaces = "--interface cluster-b --interface storage-b"
        private static let chap = "--chap-file /etc/xenlvs/web.chap"

        /// Who makes one device of two paths.
        enum MapOwner: String, CaseIterable { case multipathd, xenlvs }

        @Test(
            "Attached, written, refused to strangers, given back, and back after a power cut", .timeLimit(.minutes(15)))
        func onePortal() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                try await refusals(hosts)
                let attach = "xenlvs attach iscsi \(Self.target) --as far --portal 10.77.0.2 \(Self.chap)"
                let attached = try await hosts.a.run(attach, timeout: .seconds(90))
                #expect(attached.stdout.contains("-iscsi-\(Self.target)-lun-1, 64 MiB, WWID 36001405"), "\(attached)")
                try await expect(on: hosts.a, "far", state: "up", target: "as-recorded", paths: 1)
                try await checkSecrets(on: hosts.a)
                // Again: nothing changes. By another portal: refused.
                let again = try await hosts.a.run(attach, timeout: .seconds(90))
                #expect(again.stdout == attached.stdout && again.stderr.contains("nothing to do"), "\(again)")
                let other = try await hosts.a.run(attach.replacing("10.77", with: "10.78"), check: false)
                #expect(other.exit == 1 && other.stderr.contains("already"), "\(other.stderr)")

                try await hosts.a.run(
                    "set -e; mkfs.ext4 -q /dev/xenlvs/far 32M; mount /dev/xenlvs/far /mnt; echo kept >/mnt/file; sync")
                let busy = try await hosts.a.run("xenlvs detach far --force", timeout: .seconds(60), check: false)
                #expect(busy.exit == 5 && busy.stderr.contains("/mnt"), "\(busy.stderr)")
                try await hosts.a.run("umount /mnt")

                try await hosts.a.powerOff()
                try await hosts.switchOn()
                let text = try await hosts.a.run("mount -o ro /dev/xenlvs/far /mnt; cat /mnt/file; umount /mnt").text
                #expect(text == "kept")
                try await strangers(hosts)

                let removed = try await hosts.a.run("xenlvs detach far", timeout: .seconds(90))
                #expect(removed.stdout.contains("removed the record of far"), "\(removed.stdout)")
                try await expectNothingLeft(on: hosts.a)
            }
        }

        @Test(
            "Over two networks: no error and no wrong byte while paths are cut, the target is restarted and it grows",
            .onlyInTheFullRun, .timeLimit(.minutes(12)), arguments: [MapOwner.multipathd, .xenlvs])
        func twoPortals(owner: MapOwner) async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                let refused = try await hosts.a.run(
                    "xenlvs attach iscsi \(Self.target) --as far \(Self.bothPortals) \(Self.chap)",
                    timeout: .seconds(90),
                    check: false)
                #expect(refused.exit == 1 && refused.stderr.contains("multipathd does not run"), "\(refused.stderr)")
                var watch: LabProcess?
                switch owner {
                case .multipathd: try await hosts.a.run("modprobe dm_multipath; multipathd; sleep 1")
                case .xenlvs:
                    watch = try await hosts.a.start("exec xenlvs multipath watch")
                    try await watch?.waitForOutput("checking paths")
                }
                let attached = try await hosts.a.run(
                    "xenlvs attach iscsi \(Self.target) --as far \(Self.bothPortals) \(Self.bothInterfaces) \(Self.chap)",
                    timeout: .seconds(90))
                let map = owner == .xenlvs ? "xenlvs-mpath-far" : "far"
                #expect(attached.stdout.hasPrefix("/dev/xenlvs/far → /dev/mapper/\(map), 64 MiB"), "\(attached)")
                try await expect(on: hosts.a, "far", state: "up", target: "as-recorded", paths: 2)
                if owner == .multipathd { try await checkConfiguration(on: hosts.a) }
                try await hosts.a.expectListing(of: map)

                let load = try await hosts.a.start(
                    """
                    exec fio --name=verify --filename=/dev/xenlvs/far --rw=randwrite --bs=4k --size=16M --direct=1 \
                        --ioengine=libaio --iodepth=4 --verify=crc32c --time_based --runtime=150 --do_verify=1
                    """)
                try await hosts.a.cutLink(.storage)
                try await waitForState("degraded", of: "far", on: hosts.a)
                try await hosts.a.restoreLink(.storage)
                try await waitForState("up", of: "far", on: hosts.a)
                try await hosts.b.run(
                    """
                    set -e; xenlvs unexport iscsi web1 --drain
                    \(export)
                    """, timeout: .seconds(90))
                try await waitForState("up", of: "far", on: hosts.a)
                for network in [LabNetwork.storage, .cluster] { try await hosts.a.cutLink(network) }
                try await Task.sleep(for: .seconds(20))
                for network in [LabNetwork.storage, .cluster] { try await hosts.a.restoreLink(network) }
                try await waitForState("up", of: "far", on: hosts.a)
                let result = try await load.wait(timeout: .seconds(300))
                #expect(result.exit == 0, "\(result.stdout.suffix(400))\(result.stderr.suffix(400))")

                try await hosts.b.run("xenlvs volume resize web1 --size 96M")
                try await expect(on: hosts.a, "far", state: "up", target: "grown", paths: 2)
                let grown = try await hosts.a.run(
                    "xenlvs attachments --revalidate far; blockdev --getsize64 /dev/xenlvs/far", timeout: .seconds(90))
                #expect(
                    grown.stderr.contains("64 MiB → 96 MiB") && grown.stdout.contains("100663296"), "\(grown)")

                // Both paths down: given back in bounded time, and nothing of it is left.
                for network in [LabNetwork.storage, .cluster] { try await hosts.a.cutLink(network) }
                try await waitForState("down", of: "far", on: hosts.a)
                let start = ContinuousClock.now
                try await hosts.a.run("xenlvs detach far --force", timeout: .seconds(120))
                #expect(start.duration(to: .now) < .seconds(90))
                try await expectNothingLeft(on: hosts.a)
                #expect(try await hosts.a.run("grep '^/' /etc/multipath/wwids", check: false).text.isEmpty)
                try await watch?.signal("TERM")
            }
        }
    }
}

extension Scenarios.ISCSIAttachment {
    private var export: String {
        "xenlvs export iscsi web1 \(Self.bothPortals) --initiator \(Self.initiator) \(Self.chap)"
    }

    private func prepare(_ hosts: Hosts) async throws {
        let file = """
            mkdir -p /etc/xenlvs; umask 077
            printf 'user = web\\nsecret = the-right-secret\\nmutual_user = b\\nmutual_secret = the-other-secret\\n' \
                >/etc/xenlvs/web.chap
            """
        try await hosts.b.run(
            "set -e; xenlvs volume create web1 --size 64M\n\(file)\n\(export)", timeout: .seconds(120))
        try await hosts.a.run(file)
        try await startDaemons(on: hosts.a)
    }

    private func startDaemons(on node: LabNode) async throws {
        try await node.run("modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
    }

    private func refusals(_ hosts: Hosts) async throws {
        try await hosts.a.run(
            """
            umask 077; cd /etc/xenlvs
            printf 'user = web\\nsecret = not-the-right-one\\n' >wrong.chap; printf 'user = web\\nsecret = short\\n' >short.chap
            """)
        let attach = "xenlvs attach iscsi \(Self.target) --as far --portal 10.77.0.2"
        for (command, exit, words) in [
            ("\(attach) --chap-file /etc/xenlvs/wrong.chap", 1, "CHAP"),
            ("\(attach) --chap-file /etc/xenlvs/short.chap", 64, "12 to 255"),
            ("xenlvs attach iscsi notaniqn --as far --portal 10.77.0.2", 64, "iSCSI name"),
            ("xenlvs attach iscsi \(Self.target) --as far --portal 10.77.0.2:9 \(Self.chap)", 1, "cannot be reached"),
            (
                "xenlvs attach iscsi \(Self.target)x --as far --portal 10.77.0.2 \(Self.chap)", 6, "no such target"
            ),
        ] {
            let result = try await hosts.a.run(command, timeout: .seconds(60), check: false)
            #expect(
                result.exit == Int32(exit) && result.stderr.contains(words),
                "\(command): \(result.exit) \(result.stderr)")
        }
        try await hosts.a.run(
            "cp /etc/iscsi/initiatorname.iscsi /root; sed -i s/nodea/nobody/ /etc/iscsi/initiatorname.iscsi")
        let stranger = try await hosts.a.run("\(attach) \(Self.chap)", timeout: .seconds(60), check: false)
        #expect(stranger.exit == 1 && stranger.stderr.contains("nobody may not use it"), "\(stranger.stderr)")
        try await hosts.a.run("cp /root/initiatorname.iscsi /etc/iscsi/; pkill -x iscsid; sleep 1")
        let noDaemon = try await hosts.a.run("\(attach) \(Self.chap)", timeout: .seconds(60), check: false)
        #expect(noDaemon.exit == 1 && noDaemon.stderr.contains("iscsid does not run"), "\(noDaemon.stderr)")
        try await startDaemons(on: hosts.a)
        try await expectNothingLeft(on: hosts.a)
    }

    /// What multipathd is told, as its own reader has it.
    private func checkConfiguration(on node: LabNode) async throws {
        let read = try await node.run("multipath -t; multipathd show config", timeout: .seconds(60))
        #expect(read.stdout.contains("alias \"far\"") || read.stdout.contains("alias far"), "\(read.stdout)")
        #expect(!read.stderr.contains("xenlvs.conf"), "\(read.stderr)")
        // It gives a session its own time otherwise.
        let times = try await node.run("cat /sys/class/iscsi_session/session*/recovery_tmo").text
        #expect(times.split(separator: "\n").allSatisfy { $0 == "10" }, "\(times)")
    }

    /// Another volume under the same target and LUN: it is shown, and never gets the link.
    private func strangers(_ hosts: Hosts) async throws {
        try await hosts.b.run(
            """
            set -e; lvcreate -qq -y -Wn -L 64M -n other vg0; xenlvs link set other /dev/vg0/other
            xenlvs unexport iscsi web1 --drain
            # Without it xenlvs would refuse to give the LUN to another volume.
            rm /var/lib/xenlvs/iscsi.json
            xenlvs export iscsi other \(Self.bothPortals) --initiator \(Self.initiator) \(Self.chap) \
                --target-name \(Self.target) --lun 1
            """, timeout: .seconds(90))
        try await expect(on: hosts.a, "far", state: nil, target: "another", paths: nil)
        try await remapped(hosts.a)
        let refused = try await hosts.a.run("xenlvs link repair far", timeout: .seconds(60), check: false)
        #expect(refused.exit == 4 && refused.stdout.contains("taken away"), "\(refused)")
        #expect(try await hosts.a.run("ls /dev/xenlvs").text.isEmpty)
    }

    /// The doctor names it; and also once the kernel has learned that it is another disk, whoever has it open keeps it.
    private func remapped(_ node: LabNode) async throws {
        let device = "/dev/disk/by-path/ip-10.77.0.2:3260-iscsi-\(Self.target)-lun-1"
        try await node.run(
            "for i in $(seq 60); do grep -q LOGGED_IN /sys/class/iscsi_session/*/state && exit; sleep 1; done; exit 1",
            timeout: .seconds(90))
        let doctor = try await node.run("xenlvs doctor --format json", timeout: .seconds(120), check: false)
        #expect(
            doctor.exit == 1 && doctor.stdout.contains("leads to another disk: LUN 1 of \(Self.target)"),
            "\(doctor.stdout)")
        let user = try await node.start("exec sleep 600 <\(device)")
        try await node.run("sleep 2; iscsiadm -m session --rescan; udevadm settle", timeout: .seconds(60))
        let busy = try await node.run("xenlvs detach far --force", timeout: .seconds(60), check: false)
        #expect(busy.exit == 5 && busy.stderr.contains("sleep (pid"), "\(busy)")
        try await user.signal("KILL")
    }

    private func checkSecrets(on node: LabNode) async throws {
        let places = try await node.run(
            "grep -rl 'the-righ[t]-secret' /etc /var/lib/xenlvs /run /proc/*/cmdline 2>/dev/null", check: false
        ).text.split(separator: "\n").map(String.init)
        #expect(places.count == 2 && places.contains("/etc/xenlvs/web.chap"), "\(places)")
        let record = try #require(places.first { $0.hasPrefix("/etc/iscsi/nodes/") })
        #expect(try await node.run("stat -c %a '\(record)' /etc/iscsi/nodes").text == "600\n700")
    }

    private struct Row: Decodable {
        struct Path: Decodable { var isUp: Bool }
        var name, state, target: String
        var paths: [Path]
        var why: String?
    }

    private func row(_ name: String, on node: LabNode) async throws -> Row {
        let text = try await node.run("xenlvs attachments --format json", timeout: .seconds(120)).stdout
        let rows = try JSONDecoder().decode([Row].self, from: Data(text.utf8))
        return try #require(rows.first { $0.name == name }, "\(text)")
    }

    private func expect(
        on node: LabNode, _ name: String, state: String?, target: String, paths: Int?,
        at place: SourceLocation = #_sourceLocation
    ) async throws {
        let row = try await row(name, on: node)
        #expect(row.target == target && (state == nil || row.state == state), "\(row)", sourceLocation: place)
        if let paths { #expect(row.paths.filter(\.isUp).count == paths, "\(row)", sourceLocation: place) }
    }

    private func waitForState(_ state: String, of name: String, on node: LabNode) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        var last = try await row(name, on: node)
        while last.state != state {
            guard ContinuousClock.now < deadline else { throw ScenarioError("not \(state) within a minute: \(last)") }
            try await Task.sleep(for: .seconds(1))
            last = try await row(name, on: node)
        }
    }

    private func expectNothingLeft(on node: LabNode, at place: SourceLocation = #_sourceLocation) async throws {
        let left = try await node.run(
            """
            ls -d /dev/xenlvs/* /sys/class/iscsi_session/* /etc/iscsi/nodes/* /var/lib/xenlvs/multipath/* 2>/dev/null
            dmsetup info -c --noheadings -o name,uuid 2>/dev/null | grep mpath-
            """, check: false)
        #expect(left.text.isEmpty, "\(left.text)", sourceLocation: place)
        let rows = try await node.run("xenlvs attachments --format json | tr -d '\\n'").text
        #expect(rows == "[]", sourceLocation: place)
    }
}

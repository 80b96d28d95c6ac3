import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Maps that an operator makes of disks that nobody has attached through the product, without multipathd. The daemon that
    /// checks their paths has the rights of its unit and no others.
    @Suite("Maps made by hand")
    struct MapsByHand {
        private static let target = "iqn.2026-11.invalid.xenlvs.nodeb:web1"
        private static let initiator = "iqn.2009-01.lab.xenlvs:nodea"
        private static let map = "/dev/mapper/xenlvs-mpath-data"
        fileprivate static let portals = ["10.77.0.2", "10.78.0.2"]

        @Test(
            "Made, written through the loss of each path and of the daemon, back after a boot, and removed",
            .onlyInTheFullRun,
            .timeLimit(.minutes(10)))
        func life() async throws {
            try await scenario { hosts in
                try await hosts.b.run(
                    """
                    set -e; xenlvs volume create web1 --size 64M
                    xenlvs export iscsi web1 --portal 10.77.0.2 --portal 10.78.0.2 --initiator \(Self.initiator)
                    """, timeout: .seconds(120))
                let disks = try await login(hosts.a)
                let create =
                    "xenlvs multipath create data \(disks[0]) --grouping failover --selector queue-length --no-path-timeout 30"
                let unwatched = try await hosts.a.run(create, check: false)
                #expect(unwatched.exit == 1 && unwatched.stderr.contains("nobody checks paths"), "\(unwatched)")
                try await hosts.a.push(ProductUnderTest.daemon, to: ProductUnderTest.daemonPath)
                var daemon = try await startDaemon(on: hosts.a)
                let second = try await hosts.a.run("xenlvs multipath watch", check: false)
                #expect(second.exit == 5, "\(second)")
                let none = try await hosts.a.run("xenlvs multipath create data sdzz", check: false)
                #expect(none.exit == 6 && none.stderr.contains("no SCSI disk"), "\(none)")
                try await hosts.a.run("set -e; \(create); \(create)", timeout: .seconds(60))
                try await expectPaths(up: 2, on: hosts.a)
                let table = try await hosts.a.run("dmsetup table xenlvs-mpath-data").text
                #expect(table.contains("queue-length") && !table.contains("service-time"), "\(table)")
                try await hosts.a.expectListing(of: "xenlvs-mpath-data")

                try await hosts.a.run(
                    "set -e; mkfs.ext4 -q \(Self.map) 32M; mount \(Self.map) /mnt; echo kept >/mnt/file; sync",
                    timeout: .seconds(60))
                let busy = try await hosts.a.run("xenlvs multipath remove data", timeout: .seconds(60), check: false)
                #expect(busy.exit == 5, "\(busy)")
                try await hosts.a.run("umount /mnt")
                let load = try await hosts.a.start(
                    """
                    exec fio --name=verify --filename=\(Self.map) --offset=32M --size=16M --rw=randwrite --bs=4k --direct=1 \
                        --ioengine=libaio --iodepth=4 --verify=crc32c --time_based --runtime=80 --do_verify=1
                    """)
                for network in [LabNetwork.storage, .cluster] {
                    try await hosts.a.cutLink(network)
                    try await expectPaths(up: 1, on: hosts.a)
                    // What it was at is taken up by the next one.
                    try await daemon.signal("KILL")
                    _ = try await daemon.wait()
                    daemon = try await startDaemon(on: hosts.a)
                    try await hosts.a.restoreLink(network)
                    try await expectPaths(up: 2, on: hosts.a)
                }
                let result = try await load.wait(timeout: .seconds(180))
                #expect(result.exit == 0, "\(result.stdout.suffix(400))\(result.stderr.suffix(400))")

                try await hosts.a.powerOff()
                try await hosts.switchOn()
                // It loads no module, and has none to load from: the kernel does that for it.
                daemon = try await startDaemon(on: hosts.a)
                // The one path makes the map, and the other is taken into it later, which changes its table.
                for (count, portal) in Self.portals.enumerated() {
                    _ = try await login(hosts.a, to: [portal])
                    try await expectPaths(up: count + 1, on: hosts.a)
                }
                let kept = try await hosts.a.run("mount -o ro \(Self.map) /mnt; cat /mnt/file; umount /mnt").text
                #expect(kept == "kept")
                try await hosts.a.run(
                    "set -e; xenlvs multipath remove data; [ ! -e \(Self.map) ]; iscsiadm -m node -U all",
                    timeout: .seconds(90))
                let maps = try await hosts.a.run("xenlvs multipath list --format json | tr -d '\\n '").text
                #expect(maps == "[]")
                try await daemon.signal("TERM")
                #expect(try await daemon.wait().exit == 0, "\(daemon.errors)")
            }
        }
    }
}

extension Scenarios.MapsByHand {
    /// Sessions on these portals as an administrator begins them, and the disks that all sessions have brought.
    private func login(_ node: LabNode, to portals: [String] = Self.portals) async throws -> [String] {
        try await node.run(
            """
            set -e; modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid
            for portal in \(portals.joined(separator: " ")); do
                iscsiadm -m node -T \(Self.target) -p $portal -o new >/dev/null
                iscsiadm -m node -T \(Self.target) -p $portal -o update -n node.session.timeo.replacement_timeout -v 5
                iscsiadm -m node -T \(Self.target) -p $portal -o update -n 'node.conn[0].timeo.noop_out_interval' -v 2
                iscsiadm -m node -T \(Self.target) -p $portal -o update -n 'node.conn[0].timeo.noop_out_timeout' -v 3
                iscsiadm -m node -T \(Self.target) -p $portal --login >/dev/null
            done
            sessions=$(iscsiadm -m session | wc -l)
            for i in $(seq 50); do
                [ $(ls /dev/disk/by-path/*\(Self.target)-lun-1 | wc -l) = $sessions ] && break; sleep 0.2
            done
            for path in /dev/disk/by-path/*\(Self.target)-lun-1; do basename $(readlink -f $path); done
            """, timeout: .seconds(120)
        ).text.split(separator: "\n").map(String.init)
    }

    /// With no more than systemd would leave it, its limit for locked memory among that, and without the modules' directory
    /// (`ProtectKernelModules`).
    private func startDaemon(on node: LabNode) async throws -> LabProcess {
        let unit = try String(contentsOf: ProductUnderTest.daemonUnit, encoding: .utf8)
        let line = try #require(unit.split(separator: "\n").first { $0.hasPrefix("CapabilityBoundingSet=") })
        let names = line.split(separator: "=")[1].split(separator: " ").map { "+" + $0.dropFirst(4).lowercased() }
        let daemon = try await node.start(
            """
            exec unshare --mount sh -c 'mount -t tmpfs none /usr/lib/modules && exec prlimit --memlock=8388608 \
                setpriv --no-new-privs --bounding-set -all,\(names.joined(separator: ",")) xenlvsd'
            """)
        try await node.run(
            "for i in $(seq 100); do flock -n /run/xenlvs/multipath.lock true || exit 0; sleep 0.2; done; exit 1",
            timeout: .seconds(60))
        return daemon
    }

    private func expectPaths(up count: Int, on node: LabNode) async throws {
        try await node.run(
            """
            for i in $(seq 60); do
                [ $(xenlvs multipath list | grep -c ' up ') = \(count) ] && exit 0; sleep 1
            done; xenlvs multipath list >&2; exit 1
            """, timeout: .seconds(180))
    }
}

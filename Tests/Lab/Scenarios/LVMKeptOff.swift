import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A guest's volume group in an attached disk, and the LVM of the host that has attached it.
    @Suite("LVM and guests' disks")
    struct LVMKeptOff {
        private static let target = "iqn.2026-11.invalid.xenlvs.nodeb:web1"
        private static let initiator = "iqn.2009-01.lab.xenlvs:nodea"

        @Test(
            "It finds a guest's volume group, is kept off it, and finds it again; an administrator's filter stays",
            .onlyInTheFullRun, .timeLimit(.minutes(6)))
        func filter() async throws {
            try await scenario { hosts in
                try await hosts.b.run(
                    """
                    set -e; xenlvs volume create web1 --size 64M
                    xenlvs export iscsi web1 --portal 10.77.0.2 --initiator \(Self.initiator)
                    """, timeout: .seconds(120))
                let a = hosts.a
                try await a.run(
                    """
                    set -e; modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid
                    xenlvs attach iscsi \(Self.target) --as far --portal 10.77.0.2
                    cp -a /etc/lvm /root/lvm-of-the-lab; rm -f /etc/lvm/lvmlocal.conf
                    disk=$(readlink -f /dev/xenlvs/far); vgcreate -qq guest $disk; lvcreate -qq -y -Wn -l 4 -n root guest
                    """, timeout: .seconds(120))
                do { try await check(a) } catch {
                    try await putBack(a)
                    throw error
                }
                try await putBack(a)
                try await a.run("xenlvs detach far", timeout: .seconds(90))
            }
        }

        private func check(_ node: LabNode) async throws {
            let set = "xenlvs doctor --set-lvm-filter"
            // The nodes' own filter accepts every SCSI disk.
            let foreign = try await node.run(set, timeout: .seconds(60), check: false)
            #expect(foreign.exit == 1 && foreign.stderr.contains("narrow its patterns"), "\(foreign)")
            #expect(
                foreign.stderr.contains(#""r|^/dev/drbd|""#) && foreign.stderr.contains(#""a|^/dev/sd|""#), "\(foreign)"
            )
            try await node.run("sed -i /global_filter/d /etc/lvm/lvm.conf; [ ! -e /etc/lvm/lvmlocal.conf ]")
            let told = try await node.run("xenlvs doctor", timeout: .seconds(90), check: false).stdout
            #expect(told.contains("LVM looks into iSCSI disks"), "\(told)")
            let active = try await node.run(set, timeout: .seconds(60), check: false)
            #expect(active.exit == 5 && active.stderr.contains("guest/root is active"), "\(active)")
            try await node.run("vgchange -qq -an guest; vgs guest")
            let done = try await node.run(set, timeout: .seconds(60))
            #expect(done.stdout.contains("LVM does not see"), "\(done)")
            #expect(try await node.run("vgs guest", check: false).exit == 5)
            try await node.run("vgs vg0; lvmconfig --validate; pvscan; ! vgchange -ay guest", timeout: .seconds(60))
            let calm = try await node.run("xenlvs doctor", timeout: .seconds(90), check: false).stdout
            #expect(!calm.contains("LVM looks into") && !calm.contains("LVM scans"), "\(calm)")
            let again = try await node.run(
                "cp /etc/lvm/lvmlocal.conf /root; \(set); cmp /root/lvmlocal.conf /etc/lvm/lvmlocal.conf")
            #expect(again.stdout.contains("nothing to do"), "\(again)")
            try await node.run("xenlvs doctor --remove-lvm-filter; vgs guest; [ ! -e /etc/lvm/lvmlocal.conf ]")

            // A list of devices in the filter's place: what is not on it is not looked into.
            try await node.run(
                """
                set -e; echo 'devices { use_devicesfile = 1 }' >/etc/lvm/lvmlocal.conf; mkdir -p /etc/lvm/devices
                lvm lvmdevices --yes --adddev $(pvs --noheadings -o pv_name -S vg_name=vg0 | tr -d ' ')
                vgs vg0; ! vgs guest
                """)
            let listed = try await node.run(set, timeout: .seconds(60))
            #expect(listed.stdout.contains("nothing but the devices in"), "\(listed)")
            try await node.run("lvm lvmdevices --yes --adddev $(readlink -f /dev/xenlvs/far); vgs guest")
            let entry = try await node.run("xenlvs doctor", timeout: .seconds(90), check: false).stdout
            #expect(entry.contains("lvm lvmdevices --deldev"), "\(entry)")
        }

        private func putBack(_ node: LabNode) async throws {
            try await node.run(
                "vgchange -qq -an guest; rm -rf /etc/lvm; mv /root/lvm-of-the-lab /etc/lvm; vgs vg0",
                timeout: .seconds(60))
        }
    }
}

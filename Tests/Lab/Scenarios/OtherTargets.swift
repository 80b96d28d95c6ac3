import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// tgt in the kernel's place, the tools that read what is written for them, and a suite that asks both of everything.
    @Suite("Other programs that serve iSCSI")
    struct OtherTargets {
        private static let target = "iqn.2026-11.invalid.xenlvs.nodeb:web1"
        private static let initiator = "iqn.2009-01.lab.xenlvs:nodea"
        private static let second = "\(initiator)-2"
        private static let chap = "--chap-file /etc/xenlvs/web.chap"
        private static let export =
            "xenlvs export iscsi web1 --portal 10.77.0.2 --initiator \(initiator) \(chap)"

        @Test(
            "Where tgt serves: the same identity, no error while others come and go, refusals, and back after its end",
            .onlyInTheFullRun, .timeLimit(.minutes(10)))
        func tgt() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                let wwid = try await wwidByKernel(on: hosts.b)
                try await hosts.b.run("echo 'iscsi_target: tgt' >/etc/xenlvs/xenlvs.yaml")
                let missing = try await hosts.b.run(Self.export, check: false)
                #expect(missing.exit == 1 && missing.stderr.contains("tgtd does not run"), "\(missing)")
                var daemon = try await startDaemon(on: hosts.b)
                try await hosts.b.run("set -e; \(Self.export); [ -z \"$(xenlvs plan)\" ]", timeout: .seconds(60))
                let open = try await hosts.b.run("ss -Hltn 'sport = :3260'").text
                #expect(open.split(separator: "\n").count == 1 && open.contains("10.77.0.2:3260"), "\(open)")
                try await refuseStrangers(hosts)

                let attach = "xenlvs attach iscsi \(Self.target) --as far --portal 10.77.0.2"
                let attached = try await hosts.a.run("\(attach) \(Self.chap)", timeout: .seconds(90))
                #expect(attached.stdout.contains("64 MiB, WWID \(wwid)"), "\(attached)")
                let load = try await hosts.a.start(
                    """
                    exec fio --name=verify --filename=/dev/xenlvs/far --rw=randwrite --bs=4k --size=16M --direct=1 \
                        --ioengine=libaio --iodepth=4 --verify=crc32c --time_based --runtime=30 --do_verify=1
                    """)
                try await hosts.b.run(
                    """
                    set -e
                    for turn in 1 2 3; do
                        xenlvs export iscsi web2 --portal 10.77.0.2 --initiator \(Self.initiator) \(Self.chap) --thin
                        [ $(xenlvs exports --protocol iscsi | grep -c ' serving ') = 2 ]
                        xenlvs unexport iscsi web2
                    done
                    """, timeout: .seconds(120))
                let busy = try await hosts.b.run("xenlvs unexport iscsi web1", check: false)
                #expect(busy.exit == 5 && busy.stderr.contains(Self.initiator), "\(busy)")
                let result = try await load.wait(timeout: .seconds(180))
                #expect(result.exit == 0, "\(result.stdout.suffix(400))\(result.stderr.suffix(400))")
                try await expectFlushes(hosts)

                // It forgets everything with its end.
                try await daemon.signal("KILL")
                _ = try await daemon.wait()
                daemon = try await startDaemon(on: hosts.b)
                try await hosts.b.run(
                    "xenlvs apply --recorded && [ -z \"$(xenlvs plan)\" ]", timeout: .seconds(60))
                try await hosts.a.run(
                    "dd if=/dev/xenlvs/far of=/dev/null bs=1M count=4 iflag=direct", timeout: .seconds(180))
                try await hosts.a.run("xenlvs detach far", timeout: .seconds(90))
                let other = try await hosts.b.run(
                    "echo 'iscsi_target: lio' >/etc/xenlvs/xenlvs.yaml; xenlvs plan", check: false)
                #expect(other.exit == 1 && other.stderr.contains("iscsi_target: tgt"), "\(other)")
                try await hosts.b.run(
                    """
                    set -e; echo 'iscsi_target: tgt' >/etc/xenlvs/xenlvs.yaml; xenlvs unexport iscsi web1
                    [ -z "$(tgtadm --lld iscsi --mode target --op show)" ]
                    [ "$(tgtadm --lld iscsi --mode account --op show | wc -l)" -le 1 ]
                    """, timeout: .seconds(60))
                try await daemon.signal("KILL")
            }
        }

        @Test(
            "targetctl serves what is written for it, and what it saves is taken over", .onlyInTheFullRun,
            .timeLimit(.minutes(8)))
        func saveconfig() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                try await hosts.b.run(
                    """
                    set -e; \(Self.export) --read-only
                    xenlvs export iscsi web2 --portal 10.77.0.2 --portal 10.78.0.2 --initiator \(Self.initiator) \
                        --initiator iqn.1993-08.org.debian:01:nodec --thin
                    mkdir -p /root/written; xenlvs iscsi write /root/written --as saveconfig
                    """, timeout: .seconds(120))
                #expect(try await hosts.b.run("stat -c %a /root/written/saveconfig.json").text == "600")
                let before = try await view(on: hosts.b)
                try await hosts.b.run(
                    """
                    set -e; xenlvs unexport iscsi web1; xenlvs unexport iscsi web2
                    targetctl restore /root/written/saveconfig.json
                    """, timeout: .seconds(120))
                #expect(try await view(on: hosts.b) == before)
                let attached = try await hosts.a.run(
                    "xenlvs attach iscsi \(Self.target) --as far --portal 10.77.0.2 \(Self.chap)",
                    timeout: .seconds(90))
                #expect(attached.stdout.contains("64 MiB"), "\(attached)")
                try await hosts.a.run("xenlvs detach far", timeout: .seconds(90))

                // Taken over from what targetctl itself saves, it is what it was.
                try await hosts.b.run(
                    """
                    set -e; targetctl save /root/saved.json; mkdir -p /root/chap
                    xenlvs iscsi read /root/saved.json --as saveconfig --chap-directory /root/chap >/root/read.yaml
                    targetctl clear; xenlvs apply -f /root/read.yaml
                    """, timeout: .seconds(120))
                #expect(try await view(on: hosts.b) == before)
                try await hosts.b.run("xenlvs unexport iscsi web1; xenlvs unexport iscsi web2", timeout: .seconds(60))
            }
        }

        @Test(
            "A conformance suite finds nothing in an export that it does not find in a disk of the same backend",
            .onlyInTheFullRun, .timeLimit(.minutes(40)), arguments: ConformanceTable.all)
        func conformance(table: ConformanceTable) async throws {
            let isTGT = table.backend == "tgt"
            try await scenario { hosts in
                try await hosts.b.run(
                    """
                    set -e; mkdir -p /etc/xenlvs; echo 'iscsi_target: \(table.backend)' >/etc/xenlvs/xenlvs.yaml
                    xenlvs volume create web1 --size 64M; lvcreate -qq -y -Wn -L 64M -n plain vg0
                    """, timeout: .seconds(60))
                let daemon = isTGT ? try await startDaemon(on: hosts.b) : nil
                try await hosts.b.run(
                    "xenlvs export iscsi web1 --portal 10.77.0.2 --initiator \(Self.initiator) --initiator \(Self.second)",
                    timeout: .seconds(60))
                try await hosts.b.run(isTGT ? plainOfTGT : plainOfKernel, timeout: .seconds(60))
                let plainTarget = "iqn.2026-11.com.example:plain/1"
                let ours = try await ask(hosts.a, "iscsi://10.77.0.2:3260/\(Self.target)/1")
                let plain = try await ask(hosts.a, "iscsi://10.77.0.2:\(isTGT ? 3260 : 3261)/\(plainTarget)")
                print(
                    "iscsi-test-cu, \(table.backend): the export \(ours.summary); a disk made by hand \(plain.summary);",
                    "the research (\(table.disk)) \(table.summary)")
                #expect(ours.outcomes.keys.sorted() == plain.outcomes.keys.sorted())
                for name in ours.failures.subtracting(table.wavering).sorted() {
                    let known = plain.outcomes[name]?.rawValue ?? "-"
                    #expect(known == "failed", "\(name) fails, and with a plain disk it is \(known)")
                }
                let objections = table.objections(to: ours)
                #expect(objections.isEmpty, "\(objections.joined(separator: "; "))")
                try await hosts.b.run("xenlvs unexport iscsi web1 --drain", timeout: .seconds(60))
                try await daemon?.signal("KILL")
            }
        }
    }
}

extension Scenarios.OtherTargets {
    private func prepare(_ hosts: Hosts) async throws {
        let file = """
            mkdir -p /etc/xenlvs; umask 077
            printf 'user = web\\nsecret = the-right-secret\\nmutual_user = b\\nmutual_secret = the-other-secret\\n' \
                >/etc/xenlvs/web.chap
            """
        try await hosts.b.run(
            "set -e; for name in web1 web2; do xenlvs volume create $name --size 64M; done\n\(file)",
            timeout: .seconds(120))
        try await hosts.a.run("\(file)\nmodprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
    }

    private func startDaemon(on node: LabNode) async throws -> LabProcess {
        let daemon = try await node.start("exec tgtd -f")
        try await node.run(
            "for i in $(seq 50); do tgtadm --lld iscsi --mode sys --op show >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1",
            timeout: .seconds(60))
        return daemon
    }

    private func wwidByKernel(on node: LabNode) async throws -> String {
        try await node.run(
            """
            set -e; \(Self.export) >&2; xenlvs exports --format json | grep -m 1 wwid | cut -d '"' -f 4
            xenlvs unexport iscsi web1 >&2
            """, timeout: .seconds(60)
        ).text
    }

    private func refuseStrangers(_ hosts: Hosts) async throws {
        let attach = "xenlvs attach iscsi \(Self.target) --as far --portal 10.77.0.2"
        try await hosts.a.run(
            """
            umask 077; printf 'user = web\\nsecret = not-the-right-one\\n' >/etc/xenlvs/wrong.chap
            cp /etc/iscsi/initiatorname.iscsi /root
            """)
        let wrong = try await hosts.a.run(
            "\(attach) --chap-file /etc/xenlvs/wrong.chap", timeout: .seconds(60), check: false)
        #expect(wrong.exit == 1 && wrong.stderr.contains("CHAP"), "\(wrong)")
        let stranger = try await hosts.a.run(
            """
            sed -i s/nodea/nobody/ /etc/iscsi/initiatorname.iscsi
            \(attach) \(Self.chap); status=$?; cp /root/initiatorname.iscsi /etc/iscsi/; exit $status
            """, timeout: .seconds(60), check: false)
        #expect(stranger.exit != 0 && !stranger.stderr.contains("cannot be reached"), "\(stranger)")
    }

    /// What an initiator flushes has to be flushed to the device.
    private func expectFlushes(_ hosts: Hosts) async throws {
        let trace = try await hosts.b.start(
            "exec strace -f -e trace=fdatasync,fsync,sync_file_range -o /root/flushes -p $(pgrep -x tgtd)")
        try await Task.sleep(for: .seconds(2))
        try await hosts.a.run(
            "dd if=/dev/zero of=/dev/xenlvs/far bs=4k count=1 seek=8000 conv=fsync status=none", timeout: .seconds(60))
        try await trace.signal("INT")
        let flushes = try await hosts.b.run("cat /root/flushes", check: false).text
        #expect(flushes.contains("sync"), "\(flushes)")
    }

    /// What the kernel serves, but for what every maker numbers in its own way.
    private func view(on node: LabNode) async throws -> String {
        try await node.run(
            """
            cd /sys/kernel/config/target
            for file in iscsi/iqn*/tpgt_1/{enable,attrib/*,param/*Digest,acls/*/auth/{userid,password}*,acls/*/lun_*/write_protect}; do
                echo "$file $(cat $file)"
            done
            find iscsi/iqn*/tpgt_1/{np,lun,acls} -mindepth 1 -maxdepth 2 -type d -not -path '*statistics*' | sort
            for device in core/iblock_*/*/; do
                echo "$(basename $device) $(cat $device/wwn/vpd_unit_serial $device/attrib/emulate_tpu) $(cat $device/udev_path)"
            done | sort
            """, timeout: .seconds(60)
        ).text
    }

    /// As somebody would make it who does not know xenlvs.
    private var plainOfKernel: String {
        """
        set -e; cd /sys/kernel/config/target; mkdir -p core/iblock_0/plain
        echo -n udev_path=/dev/vg0/plain >core/iblock_0/plain/control; echo -n 1 >core/iblock_0/plain/enable
        echo -n 0123456789abcdef0123456789abcdef >core/iblock_0/plain/wwn/vpd_unit_serial
        group=iscsi/iqn.2026-11.com.example:plain/tpgt_1
        mkdir iscsi/iqn.2026-11.com.example:plain $group $group/lun/lun_1 $group/np/10.77.0.2:3261
        echo -n 0 >$group/attrib/authentication; echo -n 1 >$group/attrib/generate_node_acls
        echo -n 0 >$group/attrib/demo_mode_write_protect
        ln -s $PWD/core/iblock_0/plain $group/lun/lun_1/plain; echo -n 1 >$group/enable
        """
    }

    private var plainOfTGT: String {
        """
        set -e
        admin() { tgtadm --lld iscsi "$@"; }
        admin --mode target --op new --tid 77 --targetname iqn.2026-11.com.example:plain
        admin --mode logicalunit --op new --tid 77 --lun 1 --backing-store /dev/vg0/plain
        admin --mode target --op bind --tid 77 --initiator-address ALL
        """
    }

    /// The suite's two initiators have names of their own, as in the research: two of one name LIO takes for one where disks are
    /// reserved, and six more tests fail.
    private func ask(_ node: LabNode, _ address: String) async throws -> ConformanceRun {
        let result = try await node.run(
            """
            iscsi-test-cu --dataloss --initiator-name=\(Self.initiator) --initiator-name-2=\(Self.second) \
                --test=ALL \(address) 2>&1
            """, timeout: .seconds(1100), check: false)
        return ConformanceRun(result.stdout)
    }
}

import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// The kernel's target as the product steers it, and open-iscsi on the other host.
    @Suite("Volumes over iSCSI")
    struct ISCSIExports {
        /// The node's own name: iscsid reads it when it starts, and an earlier scenario may have started it.
        private static let initiator = "iqn.2009-01.lab.xenlvs:nodea"

        @Test("One command serves a volume, and changes to other exports do not disturb it", .timeLimit(.minutes(12)))
        func served() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                let target = "iqn.2026-11.invalid.xenlvs.nodeb:web1"
                try await hosts.b.run(
                    """
                    set -e
                    xenlvs export iscsi web1 \(portals) --initiator \(Self.initiator) --chap-file /etc/xenlvs/web.chap
                    xenlvs export iscsi web2 \(portals) --initiator \(Self.initiator)
                    [ -z "$(xenlvs plan)" ]
                    """)
                try await attach(target, on: hosts.a)
                let disk = try await disk(of: target, on: hosts.a)
                let wwid = try await hosts.b.run("xenlvs exports --format json | grep -m 1 wwid | cut -d '\"' -f 4")
                    .text
                #expect(try await hosts.a.run("cat /sys/block/\(disk)/device/wwid").text == "naa." + wwid.dropFirst())
                #expect(try await hosts.a.run("blockdev --getsize64 /dev/\(disk)").text == "67108864")

                let load = try await hosts.a.start(
                    """
                    exec fio --name=verify --filename=/dev/\(disk) --rw=randwrite --bs=4k --size=16M --direct=1 \
                        --ioengine=libaio --iodepth=4 --verify=crc32c --time_based --runtime=30 --do_verify=1
                    """)
                try await hosts.b.run(
                    """
                    set -e
                    for turn in 1 2 3; do
                        xenlvs unexport iscsi web2
                        xenlvs export iscsi web2 \(portals) --initiator \(Self.initiator) --thin
                    done
                    xenlvs export iscsi web1 \(portals) --initiator \(Self.initiator) \
                        --initiator iqn.1993-08.org.debian:01:nodec --chap-file /etc/xenlvs/web.chap
                    """, timeout: .seconds(120))
                let refused = try await hosts.b.run("xenlvs unexport iscsi web1", check: false)
                #expect(refused.exit == 5 && refused.stderr.contains(Self.initiator), "\(refused.stderr)")
                let result = try await load.wait(timeout: .seconds(180))
                #expect(result.exit == 0, "\(result.stdout.suffix(400))\(result.stderr.suffix(400))")
                let errors = try await hosts.a.run("dmesg | grep -c 'conn error'", check: false).text
                #expect(errors == "0", "the session of web1 was disturbed")

                try await hosts.a.run("iscsiadm -m node -U all", timeout: .seconds(60))
                try await hosts.b.run(
                    """
                    set -e; xenlvs unexport iscsi web1; xenlvs unexport iscsi web2
                    [ -z "$(ls -d /sys/kernel/config/target/iscsi/iqn* /sys/kernel/config/target/core/iblock* 2>/dev/null)" ]
                    """)
            }
        }

        @Test("What is wrong is refused, and changes nothing", .timeLimit(.minutes(10)))
        func refusals() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                let export = "xenlvs export iscsi web1 --initiator \(Self.initiator)"
                let chap = "--portal nodeb --chap-file /etc/xenlvs/web.chap"
                for (command, exit, words) in [
                    ("\(export) --portal 10.99.0.1", 1, "is not an address of this host"),
                    ("\(export)", 64, "0 portals"),
                    ("xenlvs export iscsi web1 --portal nodeb", 64, "0 initiators"),
                    ("xenlvs export iscsi web1 --portal nodeb --initiator notaniqn", 64, "not a iSCSI name"),
                    ("\(export) --portal nodeb --lun 0", 64, "0 is no LUN"),
                    ("chmod 644 /etc/xenlvs/web.chap; \(export) \(chap)", 1, "others may read"),
                    ("xenlvs export iscsi web9 --portal nodeb --initiator \(Self.initiator)", 6, "there is none"),
                    ("mount /dev/xenlvs/web1 /mnt; \(export) --portal nodeb", 5, "mounted on /mnt"),
                ] {
                    let result = try await hosts.b.run(resolved(command), check: false)
                    #expect(
                        result.exit == Int32(exit) && result.stderr.contains(words), "\(command): \(result.stderr)")
                }
                try await hosts.b.run("umount /mnt; chmod 600 /etc/xenlvs/web.chap")
                try await oneBadEntry(hosts)
                try await wrongSecret(hosts)
            }
        }

        private func oneBadEntry(_ hosts: Hosts) async throws {
            let before = try await hosts.b.run("find /sys/kernel/config/target 2>/dev/null | sort", check: false).text
            let entry = "portals: [10.77.0.2], initiators: [\(Self.initiator)]"
            let result = try await hosts.b.run(
                """
                cat >/root/exports.yaml <<'END'
                iscsi:
                  exports:
                    - {volume: web1, \(entry)}
                    - {volume: gone, \(entry)}
                END
                xenlvs apply -f /root/exports.yaml
                """, check: false)
            #expect(result.exit == 6 && result.stderr.contains("gone"), "\(result.stderr)")
            let after = try await hosts.b.run("find /sys/kernel/config/target | grep xenlvs", check: false).text
            #expect(after.isEmpty && !before.contains("xenlvs"), "\(after)")
        }

        private func wrongSecret(_ hosts: Hosts) async throws {
            let target = "iqn.2026-11.invalid.xenlvs.nodeb:web1"
            try await hosts.b.run(
                resolved(
                    "xenlvs export iscsi web1 --initiator \(Self.initiator) --portal nodeb --chap-file /etc/xenlvs/web.chap"
                ))
            let wrong = try await hosts.a.run(login(target, secret: "not-the-right-one"), check: false)
            #expect(wrong.exit == 24, "\(wrong.stderr)")
            try await hosts.b.run(
                resolved("xenlvs export iscsi web1 --initiator iqn.1993-08.org.debian:01:other --portal nodeb"))
            let stranger = try await hosts.a.run(login(target, secret: "the-right-secret"), check: false)
            #expect(stranger.exit == 24, "\(stranger.exit) \(stranger.stderr)")
        }

        @Test(
            "A kill or a power cut in the middle is put right by the next apply", .onlyInTheFullRun,
            .timeLimit(.minutes(12)))
        func cutOff() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                try await hosts.b.run(
                    """
                    set -e
                    { echo 'iscsi:'; echo '  exports:'
                      for number in $(seq 12); do
                          lvcreate -qq -y -Wn -L 4M -n disk$number vg0
                          xenlvs link set disk$number /dev/vg0/disk$number >/dev/null
                          echo "    - {volume: disk$number, portals: [10.77.0.2], initiators: [\(Self.initiator)]}"
                      done; } >/root/exports.yaml
                    """, timeout: .seconds(180))
                for delay in ["0.5", "0.8", "1.1", "1.4"] {
                    try await hosts.b.run(
                        """
                        (xenlvs apply -f /root/exports.yaml >/dev/null 2>&1 & job=$!; sleep \(delay); kill -KILL $job)
                        xenlvs apply -f /root/exports.yaml && [ -z "$(xenlvs plan)" ] || exit 1
                        [ $(ls -d /sys/kernel/config/target/iscsi/iqn* | wc -l) = 12 ]
                        echo 'iscsi: {exports: []}' >/root/none.yaml
                        (xenlvs apply -f /root/none.yaml >/dev/null 2>&1 & job=$!; sleep \(delay); kill -KILL $job)
                        xenlvs apply -f /root/none.yaml && [ -z "$(xenlvs plan)" ] || exit 1
                        [ -z "$(ls -d /sys/kernel/config/target/iscsi/iqn* 2>/dev/null)" ]
                        """, timeout: .seconds(120))
                }
                // The power goes while it writes to the kernel.
                for delay in [0.6, 1.0] {
                    try await hosts.b.run("xenlvs apply -f /root/none.yaml; sync", timeout: .seconds(60))
                    let apply = try await hosts.b.start("exec xenlvs apply -f /root/exports.yaml")
                    try await Task.sleep(for: .seconds(delay))
                    try await hosts.b.powerOff()
                    _ = try? await apply.wait()
                    try await hosts.switchOn()
                    try await hosts.b.run(
                        """
                        xenlvs apply --recorded || exit 1
                        xenlvs apply -f /root/exports.yaml && [ -z "$(xenlvs plan)" ] || exit 1
                        [ $(ls -d /sys/kernel/config/target/iscsi/iqn* | wc -l) = 12 ]
                        """, timeout: .seconds(120))
                }
                let before = try await hosts.b.run("xenlvs exports --format json | grep -E 'wwid|lun'").text
                try await hosts.b.powerOff()
                try await hosts.switchOn()
                try await hosts.b.run("xenlvs apply --recorded && [ -z \"$(xenlvs plan)\" ]", timeout: .seconds(120))
                #expect(try await hosts.b.run("xenlvs exports --format json | grep -E 'wwid|lun'").text == before)
            }
        }

        @Test(
            "A write that the kernel does not end is told, and put right when the device answers again",
            .onlyInTheFullRun, .timeLimit(.minutes(6)))
        func hangingWrite() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                let target = "iqn.2026-11.invalid.xenlvs.nodeb:web1"
                try await hosts.b.run(
                    "xenlvs export iscsi web1 \(portals) --initiator \(Self.initiator) --chap-file /etc/xenlvs/web.chap"
                )
                try await attach(target, on: hosts.a)
                let disk = try await disk(of: target, on: hosts.a)
                try await hosts.b.run("dmsetup suspend vg0-web1")
                let load = try await hosts.a.start("exec dd if=/dev/zero of=/dev/\(disk) bs=4k count=1 oflag=direct")
                try await Task.sleep(for: .seconds(1))
                let start = ContinuousClock.now
                let stuck = try await hosts.b.run(
                    "xenlvs unexport iscsi web1 --drain --timeout 5", timeout: .seconds(60), check: false)
                #expect(
                    stuck.exit == 3 && stuck.stderr.contains("tpgt_1") && stuck.stderr.contains("is left behind"),
                    "\(stuck)")
                #expect(start.duration(to: .now) < .seconds(30))
                for command in ["exports", "plan", "apply --recorded"] {
                    let busy = try await hosts.b.run("xenlvs \(command)", timeout: .seconds(60), check: false)
                    #expect(busy.exit == 5 && busy.stderr.contains("has not come to its end"), "\(command): \(busy)")
                }
                try await hosts.b.run(
                    """
                    dmsetup resume vg0-web1
                    for i in $(seq 50); do pgrep -f kernel-target >/dev/null || break; sleep 0.2; done
                    xenlvs apply --recorded && [ -z "$(xenlvs plan)" ] || exit 1
                    [ -z "$(ls -d /sys/kernel/config/target/iscsi/iqn* 2>/dev/null)" ]
                    """, timeout: .seconds(90))
                try await load.signal()
            }
        }

        @Test(
            "Discovery asks for its own secret, and digests that are required are used", .onlyInTheFullRun,
            .timeLimit(.minutes(8)))
        func discoveryAndDigests() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                let target = "iqn.2026-11.invalid.xenlvs.nodeb:web1"
                let digests = "header_digest: crc32c, data_digest: crc32c"
                try await hosts.b.run(
                    """
                    set -e; umask 077
                    printf 'user = finder\\nsecret = who-may-find-them\\n' >/etc/xenlvs/discovery.chap
                    cat >/root/exports.yaml <<'END'
                    iscsi:
                      discovery_chap: /etc/xenlvs/discovery.chap
                      exports:
                        - {volume: web1, portals: [10.77.0.2], initiators: [\(Self.initiator)], \(digests)}
                    END
                    xenlvs apply -f /root/exports.yaml; [ -z "$(xenlvs plan -f /root/exports.yaml)" ]
                    """, timeout: .seconds(60))
                let stranger = try await hosts.a.run(
                    "\(Self.discover) -o new >/dev/null; \(Self.discover) --discover", timeout: .seconds(60),
                    check: false)
                #expect(stranger.exit == 24 && !stranger.stdout.contains(target), "\(stranger)")
                let wrong = try await hosts.a.run(
                    discovery(secret: "not-the-right-one"), timeout: .seconds(60), check: false)
                #expect(wrong.exit == 24 && !wrong.stdout.contains(target), "\(wrong)")
                let found = try await hosts.a.run(discovery(secret: "who-may-find-them"), timeout: .seconds(60))
                #expect(found.stdout.contains(target), "\(found)")

                let session = "iscsiadm -m node -T \(target) -p 10.77.0.2"
                let without = try await hosts.a.run(
                    """
                    \(session) -o update -n node.session.initial_login_retry_max -v 1
                    \(session) --login
                    """, timeout: .seconds(60), check: false)
                #expect(without.exit != 0, "\(without)")
                try await hosts.a.run(
                    """
                    set -e
                    for digest in HeaderDigest DataDigest; do
                        \(session) -o update -n "node.conn[0].iscsi.$digest" -v CRC32C
                    done
                    \(session) --login
                    grep -qx 1 /sys/class/iscsi_connection/*/header_digest
                    grep -qx 1 /sys/class/iscsi_connection/*/data_digest
                    """, timeout: .seconds(60))
                let disk = try await disk(of: target, on: hosts.a)
                try await hosts.a.run(
                    """
                    set -e; head -c 1M /dev/urandom >/root/bytes
                    dd if=/root/bytes of=/dev/\(disk) bs=64k oflag=direct status=none
                    dd if=/dev/\(disk) bs=64k count=16 iflag=direct status=none | cmp - /root/bytes
                    iscsiadm -m node -U all
                    """, timeout: .seconds(90))
            }
        }

        private static let discover = "iscsiadm -m discoverydb -t sendtargets -p 10.77.0.2:3260"

        private func discovery(secret: String) -> String {
            """
            for value in authmethod=CHAP username=finder password=\(secret); do
                \(Self.discover) -o update -n discovery.sendtargets.auth.${value%%=*} -v ${value#*=}
            done
            \(Self.discover) --discover
            """
        }

        @Test("What somebody else has made is shown and left alone", .onlyInTheFullRun, .timeLimit(.minutes(10)))
        func foreign() async throws {
            try await scenario { hosts in
                try await prepare(hosts)
                try await hosts.b.run(
                    """
                    set -e
                    lvcreate -qq -y -Wn -L 4M -n theirs vg0
                    modprobe -a target_core_mod target_core_iblock iscsi_target_mod
                    [ -e /sys/kernel/config/target ] || mount -t configfs configfs /sys/kernel/config
                    cd /sys/kernel/config/target; mkdir -p iscsi core/iblock_0/theirs
                    echo -n udev_path=/dev/vg0/theirs >core/iblock_0/theirs/control
                    echo -n 1 >core/iblock_0/theirs/enable
                    group=iscsi/iqn.2026-11.com.example:theirs/tpgt_1
                    mkdir iscsi/iqn.2026-11.com.example:theirs $group $group/lun/lun_0 $group/np/0.0.0.0:3260
                    ln -s $PWD/core/iblock_0/theirs $group/lun/lun_0/theirs; echo -n 1 >$group/enable
                    """, timeout: .seconds(60))
                let command = "xenlvs export iscsi web1 --portal nodeb --initiator \(Self.initiator)"
                let refused = try await hosts.b.run(resolved(command), check: false)
                #expect(refused.exit == 5 && refused.stderr.contains("every address"), "\(refused.stderr)")
                let view = "find /sys/kernel/config/target | grep -E 'theirs' | sort; ls /sys/kernel/config/target/core"
                let before = try await hosts.b.run(view).text
                try await hosts.b.run(resolved(command.replacing("nodeb ", with: "nodeb:3261 ")))
                #expect(try await hosts.b.run("xenlvs exports").text.contains("foreign"))
                try await hosts.b.run("xenlvs unexport iscsi web1; xenlvs apply --recorded")
                #expect(try await hosts.b.run(view).text == before)
            }
        }
    }
}

extension Scenarios.ISCSIExports {
    /// Two volumes and a CHAP file on b, an initiator on a.
    private func prepare(_ hosts: Hosts) async throws {
        try await hosts.b.run(
            """
            set -e
            for name in web1 web2; do xenlvs volume create $name --size 64M; mkfs.ext4 -q /dev/xenlvs/$name 8M; done
            udevadm settle
            mkdir -p /etc/xenlvs; umask 077
            printf 'user = web\\nsecret = the-right-secret\\nmutual_user = b\\nmutual_secret = the-other-secret\\n' \
                >/etc/xenlvs/web.chap
            """, timeout: .seconds(120))
        try await hosts.a.run(
            """
            set -e
            modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid; dmesg -C
            """)
    }

    private var portals: String { "--portal 10.78.0.2 --portal 10.77.0.2" }

    private func resolved(_ command: String) -> String {
        command.replacing("--portal nodeb", with: "--portal 10.77.0.2")
    }

    private func login(_ target: String, secret: String) -> String {
        """
        iscsiadm -m node -T \(target) -p 10.77.0.2 -o new >/dev/null
        for value in authmethod=CHAP username=web password=\(secret) username_in=b password_in=the-other-secret; do
            iscsiadm -m node -T \(target) -p 10.77.0.2 -o update -n node.session.auth.${value%%=*} -v ${value#*=}
        done
        iscsiadm -m node -T \(target) -p 10.77.0.2 -o update -n node.session.initial_login_retry_max -v 1
        iscsiadm -m node -T \(target) -p 10.77.0.2 --login
        """
    }

    private func attach(_ target: String, on node: LabNode) async throws {
        try await node.run(login(target, secret: "the-right-secret") + "\nudevadm settle", timeout: .seconds(90))
    }

    private func disk(of target: String, on node: LabNode) async throws -> String {
        let path = "/dev/disk/by-path/ip-10.77.0.2:3260-iscsi-\(target)-lun-1"
        return try await node.run(
            "for i in $(seq 50); do [ -b \(path) ] && break; sleep 0.2; done; basename $(readlink -f \(path))"
        ).text
    }
}

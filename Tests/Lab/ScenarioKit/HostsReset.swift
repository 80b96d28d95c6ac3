import LabKit

extension Hosts {
    /// Undoes every fault and takes everything away that a scenario may have left: one failure does not poison the next.
    package func reset() async throws {
        try await withThrowingTaskGroup { group in
            for node in all { group.addTask { try await node.reset() } }
            try await group.waitForAll()
        }
        try await watch.end(all)
    }

    /// What both hosts show, for a failure's message.
    package func state() async -> String {
        var text = ""
        for node in all {
            let script = """
                xl list; ls -l --time-style=+ /dev/xenlvs /var/lib/xenlvs/images; lvs --noheadings; losetup -a
                cat /proc/drbd; xenlvs migration list
                for id in $(xenlvs migration list | awk 'NR > 1 { print $1 }'); do xenlvs migration status $id; done
                pgrep -ax 'xl|xenlvs|xenlvsd|ssh|lvm'; dmesg | tail -n 12
                # Whether requests to an AoE disk are under way, what its initiator has sent, and how far guests came.
                for disk in /sys/block/etherd*; do
                    [ -e "$disk" ] || continue
                    echo "$disk $(cat "$disk/state" "$disk/inflight" "$disk/stat" | tr '\\n' ' ')"
                    mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
                    tail -n 20 /sys/kernel/debug/aoe/*
                done
                tail -n 3 /var/log/xen/console/guest-*.log
                """
            let shown = node.isPoweredOn ? try? await node.run(script + " 2>&1", check: false).text : "switched off"
            text += "-- \(node.name) --\n\(shown ?? "no answer")\n"
        }
        return text
    }
}

extension LabNode {
    /// Everything that the product or a scenario makes on a host goes; the product itself stays.
    fileprivate func reset() async throws {
        if !isPoweredOn {
            try await powerOn()
            try await waitUntilReady()
        }
        for network in LabNetwork.allCases { try await restoreLink(network) }
        try await run(
            """
            \(TamperedTool.removal)
            \(ActiveFault.roomAgain)
            \(Hosts.freeKey)
            nft delete table inet xenlvs_lab 2>/dev/null
            for card in /sys/class/net/cluster-* /sys/class/net/storage-*; do
                tc qdisc delete dev ${card##*/} root 2>/dev/null
            done
            pkill -KILL -x xenlvs; pkill -KILL -x xenlvsd; pkill -KILL -x xl; pkill -KILL -x tgtd
            # What waits for a target that has just been ended would keep a guest's memory for three minutes.
            for limit in /sys/module/aoe/parameters/aoe_deadsecs; do [ ! -e $limit ] || echo 1 >$limit; done
            for domain in $(xl list | awk 'NR > 2 { print $2 }'); do xl destroy $domain; done
            for turn in $(seq 50); do [ -n "$(xl list | tail -n +3)" ] || break; sleep 0.2; done
            # A switch may lead to a DRBD device, and lies with what DRBD is attached to on the volume.
            for device in /dev/mapper/xenlvs-switch-*; do
                [ -e "$device" ] && dmsetup resume "$device" && dmsetup remove --retry "$device"
            done
            for resource in $(drbdsetup events2 --now all 2>/dev/null | sed -n 's/^exists resource name:\\([^ ]*\\).*/\\1/p'); do
                drbdsetup down $resource
            done
            pkill -KILL -x fio; pkill -KILL -x stamps
            umount /dev/xenlvs/* /mnt 2>/dev/null
            for device in $(dmsetup ls 2>/dev/null | sed -n 's/^\\(xenlvs-mpath-[^[:space:]]*\\).*/\\1/p'); do
                dmsetup message $device 0 fail_if_no_path; dmsetup remove --retry $device
            done
            if pgrep -x multipathd >/dev/null; then multipath -F; pkill -x multipathd; fi
            rm -f /etc/multipath/conf.d/xenlvs.conf /etc/multipath/wwids
            if [ -e /etc/iscsi/nodes ]; then iscsiadm -m node -U all; rm -rf /etc/iscsi/nodes; fi 2>/dev/null
            if cd /sys/kernel/config/target/iscsi 2>/dev/null; then
                for file in */tpgt_*/enable; do echo 0 >$file; done
                rm -f */tpgt_*/acls/*/lun_*/* ; rmdir */tpgt_*/acls/*/lun_*; rmdir */tpgt_*/acls/*
                find */tpgt_*/lun -type l -exec rm {} +; rmdir */tpgt_*/lun/lun_*
                rmdir */tpgt_*/np/*; rmdir */tpgt_*; rmdir iqn.*; cd ../core; rmdir *_*/*; rmdir *_*; cd /
            fi 2>/dev/null
            losetup -D
            # A device that is open keeps it, and the next scenario that needs it says so.
            rmmod aoe 2>/dev/null
            for link in wire self lab7; do ip link delete $link 2>/dev/null; done
            if rm \(ProductUnderTest.udevRulesPath) 2>/dev/null; then udevadm control --reload; fi
            for device in $(dmsetup ls 2>/dev/null | sed -n 's/^\\(xenlvs-[^[:space:]]*\\).*/\\1/p'); do
                dmsetup resume $device; dmsetup remove --retry $device
            done
            for volume in $(lvs --noheadings -o lv_full_name); do lvremove -qq -f $volume; done
            # Those that LVM has never heard of, or not any more.
            for device in $(dmsetup info -c --noheadings --separator=' ' -o name,uuid 2>/dev/null | sed -n 's/ LVM-.*//p'); do
                dmsetup resume $device; dmsetup remove --retry $device
            done
            if vgs vg1 >/dev/null 2>&1; then vgremove -qq -f vg1; fi
            rm -rf /dev/xenlvs /var/lib/xenlvs /run/xenlvs /etc/xenlvs \(Hosts.pool)
            rm -f /etc/xen/*.cfg /var/log/xen/console/guest-*.log
            mkdir -p -m 0755 \(Hosts.pool)
            # Under systemd there is /dev/loop-control, and its first user loads the module.
            modprobe loop
            left=$(lvs --noheadings; losetup -a; drbdsetup events2 --now all | grep 'exists resource'; xl list | tail -n +3
                dmsetup ls | grep '^xenlvs-')
            [ -z "$left" ] || { echo "$left" >&2; exit 1; }
            """, timeout: .seconds(120))
    }
}

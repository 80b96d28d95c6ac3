import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    @Suite("A migration that cannot be")
    struct Refused {
        /// One refusal: what is wrong, how it is brought about and undone again, and what the product says.
        private struct Case: Sendable {
            enum Side: Sendable { case source, target }

            let name: String
            var command = "xenlvs migrate web1 --to nodeb"
            var side = Side.source
            var spoil = "true"
            var mend = "true"
            var exit: Int32 = 1
            let says: [String]
        }

        @Test("Bad names and what does not exist are refused", .timeLimit(.minutes(10)))
        func names() async throws {
            let long = String(repeating: "v", count: 61)
            try await scenario { hosts in
                for (command, exit, words) in [
                    ("migrate nosuch --to nodeb", 6, ["no running domain 'nosuch'"]),
                    ("migrate ../web1 --to nodeb", 64, ["is not a domain name"]),
                    ("migrate 'web 1' --to nodeb", 64, ["is not a domain name"]),
                    ("migrate web1 --to nodeb --target-vg a/b", 64, ["is not a volume group name"]),
                    ("migrate web1 --to nodeb --bandwidth fast", 64, ["is not a bandwidth"]),
                    ("volume create a/b --size 8M", 64, ["is not a volume name"]),
                    ("volume create .. --size 8M", 64, ["is not a volume name"]),
                    ("volume create \(long) --size 8M", 64, ["is longer than 60 bytes"]),
                    ("migration resume ../../x", 64, ["is not a migration's identifier"]),
                    ("migration abort web1-20261121-0000", 6, ["there is no migration"]),
                    ("migration status web1-20261121-0000", 6, ["there is no migration"]),
                ] as [(String, Int32, [String])] {
                    let result = try await hosts.a.run("xenlvs \(command)", check: false)
                    #expect(result.exit == exit, "exit \(result.exit): \(command): \(result.stderr)")
                    for word in words { #expect(result.stderr.contains(word), "\(command): \(result.stderr)") }
                }
                let crash = try await hosts.a.run("XENLVS_CRASH_AT=nowhere:after xenlvs migrate x --to y", check: false)
                #expect(crash.exit == 64 && crash.stderr.contains("names no place"), "\(crash.stderr)")
                #expect(try await hosts.a.run("lvs --noheadings").text.isEmpty)
            }
        }

        @Test(
            "What speaks against a migration is found before anything is changed", .timeLimit(.minutes(30)))
        func preflight() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                for refusal in Self.cases {
                    let node = refusal.side == .source ? hosts.a : hosts.b
                    try await node.run(refusal.spoil)
                    let result = try await hosts.a.run(refusal.command, timeout: .seconds(180), check: false)
                    try await node.run(refusal.mend)
                    #expect(result.exit == refusal.exit, "\(refusal.name): exit \(result.exit), \(result.stderr)")
                    for word in refusal.says {
                        #expect(result.stderr.contains(word), "\(refusal.name): '\(word)' is not in: \(result.stderr)")
                    }
                }
                #expect(try await hosts.a.migrations().isEmpty, "a refusal has left a migration in the journal")
                try await hosts.verifyStayed(&journey, nil)
            }
        }

        private static let cases = onTheSource + onTheTarget + betweenThem

        private static let onTheSource = [
            Case(
                name: "a paused domain", spoil: "xl pause web1", mend: "xl unpause web1",
                says: ["web1 is paused", "only a running domain"]),
            Case(
                name: "a disk that is not on a link",
                command: "xenlvs migrate other --to nodeb",
                spoil: """
                    lvcreate -qq -y -Wn -L 8M -n other vg0
                    sed 's,/dev/xenlvs/web1,/dev/vg0/other,; s/web1/other/' /etc/xen/web1.cfg >/etc/xen/other.cfg
                    xl create -q /etc/xen/other.cfg
                    """,
                mend: "xl destroy other; sleep 1; lvremove -qq -f vg0/other; rm /etc/xen/other.cfg",
                says: ["cannot migrate other", "/dev/vg0/other"]),
            Case(
                name: "a link that was changed by hand", spoil: "ln -sfn /dev/vda /dev/xenlvs/web1",
                mend: "ln -sfn /dev/vg0/web1 /dev/xenlvs/web1",
                says: ["/dev/xenlvs/web1 was changed by hand", "/dev/vda", "xenlvs link repair"]),
            Case(
                name: "a link that leads nowhere", spoil: "ln -sfn /dev/vg0/gone /dev/xenlvs/web1",
                mend: "ln -sfn /dev/vg0/web1 /dev/xenlvs/web1", says: ["leads nowhere", "/dev/vg0/gone"]),
            Case(
                name: "a link that is missing", spoil: "rm /dev/xenlvs/web1",
                mend: "ln -sfn /dev/vg0/web1 /dev/xenlvs/web1", says: ["/dev/xenlvs/web1 is missing"]),
            Case(
                name: "an LV where the metadata would be", spoil: "lvcreate -qq -y -Wn -L 4M -n web1.drbdmd vg0",
                mend: "lvremove -qq -f vg0/web1.drbdmd", says: ["there is a volume vg0/web1.drbdmd already"]),
            Case(
                name: "no port left",
                spoil: """
                    mkdir -p /etc/xenlvs; echo 'ports: 7800-7800' >/etc/xenlvs/xenlvs.yaml
                    setsid python3 -c 'import socket, time
                    s = socket.socket(); s.bind(("", 7800)); s.listen(); time.sleep(120)' >/dev/null 2>&1 &
                    echo $! >/run/lab-port
                    for i in $(seq 100); do grep -q ':1E78 ' /proc/net/tcp && exit 0; sleep 0.1; done; exit 1
                    """,
                mend: "kill $(cat /run/lab-port); rm -r /etc/xenlvs /run/lab-port", says: ["port", "7800"]),
            Case(
                name: "a damaged journal",
                spoil: """
                    cp -a /var/lib/xenlvs /root/journal; rm -f /var/lib/xenlvs/state.db-*
                    dd if=/dev/urandom of=/var/lib/xenlvs/state.db bs=4096 count=2 conv=notrunc status=none
                    """,
                mend: "rm -r /var/lib/xenlvs; mv /root/journal /var/lib/xenlvs", exit: 4,
                says: ["the journal /var/lib/xenlvs/state.db is damaged"]),
        ]

        private static let onTheTarget = [
            Case(
                name: "a stranger's LV of that name", side: .target, spoil: "lvcreate -qq -y -Wn -L 32M -n web1 vg0",
                mend: "lvremove -qq -f vg0/web1",
                says: ["there is a volume web1 at vg0/web1 already", "no record of it"]),
            Case(
                name: "a stranger's link of that name",
                side: .target, spoil: "mkdir -p /dev/xenlvs; ln -s /dev/null /dev/xenlvs/web1",
                mend: "rm /dev/xenlvs/web1", says: ["there is a link /dev/xenlvs/web1 already"]),
            Case(
                name: "too small a volume group",
                side: .target,
                // Room for the copy itself, and none for DRBD's metadata beside it.
                spoil: """
                    lvcreate -qq -y -Wn -l $(($(vgs --noheadings -o vg_free_count vg0) - 32 / 4)) -n other vg0
                    """, mend: "lvremove -qq -f vg0/other", says: ["the volume group 'vg0' is too small"]),
            Case(
                name: "no such volume group", command: "xenlvs migrate web1 --to nodeb --target-vg vg9",
                says: ["there is no volume group 'vg9'", "there are vg0"]),
            Case(
                name: "too little memory",
                side: .target,
                spoil: """
                    printf 'name = "filler"\\ntype = "pv"\\nkernel = "/lab/guest/vmlinuz"\\nmemory = %d\\n' \
                        $(($(xl info free_memory) - 60)) >/etc/xen/filler.cfg
                    xl create -q -p /etc/xen/filler.cfg
                    """, mend: "xl destroy filler", says: ["too little memory for the guest", "are needed"]),
            Case(
                name: "a domain of that name",
                side: .target,
                spoil: """
                    printf 'name = "web1"\\ntype = "pv"\\nkernel = "/lab/guest/vmlinuz"\\nmemory = 96\\n' \
                        >/etc/xen/web1.cfg
                    xl create -q -p /etc/xen/web1.cfg
                    """, mend: "xl destroy web1; rm /etc/xen/web1.cfg", says: ["there is a domain 'web1' already"]),
            Case(
                name: "no room for the image",
                side: .target,
                spoil: "mkdir -p /var/lib/xenlvs/images; mount -t tmpfs -o size=8m none /var/lib/xenlvs/images",
                mend: "umount /var/lib/xenlvs/images", says: ["too little room for the saved image"]),
            Case(
                name: "DRBD missing",
                side: .target,
                spoil: """
                    modprobe -r drbd; module=$(modinfo -n drbd); echo $module >/root/module
                    mv $module /root/drbd.away; depmod
                    """, mend: "mv /root/drbd.away $(cat /root/module); depmod; rm /root/module",
                says: ["DRBD is missing", "has no module 'drbd'"]),
        ]

        private static let betweenThem = [
            Case(name: "the host itself", command: "xenlvs migrate web1 --to nodea", says: ["is this very host"]),
            Case(
                name: "a host that nobody knows", command: "xenlvs migrate web1 --to nodez",
                says: ["nodez", "Could not resolve"]),
            Case(
                name: "ssh refused", side: .target, spoil: "mv /root/.ssh/authorized_keys /root/keys.away",
                mend: "mv /root/keys.away /root/.ssh/authorized_keys",
                says: ["Permission denied", "ssh nodeb xenlvs --version"]),
            Case(
                name: "a key that may fill another group", side: .target, spoil: Hosts.restrictKey(into: "vg9"),
                mend: Hosts.freeKey, says: ["nodeb", "vg0", "--into"]),
            Case(
                name: "no xenlvs on the target", side: .target, spoil: "mv \(path) \(path).away",
                mend: "mv \(path).away \(path)", says: ["xenlvs: command not found", "nodeb"]),
            Case(
                name: "another version of the protocol",
                side: .target,
                spoil: """
                    mv \(path) \(path).away
                    cat >\(path) <<'END'
                    #!/bin/sh
                    read -r request
                    hello='{"protocolVersion":9,"version":"9.9","host":"nodeb","machine":"x"}'
                    echo '{"id":1,"totalMilliseconds":1,"activeMilliseconds":1,"reply":{"hello":{"_0":'$hello'}}}'
                    read -r request
                    END
                    chmod 755 \(path)
                    """, mend: "mv \(path).away \(path)",
                says: ["nodeb speaks version 9 of the agent's protocol", "install the same version"]),
            Case(
                name: "a damaged journal on the target",
                side: .target,
                spoil: """
                    mkdir -p /var/lib/xenlvs; cp -a /var/lib/xenlvs /root/journal; rm -f /var/lib/xenlvs/state.db-*
                    dd if=/dev/urandom of=/var/lib/xenlvs/state.db bs=4096 count=2 status=none
                    """, mend: "rm -r /var/lib/xenlvs; mv /root/journal /var/lib/xenlvs",
                says: ["nodeb", "state.db is damaged"]),
        ]

        private static let path = "/usr/bin/xenlvs"

        @Test(
            "A target that has no paging for a PVH guest is refused before anything is changed", .onlyInTheFullRun,
            .timeLimit(.minutes(15)))
        func withoutPaging() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                let migrate = "xenlvs migrate web1 --to nodeb"
                let doctor = "xenlvs doctor web1 --to nodeb --format json"
                let words = [
                    "nodeb", "this host cannot run pvh guests", "neither hap nor shadow paging", "switch nested paging",
                ]
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), hasSwitch: true, on: a)
                // As with nested paging off in the firmware: Xen still says 'hvm' then.
                try await b.replaceXL(
                    doing: #"""
                        [ "$*" != info ] || {
                            /lab/real/xl info | sed '/^virt_caps/s/ \(hap\|shadow\)\b//g'
                            exit
                        }
                        """#)
                let shown = try await b.run("xl info | grep '^virt_caps'").text
                #expect(shown.contains(" hvm") && !shown.contains(" hap") && !shown.contains(" shadow"), "\(shown)")
                for command in [migrate, "\(migrate) --method one-freeze", "\(migrate) --method three-freeze", doctor] {
                    let result = try await a.run(command, timeout: .seconds(180), check: false)
                    #expect(result.exit == 1, "\(command): exit \(result.exit), \(result.stderr)")
                    let said = result.stdout + result.stderr
                    for word in words { #expect(said.contains(word), "\(command): '\(word)' is not in: \(said)") }
                    try await journey.goesOn()
                }
                for node in [a, b] {
                    #expect(try await node.migrations().isEmpty, "a refusal has left a migration in the journal")
                }

                try await b.putXLBack()
                try await a.run("\(migrate) --dry-run", timeout: .seconds(180))
                let judged = try await a.run(doctor, timeout: .seconds(180), check: false).stdout
                #expect(!judged.contains("cannot run pvh guests"), "\(judged)")
                try await hosts.verifyStayed(&journey, nil, hasSwitches: true)
            }
        }

        @Test(
            "What turns up after the checks is not overwritten: the preparation is taken back", .timeLimit(.minutes(20))
        )
        func preparation() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), on: hosts.a)
                let migrate = "xenlvs migrate web1 --to nodeb"

                // Somebody else's metadata, in the place that ours would take.
                let first = try await hosts.stop(migrate, at: "makeSourceReplica:before", on: hosts.a)
                let sum = try await hosts.a.run(
                    """
                    exec 2>/dev/null
                    lvcreate -qq -y -Wn -L 4M -n web1.drbdmd vg0
                    drbdmeta --force 9 v08 /dev/vg0/web1.drbdmd flex-external create-md >/dev/null
                    sha256sum /dev/vg0/web1.drbdmd
                    """
                ).text
                try await first.letGo()
                try await hosts.end(first, expecting: 2, saying: ["will not overwrite /dev/vg0/web1.drbdmd"])
                let still = try await hosts.a.run("sha256sum /dev/vg0/web1.drbdmd && lvremove -qq -f vg0/web1.drbdmd")
                #expect(still.text == sum, "somebody else's metadata were changed")

                // An LV that is made on the target between the checks and the work.
                let second = try await hosts.stop(migrate, at: "makeTargetVolumes:before", on: hosts.a)
                try await hosts.b.run("lvcreate -qq -y -Wn -L 32M -n web1 vg0")
                try await second.letGo()
                try await hosts.end(second, expecting: 2, saying: ["web1 at vg0/web1 already"])
                try await hosts.b.run("lvremove -qq -f vg0/web1")

                // The port is taken in between: DRBD itself would never say so. Which one it is depends on what lingers of
                // earlier connections, so the first ones of the range are all taken.
                let third = try await hosts.stop(migrate, at: "makeTargetReplica:before", on: hosts.a)
                let ports = try await hosts.b.start(
                    """
                    exec python3 -c '
                    import socket, time
                    servers = [socket.create_server(("", port)) for port in range(7800, 7816)]
                    print("taken", flush=True)
                    time.sleep(300)'
                    """)
                try await ports.waitForOutput("taken")
                try await third.letGo()
                try await hosts.end(third, expecting: 2, saying: ["the port 78", "cannot be used"])
                try await ports.signal()
                let id = try await hosts.identifier(of: "web1", on: hosts.a)
                try await hosts.verifyStayed(&journey, id)
            }
        }
    }
}

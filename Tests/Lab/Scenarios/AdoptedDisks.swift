import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// What a running guest has open becomes the switch, and LVM has nothing more to do with it.
    @Suite("A running guest's disk that becomes a switch", .onlyInTheFullRun)
    struct AdoptedDisks {
        private static let adopt = "xenlvs domain prepare web1 --live"

        /// Commands that reload LVM's devices, or look as if they might, and what undoes them.
        private static let commands = [
            "lvs", "lvchange -ay vg0/web1", "vgchange -ay vg0", "vgmknodes vg0", "lvchange --refresh vg0/web1",
            "vgchange --refresh vg0", "lvchange --addtag seen vg0/web1", "lvchange -pr vg0/web1",
            "lvchange -prw vg0/web1", "lvcreate -y -L 8M -s -n snap vg0/web1", "lvremove -y vg0/snap",
            "pvmove --alloc anywhere -n web1 /dev/vdb /dev/vdb:1000-1900", "pvscan --cache -aay",
            "vgcfgbackup vg0", "udevadm trigger", "vgck vg0",
        ]

        @Test("It does not stand still, and whatever LVM does, not a byte goes past DRBD", .timeLimit(.minutes(15)))
        func adopted() async throws {
            try await scenario { hosts in
                let a = hosts.a
                let guest = LabGuest("web1", volumes: ["web1", "data"])
                var journey = try await hosts.start(guest, on: a)
                let done = try await a.run("time \(Self.adopt)", timeout: .seconds(180))
                print("adopted:\n\(done.stderr)\(done.stdout)")
                #expect(done.stdout.contains("adopted"), "\(done.stdout)")
                try await journey.goesOn()
                try await hosts.verifySwitched(&journey, ends: false)
                let again = try await a.run(Self.adopt, timeout: .seconds(120))
                #expect(again.stdout.contains("was-there"), "\(again.stdout)")
                try await hosts.verifySwitched(&journey, ends: false)

                // As on any volume: LVM's commands reach the LV, and leave what the guest has open alone.
                try await a.run("xenlvs swap web1 --to replica", timeout: .seconds(180))
                for command in Self.commands + ["lvextend -L +8M vg0/web1"] {
                    let result = try await a.run("\(command) 2>&1", timeout: .seconds(120), check: false)
                    let table = try await a.run("dmsetup table xenlvs-switch-web1").text
                    print("\(command): \(result.exit) -> \(table)")
                    #expect(table.contains("linear 147:"), "\(command): \(table)")
                }
                for command in ["lvremove -y vg0/web1", "lvchange -an vg0/web1"] {
                    let refused = try await a.run("\(command) 2>&1", timeout: .seconds(120), check: false)
                    #expect(refused.exit != 0, "\(command): \(refused.stdout)")
                }
                try await journey.goesOn()
                try await a.run("xenlvs swap web1 --to volume", timeout: .seconds(180))
                try await journey.goesOn()

                // A restart ends what was adopted; the switch is one like any other from then on.
                _ = try await journey.console()
                try await a.powerOff()
                try await hosts.switchOn()
                #expect(try await a.run("readlink /dev/xenlvs/web1").text == "/dev/mapper/xenlvs-switch-web1")
                let uuid = try await a.run("dmsetup info -c --noheadings -o uuid xenlvs-switch-web1").text
                #expect(uuid.hasPrefix("xenlvs-switch-"), "\(uuid)")
                try await journey.startedAgain(on: a, hosts)
                let console = try await hosts.verifySwitched(&journey)
                print("the guest's longest gap: \(console.longestGap) ms over \(console.ticks.count) ticks")
            }
        }

        /// Each of these on an LV whose device leads to another LV, as it would to DRBD.
        private static let onLedAway = [
            "lvs", "vgchange -ay vg0", "lvchange -ay vg0/one", "vgmknodes vg0", "lvchange --addtag x vg0/one",
            "lvchange --refresh vg0/one", "vgchange --refresh vg0", "lvextend -L +8M vg0/one", "lvchange -pr vg0/one",
            "lvcreate -y -L 8M -s -n snap vg0/one", "lvrename vg0 one uno",
            "pvmove --alloc anywhere -n one /dev/vdb /dev/vdb:1000-1900", "lvremove -y vg0/one",
        ]

        @Test(
            "Why LVM has to be kept off: its own device, led to DRBD, is led back by what looks harmless",
            .timeLimit(.minutes(10)))
        func unfenced() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var past: [String] = []
                for command in Self.onLedAway {
                    let result = try await a.run(
                        """
                        exec 2>&1; set -e
                        lvcreate -qq -y -Wn -L 16M -n one vg0; lvcreate -qq -y -Wn -L 16M -n two vg0
                        minor=$(dmsetup info -c --noheadings -o minor vg0-one); node=/dev/dm-$minor
                        dmsetup table vg0-one >/root/below; dmsetup create below /root/below
                        exec 9<>$node
                        dmsetup table vg0-two >/root/two
                        dmsetup suspend --nolockfs vg0-one; dmsetup load vg0-one /root/two; dmsetup resume vg0-one
                        set +e; \(command) >/root/said; echo "exit $?"; udevadm settle
                        head -c 512 /dev/urandom >/root/block
                        timeout 5 dd if=/root/block of=$node bs=512 seek=100 oflag=direct conv=nocreat,notrunc status=none
                        for place in below vg0-two; do
                            dd if=/dev/mapper/$place bs=512 skip=100 count=1 iflag=direct status=none |
                                cmp -s - /root/block && echo "written to $place"
                        done
                        exec 9>&-; head -n 3 /root/said; dmsetup remove --force below
                        pvmove --abort; lvremove -qq -y vg0/snap; lvremove -qq -y vg0/one vg0/uno vg0/two; true
                        """, timeout: .seconds(120)
                    ).stdout
                    print("\(command): \(result.split(separator: "\n"))")
                    if result.contains("written to below") { past.append(command) }
                }
                print("past what the device led to: \(past)")
                #expect(past.contains("lvextend -L +8M vg0/one"))
                #expect(!past.contains("lvs") && !past.contains("vgchange -ay vg0"))
            }
        }

        @Test("Killed at any place it is finished or taken back, also with LVM at work, or a power cut, between")
        func killed() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), on: a)
                let places = [
                    "swapAdopt:after", "swapAdoptName:after", "swapAdoptDevice:after", "swapAdoptExchange:after",
                    "swapAdoptCommit:after",
                ]
                for place in places {
                    try await hosts.crash(Self.adopt, at: place, on: a)
                    for command in ["lvchange --refresh vg0/web1", "vgchange -ay vg0", "lvremove -y vg0/web1"] {
                        let result = try await a.run("\(command) 2>&1", timeout: .seconds(120), check: false)
                        print("after \(place): \(command): \(result.exit) \(result.stdout)")
                    }
                    try await journey.goesOn(for: 2)
                    let repaired = try await a.run("xenlvs link repair web1", timeout: .seconds(120))
                    print("after \(place): \(repaired.stdout)\(repaired.stderr)")
                    try await journey.goesOn(for: 2)
                    try await a.run(Self.adopt, timeout: .seconds(120))
                    try await hosts.verifySwitched(&journey, ends: false)
                    try await toPlain(&journey, hosts)
                }
                for place in ["swapAdoptExchange:after", "swapAdoptCommit:after"] {
                    try await hosts.crash(Self.adopt, at: place, on: a)
                    try await journey.goesOn()
                    _ = try await journey.console()
                    try await a.powerOff()
                    try await hosts.switchOn()
                    let led = try await a.run("readlink -f /dev/xenlvs/web1; readlink /dev/xenlvs/web1").text
                    print("after a power cut at \(place): \(led)")
                    try await journey.startedAgain(on: a, hosts)
                    if place == "swapAdoptExchange:after" { continue }
                    try await hosts.verifySwitched(&journey)
                }
            }
        }

        /// Back to the LV itself, for the next place.
        private func toPlain(_ journey: inout Journey, _ hosts: Hosts) async throws {
            let a = hosts.a
            try await a.shutDown(journey.guest)
            try await a.run("dmsetup remove xenlvs-switch-web1; ln -sfn /dev/vg0/web1 /dev/xenlvs/web1")
            try await journey.startedAgain(on: a, hosts)
        }
    }
}

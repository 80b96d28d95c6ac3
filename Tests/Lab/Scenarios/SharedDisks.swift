import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// A guest whose disk another host sees over iSCSI, by two networks, without multipathd.
    @Suite("A guest's disk on two hosts")
    struct SharedDisks {
        private static let share =
            "xenlvs share web1 --via iscsi --hosts nodea,nodeb --portal 10.77.0.1 --portal 10.78.0.1"

        @Test(
            "Shared while it runs, moved there live and back, through the loss of a path", .onlyInTheFullRun,
            .timeLimit(.minutes(12)))
        func moves() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), on: hosts.a)
                let guest = journey.guest
                try await hosts.b.run("modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
                let unwatched = try await hosts.a.run(Self.share, timeout: .seconds(120), check: false)
                #expect(unwatched.exit == 3 && unwatched.stderr.contains("nobody else checks paths"), "\(unwatched)")
                let watch = try await hosts.b.start("exec xenlvs multipath watch")
                try await watch.waitForOutput("checking paths")
                let shared = try await hosts.a.run(Self.share, timeout: .seconds(180))
                #expect(shared.stdout.contains("web1: web1 shared over iscsi with nodeb"), "\(shared)")
                let again = try await hosts.a.run(Self.share, timeout: .seconds(180))
                #expect(again.stdout == shared.stdout, "\(again)")
                #expect(try await hosts.b.run("readlink /dev/xenlvs/web1").text == "/dev/mapper/xenlvs-mpath-web1")
                try await expect(hosts, isShared: true, runsOn: ["nodea"])
                let plan = try await hosts.a.run("xenlvs migrate web1 --to nodeb --dry-run", timeout: .seconds(120))
                #expect(plan.stdout.contains("Method: live, its disks are shared"), "\(plan)")

                var logs = [try await migrate(&journey, to: hosts.b, hosts)]
                try await expect(hosts, isShared: true, runsOn: ["nodeb"])
                for (node, command) in [(hosts.a, "unshare web1"), (hosts.b, "detach web1 --force")] {
                    let busy = try await node.run("xenlvs \(command)", timeout: .seconds(120), check: false)
                    #expect(busy.exit == 5 && busy.stderr.contains("the domain web1 uses it"), "\(busy)")
                }
                try await hosts.b.cutLink(.storage)
                try await journey.goesOn(for: 40)
                let list = try await hosts.b.run("xenlvs multipath list", timeout: .seconds(60))
                #expect(list.stdout.contains("down"), "\(list.stdout)")
                try await hosts.b.restoreLink(.storage)
                try await waitUntilBothAreUp(on: hosts.b)
                _ = try await journey.console()
                logs.append(try await migrate(&journey, to: hosts.a, hosts))

                let ended = try await hosts.a.run("xenlvs unshare web1", timeout: .seconds(180))
                #expect(
                    ended.stdout.contains("removed web1 on nodeb") && ended.stdout.contains("the export of web1"),
                    "\(ended)")
                try await watch.signal("TERM")
                #expect(try await watch.wait().exit == 0, "\(watch.errors)")
                try await journey.goesOn()
                try await hosts.a.shutDown(guest)
                try await Task.sleep(for: .seconds(1))
                let console = try await journey.console()
                for log in logs { try await log.signal() }
                for problem in try await hosts.a.disk("/dev/xenlvs/web1").problems(given: console) {
                    Issue.record("\(problem)")
                }
                print("the guest's longest gap: \(console.longestGap) ms over \(console.ticks.count) ticks")
                let problems =
                    try await hosts.a.residue(volumes: ["web1"], links: ["web1"])
                    + hosts.b.residue(volumes: [], links: [])
                #expect(problems.isEmpty, "\(problems)")
            }
        }

        @Test("Over ATA over Ethernet it moves as well", .onlyInTheFullRun, .timeLimit(.minutes(8)))
        func overAoE() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1", kind: .pvh), on: hosts.a)
                try await hosts.a.push(ProductUnderTest.daemon, to: ProductUnderTest.daemonPath)
                try await hosts.b.push(ProductUnderTest.udevRules, to: ProductUnderTest.udevRulesPath, mode: "0644")
                try await hosts.b.run("udevadm control --reload")
                let daemon = try await hosts.a.start("exec xenlvsd")
                try await hosts.a.run(
                    "for i in $(seq 50); do xenlvs exports --protocol aoe >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1"
                )
                let share =
                    "xenlvs share web1 --via aoe --hosts nodea,nodeb --shelf 1 --interface storage-b --interface cluster-b"
                let shared = try await hosts.a.run(share, timeout: .seconds(180))
                #expect(shared.stdout.contains("web1: web1 shared over aoe with nodeb"), "\(shared)")
                #expect(try await hosts.b.run("readlink /dev/xenlvs/web1").text == "/dev/mapper/xenlvs-cover-web1")
                let again = try await hosts.a.run(share, timeout: .seconds(180))
                #expect(again.stdout == shared.stdout, "\(again)")
                let paths = try await hosts.b.run("xenlvs multipath list", timeout: .seconds(60)).stdout
                #expect(paths.contains("aoe") && paths.contains("storage-a") && paths.contains("cluster-a"), "\(paths)")

                var logs = [try await migrate(&journey, to: hosts.b, hosts)]
                try await expect(hosts, isShared: true, runsOn: ["nodeb"])
                let busy = try await hosts.a.run("xenlvs unshare web1", timeout: .seconds(120), check: false)
                #expect(busy.exit == 5 && busy.stderr.contains("the domain web1 uses it"), "\(busy)")
                _ = try await journey.console()
                logs.append(try await migrate(&journey, to: hosts.a, hosts))
                let ended = try await hosts.a.run("xenlvs unshare web1", timeout: .seconds(180))
                #expect(ended.stdout.contains("removed web1 on nodeb"), "\(ended)")
                try await journey.goesOn()
                try await hosts.a.shutDown(journey.guest)
                for log in logs { try await log.signal() }
                let console = try await journey.console()
                for problem in try await hosts.a.disk("/dev/xenlvs/web1").problems(given: console) {
                    Issue.record("\(problem)")
                }
                try await daemon.signal("TERM")
                #expect(try await daemon.wait().exit == 0, "\(daemon.errors)")
            }
        }

        @Test(
            "For a cluster file system both write, and a file system for one host is refused", .onlyInTheFullRun,
            .timeLimit(.minutes(6)))
        func cluster() async throws {
            try await scenario { hosts in
                try await hosts.makeVolume("web1", on: hosts.a)
                try await hosts.b.run("modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
                let share = "xenlvs share web1 --via iscsi --hosts nodea,nodeb --volume web1 --cluster-file-system"
                let refused = try await hosts.a.run(share, timeout: .seconds(120), check: false)
                #expect(refused.exit == 1 && refused.stderr.contains("has a file system (ext)"), "\(refused)")
                try await hosts.a.run("dd if=/dev/zero of=/dev/xenlvs/web1 bs=1M count=1 oflag=direct status=none")
                let shared = try await hosts.a.run(share, timeout: .seconds(180))
                #expect(shared.stderr.contains("Only a cluster file system"), "\(shared)")
                let other = try await hosts.a.run(
                    share.replacing(" --cluster-file-system", with: ""), timeout: .seconds(120), check: false)
                #expect(other.exit == 1 && other.stderr.contains("unshare web1 first"), "\(other)")
                let list = try await hosts.a.run("xenlvs shares", timeout: .seconds(120))
                #expect(list.stdout.contains("shared, cluster"), "\(list)")

                for (writer, reader, place) in [(hosts.a, hosts.b, 2), (hosts.b, hosts.a, 3)] {
                    try await writer.run(
                        """
                        yes "written by \(writer.name)" | dd of=/dev/xenlvs/web1 bs=1M count=1 seek=\(place) iflag=fullblock \
                            oflag=direct conv=notrunc status=none
                        """)
                    let line = try await reader.run(
                        "dd if=/dev/xenlvs/web1 bs=1M count=1 skip=\(place) iflag=direct status=none | head -n 1"
                    ).text
                    #expect(line == "written by \(writer.name)")
                }
                try await hosts.a.run("xenlvs unshare web1", timeout: .seconds(120))
            }
        }
    }
}

extension Scenarios.SharedDisks {
    /// The process that puts the guest's log together on the host that it is on now.
    private func migrate(
        _ journey: inout Journey, to destination: LabNode, _ hosts: Hosts
    ) async throws -> LabProcess {
        let guest = journey.guest
        try await journey.node.run("xl migrate \(guest.name) \(destination.name)", timeout: .seconds(300))
        // Its name was another one while it came, and so is that of its log. What it printed here before stays in front.
        let log = guest.consolePath.replacing("\(guest.name).log", with: "\(guest.name)--incoming.log")
        let tail = try await destination.start("exec tail -c +1 -f \(log) >>\(guest.consolePath)")
        try await journey.arrived(on: destination)
        try await journey.goesOn()
        try await hosts.expectRunning(guest, on: [destination], "after its live migration")
        return tail
    }

    private struct Row: Decodable {
        var isShared: Bool
        var runsOn: [String]
        var why: String?
    }

    private func expect(
        _ hosts: Hosts, isShared: Bool, runsOn: [String], at place: SourceLocation = #_sourceLocation
    ) async throws {
        let text = try await hosts.a.run("xenlvs shares --format json", timeout: .seconds(120)).stdout
        let row = try #require(try JSONDecoder().decode([Row].self, from: Data(text.utf8)).first, sourceLocation: place)
        #expect(row.isShared == isShared && row.runsOn == runsOn, "\(text)", sourceLocation: place)
    }

    private func waitUntilBothAreUp(on node: LabNode) async throws {
        try await node.run(
            """
            for i in $(seq 60); do
                [ $(xenlvs multipath list | grep -c ' up ') = 2 ] && exit 0; sleep 1
            done; xenlvs multipath list >&2; exit 1
            """, timeout: .seconds(180))
    }
}

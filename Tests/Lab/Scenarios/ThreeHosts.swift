import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// One host stores and two run guests, with two networks between them. What the guest gets of all that is a pause.
    @Suite("A storage host and two Xen hosts")
    struct ThreeHosts {
        enum Way: String, CaseIterable { case iscsi, aoe }

        @Test(
            "Its guest counts on while paths are cut, the target is restarted, others come and go and it grows, and moves live",
            .onlyWithThreeHosts, .timeLimit(.minutes(20)), arguments: Way.allCases)
        func guest(way: Way) async throws {
            try await scenario { hosts in
                let storage = try #require(hosts.c)
                let service = try await prepare(hosts, storage, way)
                let shared = try await storage.run(share(way), timeout: .seconds(240))
                #expect(shared.stdout.contains("web1 shared over \(way.rawValue) with nodea, nodeb"), "\(shared)")
                let guest = LabGuest("web1", kind: .pvh)
                try await hosts.b.define(guest)
                try await hosts.a.create(guest)
                try await hosts.a.waitForTicks(of: guest, beyond: 5)
                var journey = Journey(of: guest, from: hosts.a, isStamped: false)
                try await expectShared(by: storage, on: ["nodea"])

                let load = try await startLoad(hosts, storage, way)
                try await trouble(&journey, hosts, storage, way, service)
                try await endLoad(load, on: hosts.a)
                try await hosts.b.expectArrival(of: guest)
                let moved = try await hosts.a.run("xenlvs migrate web1 --to nodeb", timeout: .seconds(400))
                #expect(moved.stderr.contains("its disks are shared"), "\(moved)")
                let log = try await hosts.b.followArrival(of: guest)
                try await journey.arrived(on: hosts.b)
                try await journey.goesOn()
                try await hosts.expectRunning(guest, on: [hosts.b], "after its migration")
                try await expectShared(by: storage, on: ["nodeb"])
                try await cutPaths(&journey, storage)

                try await hosts.b.shutDown(guest)
                try await Task.sleep(for: .seconds(1))
                let console = try await journey.console()
                try await log.signal()
                // What it has gained would be taken for room for stamps that are gone.
                try await storage.run(
                    "e2fsck -fn /dev/xenlvs/web1 && resize2fs -f /dev/xenlvs/web1", timeout: .seconds(60))
                for problem in try await storage.disk("/dev/xenlvs/web1").problems(given: console) {
                    Issue.record("\(problem)")
                }
                print("\(way): the guest's longest gap: \(console.longestGap) ms over \(console.ticks.count) ticks")
                let ended = try await storage.run("xenlvs unshare web1", timeout: .seconds(240))
                #expect(ended.stdout.contains("web1 on nodea") && ended.stdout.contains("web1 on nodeb"), "\(ended)")
            }
        }
    }
}

extension Scenarios.ThreeHosts {
    private static let portals = "--portal 10.77.0.3 --portal 10.78.0.3"

    private func share(_ way: Way) -> String {
        let places =
            switch way {
            case .iscsi: Self.portals
            case .aoe:
                "--shelf 1 "
                    + ["cluster-a", "cluster-b", "storage-a", "storage-b"].map { "--interface \($0)" }.joined(
                        separator: " ")
            }
        return "xenlvs share web1 --via \(way.rawValue) --hosts nodea,nodeb --volume web1 \(places)"
    }

    /// - Returns: what serves, where that is a process.
    private func prepare(_ hosts: Hosts, _ storage: LabNode, _ way: Way) async throws -> LabProcess? {
        // Stamped blocks would lie elsewhere once it has grown.
        try await hosts.makeVolume("web1", isStamped: false, on: storage)
        switch way {
        case .iscsi:
            for node in [hosts.a, hosts.b] {
                try await node.run("modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
                try await node.start("exec xenlvs multipath watch").waitForOutput("checking paths")
            }
            return nil
        case .aoe:
            for node in [hosts.a, hosts.b] {
                try await node.push(ProductUnderTest.udevRules, to: ProductUnderTest.udevRulesPath, mode: "0644")
                try await node.run("udevadm control --reload")
            }
            try await storage.push(ProductUnderTest.daemon, to: ProductUnderTest.daemonPath)
            return try await startDaemon(on: storage)
        }
    }

    private func startDaemon(on storage: LabNode) async throws -> LabProcess {
        let daemon = try await storage.start("exec xenlvsd")
        try await storage.run(
            "for i in $(seq 50); do xenlvs exports --protocol aoe >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1")
        return daemon
    }

    private func trouble(
        _ journey: inout Journey, _ hosts: Hosts, _ storage: LabNode, _ way: Way, _ service: LabProcess?
    ) async throws {
        try await cutPaths(&journey, storage)
        try await storage.run(
            "xenlvs volume create web2 --size 32M; \(exportOther(way)); sleep 2; \(endOther(way)); xenlvs volume remove web2",
            timeout: .seconds(120))
        try await journey.goesOn(for: 20)

        if let service {
            try await service.signal("KILL")
            _ = try await service.wait()
            try await Task.sleep(for: .seconds(5))
            _ = try await startDaemon(on: storage)
        } else {
            // What a restart of the target's service does: all of it goes, and is brought back from what is recorded.
            try await storage.run("targetctl clear; sleep 5; xenlvs apply --recorded", timeout: .seconds(60))
        }
        try await journey.goesOn(for: 20)

        for (name, nodes) in [("web1", [hosts.a, hosts.b]), ("load", [hosts.a])] {
            try await storage.run("xenlvs volume resize \(name) --size 40M", timeout: .seconds(60))
            for node in nodes {
                let size = try await node.run(
                    "xenlvs attachments --revalidate \(name) >&2; blockdev --getsize64 /dev/xenlvs/\(name)",
                    timeout: .seconds(120))
                #expect(size.stdout == "41943040\n", "\(size)")
            }
        }
        try await journey.goesOn(for: 20)
    }

    /// Another disk from the same host, written and compared again and again for as long as there is trouble.
    private func startLoad(_ hosts: Hosts, _ storage: LabNode, _ way: Way) async throws -> LabProcess {
        let (export, attach) =
            switch way {
            case .iscsi:
                (
                    "xenlvs export iscsi load \(Self.portals) --initiator iqn.2009-01.lab.xenlvs:nodea",
                    "xenlvs attach iscsi iqn.2026-11.invalid.xenlvs.nodec:load --as load \(Self.portals)"
                )
            case .aoe:
                (
                    "xenlvs export aoe load --shelf 1 --slot 8 --interface cluster-a --interface storage-a",
                    "xenlvs attach aoe e1.8 --as load"
                )
            }
        try await storage.run("xenlvs volume create load --size 32M; \(export)", timeout: .seconds(120))
        try await hosts.a.run(attach, timeout: .seconds(120))
        return try await hosts.a.start(
            """
            rm -f /run/enough; rounds=0
            until [ -e /run/enough ]; do
                fio --name=verify --filename=/dev/xenlvs/load --rw=randwrite --bs=4k --size=8M --direct=1 \
                    --ioengine=libaio --iodepth=4 --verify=crc32c --randseed=$rounds --do_verify=1 || exit 1
                rounds=$((rounds + 1))
            done; echo "rounds: $rounds"
            """)
    }

    private func endLoad(_ load: LabProcess, on node: LabNode) async throws {
        try await node.run("touch /run/enough")
        let result = try await load.wait(timeout: .seconds(240))
        print("written and compared beside the guest: \(result.stdout.suffix(20))")
        #expect(result.exit == 0, "\(result.stdout.suffix(800))\(result.stderr.suffix(400))")
        try await node.run("xenlvs detach load", timeout: .seconds(120))
    }

    private func exportOther(_ way: Way) -> String {
        switch way {
        case .iscsi:
            "xenlvs export iscsi web2 \(Self.portals) --initiator iqn.2009-01.lab.xenlvs:nodea"
        case .aoe: "xenlvs export aoe web2 --shelf 1 --slot 9 --interface cluster-a"
        }
    }

    private func endOther(_ way: Way) -> String {
        switch way {
        case .iscsi: "xenlvs unexport iscsi web2"
        case .aoe: "xenlvs unexport aoe e1.9 --force"
        }
    }

    /// One path, and then both for 20 s.
    private func cutPaths(_ journey: inout Journey, _ storage: LabNode) async throws {
        let node = journey.node
        try await node.cutLink(.storage, to: storage)
        try await journey.goesOn(for: 30)
        try await node.restoreLink(.storage, to: storage)
        try await waitUntilBothAreUp(on: node)
        for network in LabNetwork.allCases { try await node.cutLink(network, to: storage) }
        try await Task.sleep(for: .seconds(20))
        for network in LabNetwork.allCases { try await node.restoreLink(network, to: storage) }
        try await journey.goesOn(for: 30)
        try await waitUntilBothAreUp(on: node)
    }

    private func waitUntilBothAreUp(on node: LabNode) async throws {
        try await node.run(
            """
            for i in $(seq 60); do
                [ $(xenlvs multipath list | grep '^web1 ' | grep -c ' up ') = 2 ] && exit 0; sleep 1
            done; xenlvs multipath list >&2; exit 1
            """, timeout: .seconds(240))
    }

    private func expectShared(by storage: LabNode, on homes: [String]) async throws {
        let list = try await storage.run("xenlvs shares", timeout: .seconds(120)).stdout
        #expect(list.contains(" shared ") && list.contains(" \(homes.joined(separator: ", "))"), "\(list)")
    }
}

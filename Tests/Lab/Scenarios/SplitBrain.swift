import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    /// Both hosts have written to a replica that xenlvs has made, each without the other.
    @Suite("A split brain")
    struct SplitBrain {
        @Test(
            "It is refused with both data generations, and the two commands that are printed end it",
            .onlyInTheFullRun, .timeLimit(.minutes(25)))
        func mended() async throws {
            try await scenario { hosts in
                let (a, b) = (hosts.a, hosts.b)
                var journey = try await hosts.start(LabGuest("web1"), on: a)
                try await hosts.crash("xenlvs migrate web1 --to nodeb --verify", at: "synchronise:after", on: a)
                let id = try await hosts.identifier(of: "web1", on: a)
                #expect(try await a.splitBrainFindings().isEmpty, "the replicas are connected")
                #expect(try await a.replicaRow().splitBrain == nil)

                try await split(hosts)
                try await journey.goesOn()
                try await expectPossible(a)
                try await expectPossible(b)

                let refused = try await hosts.proceed("resume", id, on: a, expecting: 3)
                print("resume, refused:\n\(refused.stderr)")
                try await journey.goesOn()
                let choice = try await expectCertain(hosts)
                try await expectTold(refused.stderr, choice, "resume", hosts)

                try await mend(hosts, choice)
                try await journey.goesOn()
                for node in [a, b] {
                    #expect(try await node.splitBrainFindings().isEmpty, "doctor on \(node.name) after the mending")
                    #expect(try await node.replicaRow().splitBrain == nil)
                }
                // What the target had written alone is gone: every block is compared, and none differs.
                let migration = try await hosts.proceed("resume", id, on: a)
                try await hosts.verifyMigrated(&journey, migration, from: a, verified: true)
            }
        }

        /// Ends the connection on both hosts, and lets the target write beside the guest.
        private func split(_ hosts: Hosts) async throws {
            for node in [hosts.a, hosts.b] {
                let (own, other) = (node.address(), hosts.peer(of: node).address())
                try await node.run(
                    """
                    show=$(drbdsetup show xenlvs-web1)
                    own=$(grep -o -m1 '\(own):[0-9]*' <<<"$show"); other=$(grep -o -m1 '\(other):[0-9]*' <<<"$show")
                    [ "$own" ] && [ "$other" ] || { echo "$show" >&2; exit 1; }
                    # It is refused for a moment where the peer has just gone.
                    for turn in $(seq 50); do
                        drbdsetup disconnect ipv4:$own ipv4:$other; sleep 0.2
                        grep -q cs:StandAlone /proc/drbd && exit 0
                    done
                    cat /proc/drbd >&2; exit 1
                    """)
            }
            let minor = try await hosts.b.replicaMinor()
            try await hosts.b.run(
                """
                set -e
                drbdsetup primary \(minor) || drbdsetup primary \(minor) --force
                dd if=/dev/urandom of=/dev/drbd\(minor) bs=64K count=16 seek=16 oflag=direct conv=notrunc status=none
                udevadm settle --timeout=20 || true
                """)
            for node in [hosts.a, hosts.b] {
                let minor = try await node.replicaMinor()
                let state = try await node.run("cat /proc/drbd; drbdsetup get-gi \(minor)").stdout
                print("\(node.name), alone:\n\(state)")
                #expect(state.contains("cs:StandAlone ro:Primary/Unknown ds:UpToDate/"), "\(state)")
            }
        }

        /// Before anybody has tried to connect, a host knows only that its own copy is Primary and alone.
        private func expectPossible(_ node: LabNode) async throws {
            let findings = try await node.splitBrainFindings()
            print("doctor on \(node.name), before the attempt: \(findings)")
            #expect(findings.map(\.severity) == ["warning"], "\(findings)")
            let report = try #require(try await node.replicaRow().splitBrain)
            let generation = try await node.generation()
            #expect(!report.isCertain && report.here.generation == generation && report.peer.generation == nil)
            #expect(findings.first?.why?.contains(generation) == true, "\(findings)")
        }

        /// After DRBD has refused, either host names both generations and the same commands. Returns the first two of them.
        private func expectCertain(_ hosts: Hosts) async throws -> ReplicaRow.Choice {
            var choices: [ReplicaRow.Choice] = []
            for node in [hosts.a, hosts.b] {
                let peer = hosts.peer(of: node)
                let row = try await node.replicaRow()
                #expect(row.connection == "StandAlone" && row.role == "Primary", "\(row)")
                let report = try #require(row.splitBrain)
                print("replica status on \(node.name): \(report)")
                #expect(report.isCertain)
                #expect(report.here.host == node.name && report.peer.host == peer.name)
                let (own, other) = (try await node.generation(), try await peer.generation())
                #expect(own != other && report.here.generation == own && report.peer.generation == other)
                #expect(report.choices.map(\.keeps) == ["nodea", "nodeb"])
                let choice = try #require(report.choices.first)
                #expect(choice.lines.map(\.host) == ["nodeb", "nodea"])
                choices.append(choice)

                let shown = try await node.run("xenlvs replica status web1")
                print("and for people:\n\(shown.stdout)\(shown.stderr)")
                try await expectTold(shown.stderr, choice, "replica status on \(node.name)", hosts)
                let doctor = try await node.run("xenlvs doctor", timeout: .seconds(90), check: false)
                print("doctor on \(node.name):\n\(doctor.stdout)")
                #expect(doctor.exit == 1, "exit \(doctor.exit)")
                for line in choice.lines {
                    #expect(doctor.stdout.contains(line.command), "doctor has broken or lost: \(line.command)")
                }
                let findings = try await node.splitBrainFindings()
                #expect(findings.map(\.severity) == ["blocking"], "\(findings)")
                #expect(findings.first?.why?.contains(own) == true && findings.first?.why?.contains(other) == true)
            }
            #expect(choices[0] == choices[1], "the hosts print different commands")
            return choices[0]
        }

        private func expectTold(
            _ text: String, _ choice: ReplicaRow.Choice, _ who: String, _ hosts: Hosts
        ) async throws {
            for line in choice.lines {
                #expect(text.contains(line.command), "\(who) does not say: \(line.command)\n\(text)")
            }
            #expect(text.contains("split brain"), "\(who): \(text)")
            #expect(!text.contains("shared-secret"), "\(who): \(text)")
            for node in [hosts.a, hosts.b] {
                let generation = try await node.generation()
                #expect(text.contains(generation), "\(who) does not name \(node.name)'s \(generation): \(text)")
            }
        }

        /// Types exactly the two commands.
        private func mend(_ hosts: Hosts, _ choice: ReplicaRow.Choice) async throws {
            // A probe of the device that is about to be Secondary would be in its way.
            try await hosts.b.run("udevadm settle --timeout=20 || true")
            for line in choice.lines {
                let node = line.host == hosts.a.name ? hosts.a : hosts.b
                let result = try await node.run(line.command, check: false)
                print("\(node.name)# \(line.command)\nexit \(result.exit) \(result.stdout)\(result.stderr)")
                #expect(result.exit == 0, "\(line.command): \(result.stderr)")
            }
            for (node, roles) in [(hosts.a, "Primary/Secondary"), (hosts.b, "Secondary/Primary")] {
                let state = try await node.run(
                    """
                    for turn in $(seq 400); do
                        grep -q 'cs:Connected ro:\(roles) ds:UpToDate/UpToDate' /proc/drbd && break; sleep 0.2
                    done
                    cat /proc/drbd; dmesg | grep -i drbd | tail -n 12
                    """, timeout: .seconds(120)
                ).stdout
                print("\(node.name), mended:\n\(state)")
                #expect(state.contains("cs:Connected ro:\(roles) ds:UpToDate/UpToDate"), "\(state)")
            }
        }
    }
}

/// What `xenlvs replica status --format json` says of a replica, as far as this scenario looks at it.
private struct ReplicaRow: Decodable, Sendable {
    let volume: String
    let role: String
    let connection: String?
    let splitBrain: SplitBrain?

    struct SplitBrain: Decodable, Sendable {
        let isCertain: Bool
        let here: Copy
        let peer: Copy
        let choices: [Choice]
    }

    struct Copy: Decodable, Sendable {
        let host: String
        let generation: String?
    }

    struct Choice: Decodable, Sendable, Equatable {
        let keeps: String
        let lines: [Line]
    }

    struct Line: Decodable, Sendable, Equatable {
        let host: String
        let command: String
    }
}

/// One of `xenlvs doctor --format json`.
private struct DoctorFinding: Decodable, Sendable {
    let severity: String
    let what: String
    let why: String?
    let remedy: String?
}

extension LabNode {
    /// The number of the only DRBD device.
    fileprivate func replicaMinor() async throws -> String {
        let minor = try await run("sed -n 's/^ *\\([0-9]*\\): cs:.*/\\1/p' /proc/drbd").text
        guard Int(minor) != nil else { throw ScenarioError("\(name) has not one DRBD device: \(minor)") }
        return minor
    }

    /// The current data generation of the only DRBD device, from the kernel.
    fileprivate func generation() async throws -> String {
        let minor = try await replicaMinor()
        let line = try await run("drbdsetup get-gi \(minor)").text
        return String(line.prefix { $0 != ":" })
    }

    fileprivate func replicaRow() async throws -> ReplicaRow {
        let text = try await run("xenlvs replica status web1 --format json").stdout
        let rows = try JSONDecoder().decode([ReplicaRow].self, from: Data(text.utf8))
        guard let row = rows.first, rows.count == 1 else { throw ScenarioError("not one replica: \(text)") }
        return row
    }

    /// What the doctor says of split brains.
    fileprivate func splitBrainFindings() async throws -> [DoctorFinding] {
        let result = try await run("xenlvs doctor --format json", timeout: .seconds(90), check: false)
        let findings = try JSONDecoder().decode([DoctorFinding].self, from: Data(result.stdout.utf8))
        return findings.filter { $0.what.contains("split brain") }
    }
}

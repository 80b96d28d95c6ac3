import ArgumentParser
import Foundation
import LabKit

/// Measures xenlvs against the original procedure typed by hand, in one session of the lab and in turn, so that the machine's
/// moods meet both. Prints medians; the last line is JSON.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-migration", abstract: "Measure xenlvs against the procedure typed by hand.",
        discussion: """
            A round is: a bare save and restore of the guest, the original procedure from node a to b, xenlvs from b to a. \
            XENLVS_BINARY names the static xenlvs binary.
            """)

    @Option(help: "How many rounds.")
    var rounds = 3

    @Option(help: "The size of the guest's disk in MiB.")
    var megabytes = 64

    func run() async throws {
        let lab = try await Lab.up(nodes: ["a", "b"])
        let (a, b) = (try lab.node("a"), try lab.node("b"))
        try await BenchStage(a: a, b: b, megabytes: megabytes).prepare()
        var samples: [BenchSample] = []
        for round in 1...rounds {
            let sample = try await BenchRound(a: a, b: b, megabytes: megabytes).run()
            print("round \(round): \(sample.line)")
            samples.append(sample)
        }
        let summary = BenchSummary(samples)
        print(summary.table)
        print(try summary.json)
    }
}

/// Puts the product and the guest on the nodes.
struct BenchStage {
    let a: LabNode
    let b: LabNode
    let megabytes: Int

    func prepare() async throws {
        guard let path = ProcessInfo.processInfo.environment["XENLVS_BINARY"] else {
            throw ValidationError("XENLVS_BINARY does not name the static xenlvs binary; use 'make bench-migration'")
        }
        for node in [a, b] {
            try await node.push(URL(filePath: path), to: "/usr/bin/xenlvs", mode: "0755")
            try await node.run(
                """
                for domain in $(xl list | awk 'NR > 2 { print $1 }'); do xl destroy "$domain"; done
                drbdsetup down all 2>/dev/null || true
                lvremove -qq -y vg0 > /dev/null 2>&1 || true
                rm -rf /var/lib/xenlvs /dev/xenlvs/*
                """, timeout: .seconds(120))
        }
        try await a.run("xenlvs volume create bench --no-switch --size \(megabytes)M && mkfs.ext4 -q /dev/xenlvs/bench")
        let guest = LabGuest("bench", volumes: ["bench"])
        try await a.define(guest)
        try await a.create(guest)
        try await a.waitForTicks(of: guest, beyond: 10, within: .seconds(120))
    }
}

/// What one round took, in milliseconds.
struct BenchSample {
    var bare: Double
    var administrator: [String: Double]
    var freezes: [Double]
    var sync: Double
    var ownShare: Double

    var line: String {
        let hand = ["freeze1", "sync", "freeze2"].map { "\($0) \(Int(administrator[$0] ?? 0))" }.joined(separator: ", ")
        let ours = freezes.map { String(Int($0)) }.joined(separator: " ")
        return "bare \(Int(bare)) | by hand: \(hand) | xenlvs: freezes \(ours), sync \(Int(sync)) ms"
    }
}

struct BenchRound {
    let a: LabNode
    let b: LabNode
    let megabytes: Int

    func run() async throws -> BenchSample {
        let bare = try await script("bare.sh", ["bench"], on: a)["bare"] ?? 0
        try await forget(on: b)
        let hand = try await script(
            "administrator.sh", ["bench", "nodeb", a.address(), b.address()], on: a)
        // By hand nothing was recorded: the volume is taken over where it is now.
        try await forget(on: a)
        try await b.run("xenlvs link set bench /dev/vg0/bench")
        let migration = try await b.run(
            "xenlvs migrate bench --to nodea --remove-source > /tmp/bench.out 2>&1 || { cat /tmp/bench.out >&2; exit 1; }; "
                + "xenlvs migration report $(xenlvs migration list --format json | grep -o 'bench-[0-9]*-[0-9a-f]*' | head -1) "
                + "--format json", timeout: .seconds(600))
        return try sample(bare, hand, migration.stdout)
    }

    private func forget(on node: LabNode) async throws {
        try await node.run("rm -rf /var/lib/xenlvs")
    }

    private func script(_ name: String, _ arguments: [String], on node: LabNode) async throws -> [String: Double] {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "bench/\(name)")
        try await node.push(file, to: "/tmp/\(name)", mode: "0755")
        let result = try await node.run("/tmp/\(name) \(arguments.joined(separator: " "))", timeout: .seconds(1200))
        return Dictionary(
            result.stdout.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ")
                return words.count == 2 ? Double(words[1]).map { (String(words[0]), $0) } : nil
            }, uniquingKeysWith: { $1 })
    }

    private struct Report: Decodable {
        struct Freeze: Decodable { var milliseconds: Double }
        struct Volume: Decodable {
            struct Sync: Decodable { var milliseconds: Double }
            var sync: Sync?
        }
        struct OwnTime: Decodable { var ownMilliseconds: Double, accountedMilliseconds: Double }
        var freezes: [Freeze]
        var volumes: [Volume]
        var ownTime: OwnTime?
    }

    private func sample(_ bare: Double, _ hand: [String: Double], _ text: String) throws -> BenchSample {
        let report = try JSONDecoder().decode(Report.self, from: Data(text.utf8))
        guard report.freezes.count == 3, let sync = report.volumes.first?.sync?.milliseconds, let own = report.ownTime
        else { throw ValidationError("the report lacks a freeze, the synchronisation or the own time: \(text)") }
        return BenchSample(
            bare: bare, administrator: hand, freezes: report.freezes.map(\.milliseconds), sync: sync,
            ownShare: own.ownMilliseconds / own.accountedMilliseconds)
    }
}

/// Medians over the rounds, and the ratios between them.
struct BenchSummary {
    private let samples: [BenchSample]

    init(_ samples: [BenchSample]) { self.samples = samples }

    private func median(_ value: (BenchSample) -> Double) -> Double {
        let sorted = samples.map(value).sorted()
        return sorted.count % 2 == 1
            ? sorted[sorted.count / 2] : (sorted[sorted.count / 2 - 1] + sorted[sorted.count / 2]) / 2
    }

    private var values: [String: Double] {
        let bare = median(\.bare)
        let hand = ["freeze1", "sync", "freeze2"].map { key in median { $0.administrator[key] ?? 0 } }
        let freezes = (0..<3).map { index in median { $0.freezes[index] } }
        let sync = median(\.sync)
        return [
            "bare_save_restore_ms": bare, "administrator_freeze1_ms": hand[0], "administrator_sync_ms": hand[1],
            "administrator_freeze2_ms": hand[2], "freeze1_ms": freezes[0], "freeze2_ms": freezes[1],
            "freeze3_ms": freezes[2], "sync_ms": sync, "freeze1_ratio": freezes[0] / bare,
            "freeze2_ratio": freezes[1] / hand[2], "freeze3_ratio": freezes[2] / bare, "sync_ratio": hand[1] / sync,
            "own_time_share": median(\.ownShare), "rounds": Double(samples.count),
        ]
    }

    var table: String {
        let values = values
        func row(_ what: String, _ key: String, _ bound: String) -> String {
            let number = String(format: "%.2f", values[key] ?? 0)
            return what.padding(toLength: 52, withPad: " ", startingAt: 0) + number + "   to reach: \(bound)"
        }
        return [
            "", "medians of \(samples.count) rounds",
            row("freeze 1 / bare save and restore", "freeze1_ratio", "at most 1.25"),
            row("freeze 2 / the administrator's", "freeze2_ratio", "at most 0.4"),
            row("freeze 3 / bare save and restore", "freeze3_ratio", "at most 1.25"),
            row("synchronisation, times DRBD's default rate", "sync_ratio", "at least 10"),
            row("xenlvs's own share of the whole", "own_time_share", "below 0.10"),
        ].joined(separator: "\n")
    }

    var json: String {
        get throws {
            let rounded = values.mapValues { ($0 * 1000).rounded() / 1000 }
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            return String(decoding: try encoder.encode(rounded), as: UTF8.self)
        }
    }
}

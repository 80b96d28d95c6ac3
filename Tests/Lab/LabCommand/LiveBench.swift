import Foundation
import LabKit
import ScenarioKit

/// One guest that is measured while things are done to it.
@MainActor
final class LiveBench {
    let hosts: Hosts
    let guest: LabGuest
    private(set) var node: LabNode
    private var windows: [(name: String, first: Int, last: Int)] = []
    private var values: [(name: String, value: Double)] = []

    var name: String { guest.name }
    private static let megabytes = 64

    init(hosts: Hosts, guest: LabGuest) {
        self.hosts = hosts
        self.guest = guest
        node = hosts.a
    }

    /// The volume, of which the file system takes half: the rest is for whoever measures below the guest, and for a guest that
    /// writes all the time. The guest runs when this returns.
    func start(hasSwitch: Bool) async throws {
        try await hosts.a.run(
            """
            set -e; xenlvs volume create \(name) --size \(Self.megabytes)M\(hasSwitch ? " --switch" : " --no-switch")
            mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/xenlvs/\(name) \(Self.megabytes / 2)M
            """, timeout: .seconds(120))
        try await hosts.b.define(guest)
        try await hosts.a.create(guest)
        for script in ["dmsetup.sh"] {
            let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appending(path: "bench/\(script)")
            try await hosts.a.push(file, to: "/tmp/\(script)", mode: "0755")
        }
        try await goOn(for: 10)
    }

    func note(_ name: String, _ value: Double) { values.append((name, value)) }

    /// What the guest feels of `body`: the numbers that it counts from just before to some after.
    func window(_ name: String, endsOn end: LabNode? = nil, _ body: () async throws -> Void) async throws {
        let first = try await newest()
        try await body()
        if let end { node = end }
        try await goOn(for: 6)
        windows.append((name, first, try await newest()))
    }

    /// A time in which nothing is done to it.
    func calm() async throws { try await window("calm") { try await goOn(for: 20) } }

    /// The highest number that the guest has printed, under whatever name and on whichever host.
    private func newest() async throws -> Int {
        var highest = 0
        for node in hosts.all {
            let text = try await node.run(
                "cat \(guest.consolePath.replacing(".log", with: "*.log")) 2>/dev/null | "
                    + "awk '$1 == \"tick\" && NF == 3 && $2 > most { most = $2 } END { print most + 0 }'"
            ).text
            highest = max(highest, Int(text) ?? 0)
        }
        return highest
    }

    /// Waits until the guest has counted so far.
    func goOn(for count: Int) async throws {
        let before = try await newest()
        try await waitUntil("\(guest.name) to count on", within: .seconds(120), every: .milliseconds(500)) {
            try await self.newest() >= before + count
        }
    }

    /// What a guest that writes all the time has printed: each time the longest in which none of its writes had ended.
    private func writeGaps() async throws -> [(uptime: Int, longest: Double)] {
        guard guest.writesUnderWay > 0 else { return [] }
        return try await hosts.a.run("grep -a '^load ' \(guest.consolePath) || true").stdout.split(separator: "\n")
            .compactMap { line in
                let words = line.split(separator: " ")
                // The console ends its lines with CR LF.
                guard words.count == 4, let uptime = Int(words[1]),
                    let longest = Double(words[3].filter(\.isNumber))
                else { return nil }
                return (uptime, longest)
            }
    }

    /// Shuts the guest down and makes stalls of the windows, in milliseconds, with what was noted beside them.
    func end() async throws -> [(name: String, value: Double)] {
        let writes = try await writeGaps()
        try await node.shutDown(guest)
        let disk = try await node.disk("/dev/xenlvs/\(name)")
        guard disk.isSound, disk.garbage.isEmpty else {
            throw ScenarioError("the guest's disk is damaged: \(disk.report)")
        }
        let ticks = disk.counter
        for (earlier, later) in zip(ticks, ticks.dropFirst()) where later.number != earlier.number + 1 {
            throw ScenarioError("on the guest's disk \(earlier.number) is followed by \(later.number)")
        }
        func gaps(_ window: (name: String, first: Int, last: Int)) -> [Double] {
            let inside = ticks.filter { window.first...window.last ~= $0.number }
            return zip(inside.dropFirst(), inside).map { Double($0.uptime - $1.uptime) }
        }
        let calm = windows.filter { $0.name == "calm" }.flatMap(gaps).sorted()
        guard !calm.isEmpty else { throw ScenarioError("there was no calm time") }
        let interval = calm[calm.count / 2]
        note("interval_ms", interval)
        note("calm_longest_ms", calm[calm.count - 1] - interval)
        for window in windows {
            let inside = ticks.filter { window.first...window.last ~= $0.number }.map(\.uptime)
            guard let first = inside.first, let last = inside.last else { continue }
            let gaps = writes.filter { (first...last + 1000).contains($0.uptime) }.map(\.longest)
            if let longest = gaps.max() { note("\(window.name)_write_gap_ms", longest) }
        }
        for window in windows where window.name != "calm" {
            let stalls = gaps(window).map { $0 - interval }
            guard let longest = stalls.max() else { throw ScenarioError("nothing was counted in \(window.name)") }
            if window.name.hasPrefix("three_freeze") {
                // The three longest are the freezes, in the order in which they were.
                let freezes = Set(stalls.enumerated().sorted { $0.element > $1.element }.prefix(3).map(\.offset))
                    .sorted()
                for (number, offset) in freezes.enumerated() {
                    note("\(window.name)_\(number + 1)_ms", max(stalls[offset], 0))
                }
                note("\(window.name)_longest_ms", longest)
            } else {
                note(window.name + "_ms", max(longest, 0))
            }
        }
        return values
    }
}

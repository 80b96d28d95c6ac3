import ArgumentParser
import Foundation
import LabKit
import ScenarioKit

/// Measures what a guest feels of its disks' switches and of live migrations, beside the same by other means, in one session of the
/// lab and in turn, so that the machine's moods meet all of them. Prints medians; the last line is JSON.
struct BenchLive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-live", abstract: "Measure switches and live migrations against three freezes and by hand.",
        discussion: """
            A stall is the longest time between two of the guest's synced counter ticks, by its own clock, beyond the median \
            of a time in which nothing happens. A round is: a swap to a replica and back, the same by three calls of \
            dmsetup, a three-freeze migration there and back, and a live one; the swaps again below a guest with 32 writes \
            under way; a bare 'xl migrate' there and back on a shared disk, and xenlvs's. XENLVS_BINARY names the static \
            xenlvs binary.
            """)

    @Option(help: "How many rounds; the medians count.") var rounds = 3
    @Flag(help: "Measure a PV guest by one freeze and by three as well.") var methods = false
    @Flag(help: "Leave out everything but the PV guest.") var onlyMethods = false

    @MainActor
    func run() async throws {
        let hosts = try await Hosts.clean()
        var figures = LiveFigures()
        if !onlyMethods {
            try await measured("switch and migrations", LabGuest("bench", kind: .pvh), hosts, into: &figures) { bench in
                for round in 1...rounds { try await bench.migrations(round) }
                try await bench.transfers(rounds: rounds + 2)
            }
            let busy = LabGuest("busy", kind: .pvh, writesUnderWay: 32)
            try await measured("switch, 32 writes under way", busy, hosts, into: &figures) { bench in
                for _ in 1...(2 * rounds) { try await bench.swaps("busy_") }
            }
            let shared = LabGuest("shared", kind: .pvh)
            try await measured("shared disk", shared, hasSwitch: false, hosts, into: &figures) { bench in
                try await bench.share()
                for _ in 1...rounds { try await bench.sharedMoves() }
                try await bench.unshare()
            }
        }
        if methods || onlyMethods {
            try await measured("PV guest", LabGuest("plain", kind: .pv), hosts, into: &figures) { bench in
                for _ in 1...rounds { try await bench.bothMethods() }
            }
        }
        figures.set("rounds", Double(rounds))
        print(figures.table)
        print(try figures.json)
    }

    /// One guest's part: its measures are taken as windows of its counter, which is read from its disk at the end.
    @MainActor
    private func measured(
        _ what: String, _ guest: LabGuest, hasSwitch: Bool = true, _ hosts: Hosts, into figures: inout LiveFigures,
        _ body: @MainActor (LiveBench) async throws -> Void
    ) async throws {
        let bench = LiveBench(hosts: hosts, guest: guest)
        do {
            try await bench.start(hasSwitch: hasSwitch)
            try await body(bench)
            figures.add(try await bench.end())
        } catch {
            print("what the hosts show:\n\(await hosts.state())")
            throw error
        }
        print("\(what): \(figures.line)")
        try await hosts.reset()
    }
}

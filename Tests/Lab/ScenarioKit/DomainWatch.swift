import LabKit

/// Holds what the nodes have noted of when each guest could run against each other: never on two of them at once.
///
/// Each node notes times of its own clock since its boot. How that lies to this machine's clock is learnt by asking a node for
/// its time again and again: the answer was given between the question and its arrival.
package actor DomainWatch {
    private struct Reading {
        /// The node's time, in milliseconds since its boot.
        let time: Double
        /// What has to be added for this machine's.
        let offset: ClosedRange<Double>
    }

    private let began = ContinuousClock.now
    /// The boots in which a node was told to watch.
    private var watched: Set<String> = []
    private var readings: [String: [Reading]] = [:]
    /// When a node's clock was last read, by its boot.
    private var readAt: [String: ContinuousClock.Instant] = [:]
    /// From one look to the next, in milliseconds.
    private var periodMilliseconds = 10

    /// Where `/lab/domains` writes; see `Tests/Lab/image/node`.
    private static let log = "/var/log/xen/domains.log"
    /// A clock that was read so long ago is still known to a few hundredths of a second.
    private static let readingTime = Duration.seconds(60)
    /// How far two quartzes, one of them emulated, may run apart, in milliseconds for each: generous.
    private static let drift = 0.0005

    private var now: Double { began.duration(to: .now) / .milliseconds(1) }

    /// How often nodes look that are told to watch from now on. A migration takes a third longer with a hundred looks a
    /// second, because under emulation every wake-up costs much.
    package func look(everyMilliseconds period: Int) { periodMilliseconds = period }

    /// Has the nodes that are switched on watch from now on, and reads their clocks now and then. Only who looks at the result
    /// should ask for it.
    ///
    /// Throws where a node has stopped watching within a boot.
    package func watch(_ nodes: [LabNode]) async throws {
        for node in nodes where node.isPoweredOn {
            let answer = try await node.run(
                "cat /proc/sys/kernel/random/boot_id; pgrep -x domains >/dev/null && echo watches; true")
            let lines = answer.stdout.split(separator: "\n").map(String.init)
            guard let boot = lines.first else { throw ScenarioError("\(node.name) does not tell its boot") }
            if lines.count < 2 {
                if watched.contains(boot) { throw ScenarioError("\(node.name) has stopped watching its guests") }
                let command = "/lab/domains \(Self.log) \(periodMilliseconds)"
                try await node.run("(setsid nice -n -10 \(command) </dev/null >/dev/null 2>&1 &)")
            }
            watched.insert(boot)
            if let last = readAt[boot], last.duration(to: .now) < Self.readingTime { continue }
            try await readClock(node)
            readAt[boot] = .now
        }
    }

    /// Ends the watch, and forgets what was noted.
    package func end(_ nodes: [LabNode]) async throws {
        watched = []
        for node in nodes where node.isPoweredOn {
            try await node.run("pkill -x domains; rm -f \(Self.log)", check: false)
        }
    }

    /// The guests that have run on two nodes at once since the watch last forgot.
    package func problems(_ nodes: [LabNode]) async throws -> [String] {
        try await watch(nodes)
        var times: [RunningTime] = []
        for node in nodes where node.isPoweredOn {
            let text = try await node.run("cat \(Self.log) 2>/dev/null", check: false).stdout
            times += DomainLog(text).runningTimes(on: node.name, clock: place)
        }
        let overlaps = times.overlaps
        if !overlaps.isEmpty { for node in nodes where node.isPoweredOn { try await node.run(": >\(Self.log)") } }
        return overlaps
    }

    private func readClock(_ node: LabNode) async throws {
        for _ in 1...3 {
            let before = now
            let answer = try await node.run("cat /proc/sys/kernel/random/boot_id /proc/uptime").text
            let after = now
            let words = answer.split(whereSeparator: \.isWhitespace).map(String.init)
            guard words.count >= 2, let seconds = Double(words[1]) else {
                throw ScenarioError("\(node.name) does not tell its time: \(answer)")
            }
            // It is told in hundredths of a second, rounded down.
            let time = seconds * 1000
            readings[words[0], default: []].append(
                Reading(time: time, offset: (before - time - 10)...(after - time)))
        }
    }

    /// Where a time of a boot lies on this machine's clock.
    private func place(_ boot: String, _ time: Double) -> ClosedRange<Double>? {
        let bounds = (readings[boot] ?? []).map { reading in
            let doubt = abs(reading.time - time) * Self.drift
            return (reading.offset.lowerBound - doubt)...(reading.offset.upperBound + doubt)
        }
        guard let low = bounds.map(\.lowerBound).max(), let high = bounds.map(\.upperBound).min() else { return nil }
        // Readings that contradict each other tell that a clock ran faster than that: then only the nearest counts.
        guard low <= high else {
            let nearest = readings[boot]?.min { abs($0.time - time) < abs($1.time - time) }
            return nearest.map { (time + $0.offset.lowerBound)...(time + $0.offset.upperBound) }
        }
        return (time + low)...(time + high)
    }
}

import Foundation
import LabKit

/// Runs cases, chain by chain, each on hosts that hold nothing but its own guest.
package struct FaultMatrix: Sendable {
    /// How long a program hangs before it goes on.
    private let hang: Duration
    /// From one look at which guests run to the next.
    private let lookMilliseconds: Int
    private let log: @Sendable (String) -> Void

    package init(hang: Duration, lookMilliseconds: Int, log: @escaping @Sendable (String) -> Void) {
        self.hang = hang
        self.lookMilliseconds = lookMilliseconds
        self.log = log
    }

    /// The results of all cases. Throws only where there is no lab to run them in.
    ///
    /// - Parameters:
    ///   - end: after it no further migration is begun; the cases that are left have no results.
    ///   - keep: gets what there is of results after each chain.
    package func run(
        _ chains: [FaultChain], until end: ContinuousClock.Instant? = nil,
        keep: ([FaultResult]) throws -> Void = { _ in }
    ) async throws -> [FaultResult] {
        var results: [FaultResult] = []
        for (index, chain) in chains.enumerated() {
            if let end, ContinuousClock.now > end { break }
            log("chain \(chain)")
            let hosts = try await Hosts.clean()
            await hosts.watch.look(everyMilliseconds: lookMilliseconds)
            // With two disks, whatever strikes must strike both alike; with one it takes less time.
            let volumes = index.isMultiple(of: 2) ? ["web1"] : ["web1", "web1-data"]
            let guest = LabGuest("web1", kind: chain.guest.kind, volumes: volumes)
            results += await run(chain, hosts, guest, until: end).map(\.judgedByEffort)
            try keep(results)
        }
        if !results.isEmpty { _ = try await Hosts.clean() }
        return results
    }

    private func run(
        _ chain: FaultChain, _ hosts: Hosts, _ guest: LabGuest, until end: ContinuousClock.Instant?
    ) async -> [FaultResult] {
        var driver: FaultDriver?
        do {
            let journey = try await prepare(guest, hosts, hasSwitch: chain.guest.hasSwitches)
            var run = FaultDriver(chain, journey, on: hosts, hang: hang, until: end, log: log)
            defer { driver = run }
            try await run.run()
        } catch {
            var results = driver?.abandon() ?? []
            let state = await hosts.state()
            log("  \(FaultResult.givenUp): \(error)\n\(state)")
            if results.isEmpty {
                results = chain.cases.map { FaultResult(fault: $0, outcome: .notReached, hasMet: false) }
            }
            results[results.count - 1].problems.append("\(FaultResult.givenUp): \(error)")
            return results
        }
        return driver?.results ?? []
    }

    /// A guest on the first host, known to both.
    private func prepare(_ guest: LabGuest, _ hosts: Hosts, hasSwitch: Bool) async throws -> Journey {
        for node in hosts.all {
            try await node.define(guest)
            // Room for what it prints, also where everything else is full: that is evidence. What arrives live prints under
            // another name.
            let log = guest.consolePath
            try await node.run(
                "touch \(log); fallocate -n -l 4M \(log); ln -s \(log) \(log.dropLast(4))--incoming.log")
        }
        return try await hosts.start(guest, hasSwitch: hasSwitch, on: hosts.a)
    }
}

/// What a whole run came to.
package struct FaultSummary: Sendable {
    package let cases: Int
    /// Cases after which something the guest had been promised was gone.
    package let lost: Int
    /// Cases with any other problem.
    package let wrong: Int
    /// Cases after which something was left over.
    package let leftovers: Int
    package let recoverySecondsMax: Double

    package init(_ results: [FaultResult]) {
        let reached = results.filter { $0.outcome != .notReached || !$0.problems.isEmpty }
        cases = reached.count
        lost = reached.count { $0.problems.contains(where: Self.isLoss) }
        leftovers = reached.count { $0.problems.contains(where: Self.isLeftover) }
        wrong = reached.count { $0.problems.contains { !Self.isLoss($0) && !Self.isLeftover($0) } }
        recoverySecondsMax = reached.compactMap(\.recoverySeconds).max() ?? 0
    }

    private static func isLoss(_ problem: String) -> Bool {
        ["is not on the disk", "stamped blocks", "file system is damaged", "is followed by", "garbage"].contains {
            problem.contains($0)
        }
    }

    private static func isLeftover(_ problem: String) -> Bool {
        problem.contains("left on") || problem.contains("expected [")
    }

    package var json: String {
        """
        {"cases": \(cases), "lost": \(lost), "wrong": \(wrong), "leftovers": \(leftovers), \
        "recovery_seconds_max": \(String(format: "%.1f", recoverySecondsMax))}
        """
    }
}

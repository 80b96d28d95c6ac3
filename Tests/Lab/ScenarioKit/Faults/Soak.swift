import LabKit
import SeedKit

/// Random chains of random cases, one after the other, until the time is over or something is wrong.
package struct Soak: Sendable {
    private let matrix: FaultMatrix
    private let log: @Sendable (String) -> Void

    package init(hang: Duration, log: @escaping @Sendable (String) -> Void) {
        matrix = FaultMatrix(hang: hang, lookMilliseconds: 10, log: log)
        self.log = log
    }

    /// What a run came to.
    package struct Outcome: Sendable {
        package let results: [FaultResult]
        /// The fewest cases that were seen to go wrong, in their order; empty where nothing did.
        package let reproduction: [FaultCase]
    }

    /// Runs for so long; the same seed gives the same chains. Ends with the first chain that shows a problem, after looking
    /// for the part of it that is enough.
    package func run(for time: Duration, seed: UInt64) async throws -> Outcome {
        var numbers = SeededNumbers(seed: seed)
        var results: [FaultResult] = []
        let began = ContinuousClock.now
        repeat {
            let cases = Self.chain(using: &numbers)
            let found = try await matrix.run(FaultPlan.chains(cases))
            results += found
            if found.contains(where: { !$0.problems.isEmpty }) {
                return Outcome(results: results, reproduction: try await shrink(cases))
            }
        } while began.duration(to: .now) < time
        return Outcome(results: results, reproduction: [])
    }

    /// Up to six cases on one track.
    static func chain(using numbers: inout SeededNumbers) -> [FaultCase] {
        let track = FaultTrack.allCases.randomElement(using: &numbers) ?? .late
        let possible = FaultPlan.everything.filter { $0.track == track }
        return (0..<Int.random(in: 1...6, using: &numbers)).compactMap { _ in possible.randomElement(using: &numbers) }
    }

    /// Leaves out one case after the other as long as something still goes wrong.
    private func shrink(_ cases: [FaultCase]) async throws -> [FaultCase] {
        var needed = cases
        for one in cases where needed.count > 1 {
            let fewer = needed.filter { $0 != one }
            log("once more without \(one)")
            if try await matrix.run(FaultPlan.chains(fewer)).contains(where: { !$0.problems.isEmpty }) {
                needed = fewer
            }
        }
        return needed
    }
}

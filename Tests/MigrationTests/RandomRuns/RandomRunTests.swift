import Foundation
import Testing

@testable import Migration

@Suite("Random sequences of commands and faults")
struct RandomRunTests {
    /// `XENLVS_SEED` repeats a run, `XENLVS_RUNS` says how many sequences there are.
    private static let environment = ProcessInfo.processInfo.environment
    private static let seed =
        environment["XENLVS_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000) * 1_000_000
    private static let runs = environment["XENLVS_RUNS"].flatMap { Int($0) } ?? 2_000

    @Test("Whatever is typed and whatever fails, what must hold holds, and one command leads on")
    func randomRuns() {
        print("random runs: XENLVS_SEED=\(Self.seed) XENLVS_RUNS=\(Self.runs)")
        let began = ContinuousClock.now
        var ends: [String: Int] = [:]
        var wrong: [String: Int] = [:]
        for number in 0..<Self.runs {
            let seed = Self.seed &+ UInt64(number)
            let sequence = RandomSequence(seed: seed)
            let result = sequence.run()
            ends.merge(result.ends, uniquingKeysWith: +)
            guard let violation = result.violations.first else { continue }
            wrong[violation, default: 0] += 1
            if wrong[violation] == 1, wrong.count < 6 {
                Issue.record("XENLVS_SEED=\(seed) XENLVS_RUNS=1\n\(Self.explain(sequence))")
            }
        }
        print("random runs: \(Self.runs) sequences in \(began.duration(to: .now)): \(ends.sorted { $0.key < $1.key })")
        if !wrong.isEmpty { print("random runs went wrong: \(wrong)") }
        // Each kind of end came about, or the runs prove nothing of it.
        #expect(
            Self.runs < 1_000
                || ["migrated", "rolled back", "lost", "stopped", "died"].allSatisfy { ends[$0] ?? 0 > 0 })
    }

    @Test("They notice a defect of the product", arguments: Sabotage.allCases)
    func sabotage(_ sabotage: Sabotage) {
        let plan = sabotage.plan
        let killed = RandomSequence.killedAfterFailure(plan)
        let simple = RandomSequence.withOneFault(plan)
        let random = (0..<UInt64(20_000)).lazy.map { RandomSequence(seed: $0, like: plan) }
        func isNoticed(in sequence: RandomSequence) -> Bool { !sequence.run(sabotage: sabotage).violations.isEmpty }
        let deaf = RandomSequence.comesBackDeaf(plan)
        let found =
            killed.first(where: isNoticed) ?? simple.first(where: isNoticed) ?? deaf.first(where: isNoticed)
            ?? random.first(where: isNoticed)
        guard let found else {
            Issue.record("\(sabotage) is not noticed")
            return
        }
        let least = found.shrunk(sabotage: sabotage)
        // Some of them only let the guest write on, until it has written to the tail.
        #expect(least.actions.count <= 5, "\(least)")
        print("\(sabotage): \(least.run(sabotage: sabotage).violations[0])\n  \(least)")
    }

    private static let plans = [
        MigrationPlan(settlement: .late, comparesCopies: false),
        MigrationPlan(settlement: .early, comparesCopies: true),
        MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false),
        MigrationPlan(method: .live, settlement: .late, comparesCopies: false),
        MigrationPlan(method: .cold, settlement: .late, comparesCopies: true),
        MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false, seeds: true),
    ]

    /// With `XENLVS_RUNS` of 16,000 and more all of them, otherwise the seed's share.
    @Test("So it is with each fault at each change and each command after it", arguments: plans)
    func oneFault(_ plan: MigrationPlan) {
        var wrong: Set<String> = []
        let stride = max(1, 16_000 / max(1, Self.runs))
        let chosen = RandomSequence.withOneFault(plan).enumerated().lazy.filter {
            UInt64($0.offset) % UInt64(stride) == Self.seed / 1_000_000 % UInt64(stride)
        }
        let further = Array(RandomSequence.killedAfterFailure(plan)) + RandomSequence.comesBackDeaf(plan)
        for sequence in chosen.map(\.element) + further {
            guard let violation = sequence.run().violations.first, wrong.insert(violation).inserted else { continue }
            if wrong.count < 6 { Issue.record("\(Self.explain(sequence))") }
        }
    }

    /// The least that goes wrong, and what happened in it.
    private static func explain(_ sequence: RandomSequence) -> String {
        let least = sequence.shrunk()
        let result = least.run(telling: true)
        return "\(result.violations.joined(separator: "\n"))\n\(least)\n"
            + result.trail.joined(separator: "\n")
    }
}

import Foundation
import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    @Suite("Whatever breaks")
    struct Faults {
        @Test(
            "Nothing is lost, whatever breaks: each fault and each step once, another choice each day",
            .onlyInTheFullRun, .timeLimit(.minutes(60)))
        func subset() async throws {
            let seed = Self.seed
            print("fault subset with seed \(seed); XENLVS_FAULT_SEED=\(seed) repeats it")
            let results = try await FaultMatrix(hang: .seconds(20), log: { print($0) }).run(
                FaultPlan.subset(seed: seed))
            for result in results {
                #expect(result.problems.isEmpty, "\(result.fault): \(result.problems.joined(separator: "; "))")
            }
            let missed = results.filter { $0.outcome == .notReached }.map(\.fault)
            #expect(missed.isEmpty, "not reached: \(missed)")
            #expect(results.allSatisfy { $0.commands <= 1 }, "more than one command was needed")
            print(FaultSummary(results).json)
        }

        private static var seed: UInt64 {
            let given = ProcessInfo.processInfo.environment["XENLVS_FAULT_SEED"].flatMap { UInt64($0) }
            return given ?? UInt64(Date().timeIntervalSince1970 / 86400)
        }
    }
}

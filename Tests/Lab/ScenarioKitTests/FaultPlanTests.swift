import Testing

@testable import ScenarioKit

@Suite("The choice of faults")
struct FaultPlanTests {
    @Test("Whatever the seed, the subset has every fault and every step", arguments: 1...300)
    func subset(seed: UInt64) {
        let cases = FaultPlan.subset(seed: seed)
        #expect(Set(cases.map(\.fault)) == Set(Fault.allCases))
        let steps = Set(cases.map(\.place.step))
        for track in FaultTrack.allCases {
            #expect(steps.isSuperset(of: track.steps), "\(Set(track.steps).subtracting(steps))")
        }
        // A minute here, a boot there: each costly fault once.
        #expect(cases.count { $0.fault.isCostly } == Fault.allCases.count(where: \.isCostly))
    }

    @Test("The same seed gives the same cases, another one gives others")
    func seeds() {
        #expect(FaultPlan.subset(seed: 7) == FaultPlan.subset(seed: 7))
        #expect(FaultPlan.subset(seed: 7) != FaultPlan.subset(seed: 8))
        #expect(FaultPlan.chosen(40, seed: 7) == FaultPlan.chosen(40, seed: 7))
        #expect(Set(FaultPlan.chosen(40, seed: 7)).count == 40)
    }

    @Test("Chains hold each case once, on one track, in the order in which a migration comes by")
    func chains() {
        let all = FaultPlan.everything
        let chains = FaultPlan.chains(all, longest: 5)
        #expect(chains.flatMap(\.cases).count == all.count)
        #expect(Set(chains.flatMap(\.cases)) == Set(all))
        for chain in chains {
            #expect(chain.cases.count <= 5 && Set(chain.cases.map(\.track)).count == 1)
            let positions = chain.cases.map(FaultPlan.position)
            #expect(positions == Array(Set(positions)).sorted())
        }
    }

    @Test("A case is read back from its name")
    func names() {
        for one in FaultPlan.everything { #expect(FaultCase(one.description) == one) }
        for text in ["", "linkCut", "linkCut@late/decide", "linkCut@late/nothing:before", "x@late/decide:before"] {
            #expect(FaultCase(text) == nil, "\(text)")
        }
    }

    @Test("A summary counts each kind of harm")
    func summary() {
        func result(_ problems: String..., outcome: FaultResult.Outcome = .resumed) -> FaultResult {
            let one = FaultCase(.linkCut, .late, FaultPlace("decide", .before))
            return FaultResult(fault: one, outcome: outcome, hasMet: true, recoverySeconds: 3, problems: problems)
        }
        let summary = FaultSummary([
            result(), result("web1: tick 7 at 3 ms was printed and is not on the disk"),
            result("left on nodea: image x"),
            result("web1 runs on [\"nodea\", \"nodeb\"]"), result(outcome: .notReached),
        ])
        #expect(
            summary.json
                == #"{"cases": 4, "lost": 1, "wrong": 1, "leftovers": 1, "recovery_seconds_max": 3.0}"#)
    }
}

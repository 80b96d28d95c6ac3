import Testing

@testable import Migration

@Suite("Every placement of up to three faults")
struct ExhaustiveSimulationTests {
    static let plans = [
        MigrationPlan(settlement: .late, comparesCopies: false), MigrationPlan(settlement: .late, comparesCopies: true),
        MigrationPlan(settlement: .early, comparesCopies: true),
    ]

    @Test("No placement of three crashes, failures or lost answers breaks an invariant", arguments: plans)
    func threeFaults(_ plan: MigrationPlan) {
        var explorer = Explorer(plan: plan)
        explorer.explore(faults: 3)
        #expect(explorer.complaints.isEmpty, "\(explorer.complaints.joined(separator: "\n"))")
        // The search reached both ends in many ways, or it proved nothing.
        #expect(explorer.outcomes == ["migrated", "rolled back"])
        #expect(explorer.faultsPlaced > 4_000)
    }

    @Test("With the target lost for good at any point, the operator's word leads to an end", arguments: plans)
    func lostTarget(_ plan: MigrationPlan) {
        var explorer = Explorer(plan: plan, losesTarget: true)
        explorer.explore(faults: 3)
        #expect(explorer.complaints.isEmpty, "\(explorer.complaints.joined(separator: "\n"))")
        #expect(explorer.outcomes == ["migrated", "rolled back", "lost"])
    }

    @Test(
        "The search notices when a step that a lost target calls for is not done",
        arguments: [Step.reclaimSource, .linkReclaimed, .takeDownSourceReplica, .cleanSourceAfterRollback])
    func sabotagedReclamation(_ step: Step) {
        var explorer = Explorer(plan: Self.plans[0], sabotaged: step, losesTarget: true)
        explorer.explore(faults: 1)
        #expect(!explorer.complaints.isEmpty)
    }

    @Test(
        "The search notices when a step that protects the data is not done",
        arguments: [
            Step.synchronise, .demoteSource, .promoteTarget, .linkTargetToReplica, .acknowledgeDecision,
            .takeDownSourceReplica, .discardOnTarget, .continueOnReplica, .cleanSource, .closeTarget,
        ])
    func sabotage(_ step: Step) {
        var explorer = Explorer(plan: Self.plans[1])
        explorer.sabotaged = step
        explorer.explore(faults: 1)
        #expect(!explorer.complaints.isEmpty || explorer.outcomes != ["migrated", "rolled back"])
    }
}

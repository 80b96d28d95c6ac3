import Testing

@testable import Migration

@Suite("Every placement of up to three faults")
struct ExhaustiveSimulationTests {
    static let plans = [
        MigrationPlan(settlement: .late, comparesCopies: false), MigrationPlan(settlement: .late, comparesCopies: true),
        MigrationPlan(settlement: .early, comparesCopies: true),
        MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false),
        MigrationPlan(method: .live, storage: .shared, settlement: .late, comparesCopies: false),
        MigrationPlan(method: .oneFreeze, storage: .shared, settlement: .late, comparesCopies: false),
        MigrationPlan(method: .live, settlement: .late, comparesCopies: false),
        MigrationPlan(method: .cold, settlement: .late, comparesCopies: true),
        MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false, seeds: true),
        MigrationPlan(method: .live, settlement: .late, comparesCopies: false, seeds: true),
        MigrationPlan(method: .cold, settlement: .late, comparesCopies: false, seeds: true),
    ]
    private static let switched = plans[3]

    @Test("No placement of three crashes, failures or lost answers breaks an invariant", arguments: plans)
    func threeFaults(_ plan: MigrationPlan) {
        var explorer = Explorer(plan: plan)
        explorer.explore(faults: 3)
        #expect(explorer.complaints.isEmpty, "\(explorer.complaints.joined(separator: "\n"))")
        // The search reached both ends in many ways, or it proved nothing.
        #expect(explorer.outcomes == ["migrated", "rolled back"])
        // A cold one goes back by itself wherever the others stop.
        let fewest = plan.storage == .shared ? 1_000 : plan.method == .cold ? 3_000 : 4_000
        #expect(explorer.faultsPlaced > fewest)
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
        "The search notices when a switch is not led where it has to lead",
        arguments: [
            Step.leadSourceToReplica, .linkTargetToSwitch, .demoteSource, .promoteTarget, .leadTargetToVolume,
            .cleanSource,
        ])
    func sabotagedSwitch(_ step: Step) {
        var explorer = Explorer(plan: Self.switched, sabotaged: step)
        explorer.explore(faults: 1)
        #expect(!explorer.complaints.isEmpty || explorer.outcomes != ["migrated", "rolled back"])
    }

    @Test(
        "The search notices when a step of a live hand-over is not done",
        arguments: [Step.moveLive, .quietSource, .continueOnSource, .reclaimSource, .cleanSource])
    func sabotagedLive(_ step: Step) {
        var explorer = Explorer(plan: Self.plans[4], sabotaged: step, losesTarget: true)
        explorer.explore(faults: 2)
        #expect(!explorer.complaints.isEmpty || explorer.outcomes != ["migrated", "rolled back", "lost"])
    }

    @Test(
        "The search notices when a step of a live hand-over of copied disks is not done",
        arguments: [
            Step.leadSourceToReplica, .linkTargetToSwitch, .openWindow, .promoteTarget, .quietSource, .demoteSource,
            .leadSourceToVolume, .leadTargetToVolume, .synchronise,
        ])
    func sabotagedWindow(_ step: Step) {
        var explorer = Explorer(plan: Self.plans[6], sabotaged: step)
        explorer.explore(faults: 1)
        #expect(!explorer.complaints.isEmpty || explorer.outcomes != ["migrated", "rolled back"])
    }

    @Test("The search notices when a run that is continued leaves the window of an earlier one open")
    func sabotagedClearing() {
        var explorer = Explorer(plan: Self.plans[6], sabotaged: .clearTarget)
        explorer.explore(faults: 2)
        #expect(explorer.complaints.contains { $0.contains("two Primaries stay allowed") })
    }

    @Test(
        "The search notices when a step of a cold migration is not done",
        arguments: [
            Step.shutDown, .synchronise, .demoteSource, .releaseTargetVolume, .linkTargetToVolumeEarly,
            .takeDownSourceReplica, .continueOnSource, .acknowledgeDecision,
        ])
    func sabotagedCold(_ step: Step) {
        var explorer = Explorer(plan: Self.plans[7], sabotaged: step)
        explorer.explore(faults: 1)
        #expect(!explorer.complaints.isEmpty || explorer.outcomes != ["migrated", "rolled back"])
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

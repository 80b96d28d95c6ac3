import HostModel
import Testing

@testable import Migration

/// Where a fault strikes a step.
private enum Fault: CaseIterable {
    case none
    /// The coordinator dies before the step took effect, or after it and before its record.
    case crashBefore, crashAfter
    /// The step reports a failure, with or without having taken effect.
    case failsBefore, failsAfter
    /// The answer is lost, with or without the effect.
    case unknownBefore, unknownAfter
}

/// Visits every state that a migration can reach with up to `faults` faults, and the operator's choice of resuming or
/// aborting at every stop. States are visited once: the world is finite, so the search is complete.
private struct Explorer {
    struct Node: Hashable {
        var machine: MigrationMachine
        var world: SimulatedWorld
        var faultsLeft: Int
    }

    let plan: MigrationPlan
    var seen: Set<Node> = []
    var complaints: [String] = []
    /// A step that is reported done without being done: shows that the search notices what the step is for.
    var sabotaged: Step?
    /// Faults placed at distinct states.
    var faultsPlaced = 0
    var outcomes: Set<String> = []
    var trail: [String] = []

    mutating func explore(faults: Int) {
        visit(Node(machine: MigrationMachine(plan: plan), world: .beginning, faultsLeft: faults))
    }

    private mutating func visit(_ node: Node) {
        guard complaints.count < 5, seen.insert(node).inserted else { return }
        check(node)
        if node.faultsLeft == 0 { checkItEnds(node) }
        switch node.machine.action {
        case .perform(let step):
            for fault in node.faultsLeft > 0 ? Fault.allCases : [.none] { take(step, fault, from: node) }
        case .stop: operatorDecides(node)
        case .finish(let outcome): checkEnd(node, outcome)
        case .refuse(let failure): complain("refused while running: \(failure)", node)
        }
    }

    private mutating func take(_ step: Step, _ fault: Fault, from node: Node) {
        trail.append("\(step)\(fault == .none ? "" : " [\(fault)]")")
        defer { trail.removeLast() }
        var next = node
        if fault != .none {
            next.faultsLeft -= 1
            faultsPlaced += 1
        }
        let failure = Failure(.failed, "simulated")
        var event = MigrationMachine.Event.done
        if fault == .crashBefore || fault == .failsBefore || fault == .unknownBefore {
            event = .failed(failure)
        } else {
            do {
                if step != sabotaged { try next.world.perform(step, plan: plan) }
                if fault == .failsAfter { event = .failed(failure) }
            } catch {
                event = .failed(failure)
            }
        }
        if fault == .unknownBefore || fault == .unknownAfter { event = .unknown(failure) }
        next.world.tick()
        if fault == .crashBefore || fault == .crashAfter {
            next.world.coordinatorDies()
            operatorDecides(next)
        } else {
            _ = next.machine.handle(event)
            visit(next)
        }
    }

    private mutating func operatorDecides(_ node: Node) {
        for event in [MigrationMachine.Event.resumed, .abortRequested] {
            var next = node
            // A stop without a fault left and without progress would repeat for ever: resuming must get on.
            next.world.coordinatorDies()
            if case .refuse = next.machine.handle(event) {
                if !node.machine.isCommitted { complain("\(event) refused before the decision", node) }
                continue
            }
            trail.append("\(event)")
            visit(next)
            trail.removeLast()
        }
    }

    private mutating func check(_ node: Node) {
        if let violation = node.world.violation { complain(violation, node) }
        if !node.world.guestSurvives { complain("the guest is lost", node) }
        if node.machine.isCommitted, node.world.source.domain != .none {
            complain("the source still holds the domain after the decision", node)
        }
    }

    /// Without further faults, resuming again and again must lead to an end: nothing is stuck.
    private mutating func checkItEnds(_ node: Node) {
        guard sabotaged == nil else { return }
        var (machine, world) = (node.machine, node.world)
        for _ in 0..<120 {
            switch machine.action {
            case .finish: return
            case .stop: _ = machine.handle(.resumed)
            case .refuse: return complain("refused while running", node)
            case .perform(let step):
                do {
                    try world.perform(step, plan: plan)
                    _ = machine.handle(.done)
                } catch {
                    _ = machine.handle(.failed(Failure(.failed, "simulated")))
                }
                world.tick()
            }
        }
        complain("resuming never comes to an end", node)
    }

    private mutating func checkEnd(_ node: Node, _ outcome: MigrationMachine.Outcome) {
        let (owner, other): (SimulatedHost, SimulatedHost)
        switch outcome {
        case .migrated:
            outcomes.insert("migrated")
            (owner, other) = (node.world.target, node.world.source)
        case .rolledBack:
            outcomes.insert("rolled back")
            (owner, other) = (node.world.source, node.world.target)
        }
        if owner.domain != .running { complain("ended without a running domain", node) }
        if owner.domainUses != .volume || owner.link != .volume { complain("ended without a plain volume", node) }
        if !owner.isCurrent { complain("ended on an old copy", node) }
        if other.domain != .none || other.link != .none { complain("something of the domain is left over", node) }
        for host in [owner, other] where host.replica != .down || host.image == .whole || host.restorePending {
            complain("a replica or an image is left over", node)
        }
        if node.world.target.isReserved { complain("the target's journal is still open", node) }
    }

    private mutating func complain(_ text: String, _ node: Node) {
        complaints.append(
            "\(text)\n  after \(trail.joined(separator: " → "))\n  machine \(node.machine.state)\n  \(node.world)")
    }
}

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

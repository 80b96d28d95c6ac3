import HostModel
import Testing

@testable import Migration

/// Loses the source in a state that was visited, lets the target's operator end the migration alone, killed as often as `kills`
/// says, and then lets the source come back and go on, as its operator likes.
private struct LateSource {
    struct Node: Hashable {
        var machine: MigrationMachine
        var world: SimulatedWorld
    }

    var seen: Set<Node> = []
    var complaints: Set<String> = []
    var ways: Set<String> = []
    var ends: Set<String> = []
    /// The target answers a source that comes back as if nothing had happened: shows what its refusal is for.
    var forgets = false

    mutating func lose(_ node: Explorer.Node, restarting: Bool, kills: Int) {
        var world = node.world
        world.sourceIsLost(restarting: restarting, node.machine)
        for resolved in resolved(world, kills: kills, node.machine) {
            comeBack(Node(machine: node.machine, world: resolved))
        }
    }

    /// The worlds in which the target's operator may end up.
    private mutating func resolved(
        _ world: SimulatedWorld, kills: Int, _ machine: MigrationMachine
    ) -> Set<SimulatedWorld> {
        let facts = world.targetFacts
        let (name, steps): (String, [Step])
        switch TargetResolution(facts, machine.plan) {
        case .finish(let way): (name, steps) = ("finish", way)
        case .diskAlone(let way): (name, steps) = ("disk alone", way)
        case .incomplete(let way): (name, steps) = ("incomplete", way)
        case .refuse(let failure):
            complaints.insert("refused: \(failure) \(machine.state) \(facts)")
            return []
        }
        ways.insert(name)
        var (world, ends) = (world, Set<SimulatedWorld>())
        for step in steps {
            do { try world.perform(step, plan: machine.plan) } catch {
                complaints.insert("\(name): cannot \(step) \(machine.state) \(world)")
                return ends
            }
            world.tick()
            if kills > 0 { ends.formUnion(resolved(world, kills: kills - 1, machine)) }
        }
        check(name, world, facts, machine.plan)
        return ends.union([world])
    }

    private mutating func check(
        _ name: String, _ world: SimulatedWorld, _ facts: TargetFacts, _ plan: MigrationPlan
    ) {
        func complain(_ text: String) { complaints.insert("\(name): \(text) \(world)") }
        let target = world.target
        if let violation = world.violation { complain(violation) }
        if target.replica != .down || target.image == .whole || target.restorePending {
            complain("something is left over")
        }
        switch name {
        case "finish":
            if target.domain != .running || target.domainUses != target.link || !target.hasPlainDisk(plan) {
                complain("the guest does not run")
            }
            if !target.isComplete { complain("it runs on a copy that is not complete") }
        case "disk alone":
            if target.domain != .none || !target.hasPlainDisk(plan) || !target.isComplete {
                complain("not the disk alone")
            }
        default:
            if target.domain != .none || target.link != .none || target.table != .none || target.isComplete {
                complain("not retired")
            }
        }
    }

    /// The source's operator resumes or aborts at every stop, until there is an end.
    private mutating func comeBack(_ node: Node) {
        guard seen.insert(node).inserted, complaints.count < 1000 else { return }
        var hasEnded = false
        for event in [MigrationMachine.Event.resumed, .abortRequested] {
            var next = node
            guard let action = begin(event, &next) else { continue }
            switch run(action, &next) {
            case .finish(let outcome):
                hasEnded = true
                checkEnd(outcome, next)
            case .stop, .perform:
                if next != node {
                    hasEnded = true
                    comeBack(next)
                }
            case .refuse: break
            }
        }
        if !hasEnded { complaints.insert("the source can do nothing \(node.machine.state) \(node.world)") }
    }

    private let news = Failure(.takenOver, "the domain belongs to the target for good")

    /// The machine hears first what the target has to say. Nil where it refuses what the operator wants.
    private func begin(_ event: MigrationMachine.Event, _ node: inout Node) -> MigrationMachine.Action? {
        var event = event
        let isFinished = if case .finished = node.machine.state { true } else { false }
        if !forgets, node.world.target.knowsDecision, !node.machine.isCommitted, !isFinished {
            event = .takenOver(news)
        }
        let action = node.machine.handle(event)
        if case .refuse = action { return nil }
        return action
    }

    private mutating func run(_ first: MigrationMachine.Action, _ node: inout Node) -> MigrationMachine.Action {
        var action = first
        while case .perform(let step) = action {
            action = node.machine.handle(take(step, &node))
            node.world.tick()
            if let violation = node.world.violation { complaints.insert("late: \(violation) \(node.world)") }
            if node.world.target.knowsDecision, ![.none, .away].contains(node.world.source.domain) {
                complaints.insert("the late source runs its guest \(node.machine.state) \(node.world)")
                return .refuse(news)
            }
        }
        return action
    }

    private func take(_ step: Step, _ node: inout Node) -> MigrationMachine.Event {
        let refusal = Failure(.refused, "the migration has ended on this host already")
        if step.side != .source {
            if node.world.target.knowsDecision { return forgets ? .failed(refusal) : .takenOver(news) }
            switch step {
            case .discardOnTarget, .cleanTargetAfterRollback, .closeTargetAfterRollback: return .done
            default: return .failed(refusal)
            }
        }
        do {
            try node.world.perform(step, plan: node.machine.plan)
            return .done
        } catch { return .failed(Failure(.failed, "simulated")) }
    }

    private mutating func checkEnd(_ outcome: MigrationMachine.Outcome, _ node: Node) {
        let source = node.world.source
        switch outcome {
        case .migrated:
            ends.insert("migrated")
            let hasLink = source.link != .none && !node.world.isShared
            if source.domain != .none || hasLink || source.replica != .down || source.image != .none {
                complaints.insert("the source is not tidied up \(node.world)")
            }
        case .rolledBack:
            ends.insert("rolled back")
            if node.world.target.knowsDecision { complaints.insert("taken back from the target \(node.world)") }
        case .lost: complaints.insert("given up without need \(node.world)")
        }
    }
}

@Suite("A source that is lost for good, and comes back after all")
struct LostSourceTests {
    private func explore(_ plan: MigrationPlan, forgets: Bool = false) -> LateSource {
        var explorer = Explorer(plan: plan)
        explorer.explore(faults: 2)
        var late = LateSource(forgets: forgets)
        for node in explorer.seen where node.world.target.isReserved && !node.machine.isFinished {
            late.lose(node, restarting: true, kills: 2)
            // Cut off from its network alone it may have its guest saved, but a guest that runs there is not fenced.
            if node.world.source.domain != .running { late.lose(node, restarting: false, kills: 1) }
        }
        return late
    }

    @Test(
        "Wherever the source is lost the target comes to an end, and a late source never runs its guest beside it",
        arguments: ExhaustiveSimulationTests.plans)
    func lost(_ plan: MigrationPlan) {
        let late = explore(plan)
        #expect(late.complaints.isEmpty, "\(late.complaints.joined(separator: "\n"))")
        switch plan.storage {
        case .replicas:
            #expect(late.ways == ["finish", "disk alone", "incomplete"])
            #expect(late.ends == ["migrated", "rolled back"])
        // A disk that is shared is there, and the target's from then on.
        case .shared:
            #expect(late.ways == ["finish", "disk alone"])
            #expect(late.ends == ["migrated"])
        }
    }

    @Test("The search notices when the target does not tell a late source what it has done")
    func sabotage() {
        let late = explore(ExhaustiveSimulationTests.plans[0], forgets: true)
        #expect(late.complaints.contains { $0.contains("the late source runs its guest") || $0.contains("taken back") })
    }
}

extension MigrationMachine {
    fileprivate var isFinished: Bool {
        if case .finished = state { true } else { false }
    }
}

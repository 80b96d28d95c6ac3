import HostModel
import Testing

@testable import Migration

extension SimulatedWorld {
    /// A real host says this in a failure of its own.
    struct RunsUndecided: Error {}

    /// Throws where somebody has let the guest run on the target by hand.
    func requireWaitingTarget() throws {
        if target.domain == .running, !target.knowsDecision { throw RunsUndecided() }
    }
}

/// Before the decision a run has ended and left the guest on the target, paused, and somebody lets it run there by hand. What
/// the operator types then must not let the source's run as well.
private struct UnpausedTarget {
    /// The target is asked before a command does anything. Without, it answers only later.
    var asks = true
    /// A step of it that fails for that says so.
    var saysWhy = true
    var unpaused = 0
    var stops = 0
    var complaints: Set<String> = []

    mutating func unpause(_ node: Explorer.Node, then event: MigrationMachine.Event) {
        var (machine, world) = (node.machine, node.world)
        guard !machine.isCommitted, !machine.hasEnded, world.target.domain == .paused, !world.target.knowsDecision,
            world.source.domain != .running
        else { return }
        world.coordinatorDies()
        world.isLinkCut = false
        world.target.domain = .running
        unpaused += 1
        // Refused, with everything as it was.
        if asks, (try? world.requireWaitingTarget()) == nil {
            stops += 1
            return
        }
        var action = machine.handle(event)
        while case .perform(let step) = action {
            do {
                try world.perform(step, plan: machine.plan)
                action = machine.handle(.done)
            } catch {
                let isUndecided = saysWhy && error is SimulatedWorld.RunsUndecided
                action = machine.handle(.failed(Failure(isUndecided ? .runsUndecided : .failed, "simulated")))
            }
            guard world.source.domain != .running else {
                complaints.insert("after \(event) both run: \(node.machine.state)")
                return
            }
        }
        if case .stop(let stop) = action, stop.needsRecovery { stops += 1 }
    }
}

@Suite("A guest that is let run on the target before the decision")
struct UnpausedTargetTests {
    private static let plans = ExhaustiveSimulationTests.plans.filter { $0.method != .cold }

    private func nodes(_ plan: MigrationPlan) -> Set<Explorer.Node> {
        var explorer = Explorer(plan: plan)
        explorer.explore(faults: 2)
        return explorer.seen
    }

    @Test("Neither resume nor abort lets the source's run as well, as the target says how it is", arguments: plans)
    func asked(_ plan: MigrationPlan) {
        var search = UnpausedTarget()
        for node in nodes(plan) {
            for event in [MigrationMachine.Event.resumed, .abortRequested] { search.unpause(node, then: event) }
        }
        #expect(search.unpaused > 0 && search.stops == search.unpaused)
        #expect(search.complaints.isEmpty, "\(search.complaints.joined(separator: "\n"))")
    }

    @Test(
        "A live hand-over that is resumed stops at the target, also where that could not be asked before",
        arguments: plans.filter { $0.method == .live })
    func resumed(_ plan: MigrationPlan) {
        var (search, vague) = (UnpausedTarget(asks: false), UnpausedTarget(asks: false, saysWhy: false))
        for node in nodes(plan) where !isOnWayBack(node.machine) {
            search.unpause(node, then: .resumed)
            vague.unpause(node, then: .resumed)
        }
        #expect(search.unpaused > 0 && search.stops == search.unpaused)
        #expect(search.complaints.isEmpty, "\(search.complaints.joined(separator: "\n"))")
        #expect(!vague.complaints.isEmpty, "a step that fails for any reason leads back")
    }

    @Test("The search notices when the target is not asked before an abort", arguments: plans)
    func notAsked(_ plan: MigrationPlan) {
        var search = UnpausedTarget(asks: false, saysWhy: false)
        for node in nodes(plan) { search.unpause(node, then: .abortRequested) }
        #expect(!search.complaints.isEmpty)
    }

    private func isOnWayBack(_ machine: MigrationMachine) -> Bool {
        if case .suspended(let stop) = machine.state, case .rollback = stop.resumesAt { return true }
        return machine.isGoingBack
    }
}

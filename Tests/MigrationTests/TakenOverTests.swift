import HostModel
import Testing

@testable import Migration

/// The source learns that its target has decided by itself.
@Suite("A target that has ended the migration by itself")
struct TakenOverTests {
    private static let news = Failure(.takenOver, "the domain belongs to nodeb for good")
    private static let plan = MigrationPlan(settlement: .late, comparesCopies: true)

    private static func machine(at step: Step) -> MigrationMachine {
        var machine = MigrationMachine(plan: plan)
        for _ in 0..<plan.steps.count where machine.state != .forward(step) { _ = machine.handle(.done) }
        return machine
    }

    @Test("The source takes the decision for its own, stops, and can only tidy up", arguments: plan.steps)
    func everyStep(_ step: Step) {
        var machine = Self.machine(at: step)
        let action = machine.handle(.takenOver(Self.news))
        if [Step.cleanTarget, .closeTarget].contains(step) { return #expect(action == .finish(.migrated)) }
        guard case .stop(let suspension) = action else {
            Issue.record("\(action)")
            return
        }
        #expect(suspension.reason == Self.news && suspension.needsRecovery)
        #expect(machine.isCommitted)
        guard case .refuse = machine.handle(.abortRequested) else {
            Issue.record("an abort after \(step) would start the guest")
            return
        }
        #expect(machine.handle(.resumed) == .perform(.cleanSource))
        #expect(machine.wasTakenOver, "it would not be known that the source's copy has to be kept")
        #expect(machine.handle(.done) == .perform(.cleanTarget))
        #expect(machine.handle(.takenOver(Self.news)) == .finish(.migrated))
    }

    @Test("So does one that was on its way back, stopped or not")
    func rollingBack() {
        for isStopped in [false, true] {
            var machine = Self.machine(at: .transferImage)
            _ = machine.handle(.abortRequested)
            if isStopped {
                for _ in 0..<8 { _ = machine.handle(.unknown(Failure(.unreachable, "lost"))) }
            }
            guard case .stop = machine.handle(.takenOver(Self.news)) else {
                Issue.record("it goes on")
                return
            }
            #expect(machine.isCommitted)
            #expect(machine.handle(.resumed) == .perform(.cleanSource))
        }
    }

    @Test("Two operators that have each declared the other host dead are told so")
    func both() {
        var machine = Self.machine(at: .startOnTarget)
        let fenced = Failure(.unreachable, "nodeb was declared dead")
        #expect(machine.handle(.peerFenced(fenced)) == .perform(.reclaimSource))
        guard case .stop(let suspension) = machine.handle(.takenOver(Self.news)) else {
            Issue.record("it goes on")
            return
        }
        #expect(suspension.resumesAt == .reclaim(left: MigrationPlan.reclamation, because: fenced))
    }
}

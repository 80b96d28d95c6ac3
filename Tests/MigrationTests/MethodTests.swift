import Foundation
import HostModel
import Testing

@testable import Migration

@Suite("Methods of migrating")
struct MethodTests {
    private func decoded(_ json: String) throws -> MigrationPlan {
        try JSONDecoder().decode(MigrationPlan.self, from: Data(json.utf8))
    }

    @Test("A plan of a version that knew one method is read as that, and is written as that version reads it")
    func earlierPlan() throws {
        let plan = try decoded(#"{"settlement":"early","comparesCopies":true}"#)
        #expect(plan == MigrationPlan(settlement: .early, comparesCopies: true))
        #expect(plan.method == .threeFreeze)
        let text = String(decoding: try JSONEncoder().encode(plan), as: UTF8.self)
        #expect(!text.contains("method"))
    }

    @Test("A one-freeze plan comes back as it was; one that cannot be is refused")
    func oneFreezePlan() throws {
        let plan = MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false)
        let text = String(decoding: try JSONEncoder().encode(plan), as: UTF8.self)
        #expect(text.contains("one-freeze"))
        #expect(try decoded(text) == plan)
        for json in [
            #"{"method":"one-freeze","settlement":"early","comparesCopies":true}"#,
            #"{"method":"no-freeze","settlement":"late","comparesCopies":true}"#,
            #"{"method":"live","settlement":"late","comparesCopies":true}"#,
            #"{"storage":"shared","settlement":"late","comparesCopies":false}"#,
            #"{"method":"cold","settlement":"early","comparesCopies":false}"#,
            #"{"method":"cold","storage":"shared","settlement":"late","comparesCopies":false}"#,
            #"{"method":"live","storage":"shared","settlement":"early","comparesCopies":false}"#,
            #"{"method":"live","storage":"lent","settlement":"late","comparesCopies":false}"#,
        ] {
            #expect(throws: (any Error).self) { try decoded(json) }
        }
    }

    @Test(
        "Of a one-freeze migration nothing but the hand-over is a freeze, and the way back of a running guest is none")
    func freezes() {
        let plan = MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: true)
        let frozen = plan.steps.filter { plan.freeze(during: $0) != nil }
        #expect(frozen.first == .transferImage && frozen.last == .startOnTarget)
        #expect(frozen.allSatisfy { plan.freeze(during: $0) == .handOver && $0.phase == .handOver })
        #expect(plan.number(of: .handOver) == 1)
        for step in plan.steps where !plan.isCommitted(at: step) {
            #expect(plan.rollback(from: step).allSatisfy { plan.freeze(during: $0) == nil })
        }
    }

    @Test("A live hand-over stands still from the end of the stream to the start, and its window ends after it")
    func live() throws {
        for storage in MigrationPlan.Storage.allCases {
            let plan = MigrationPlan(method: .live, storage: storage, settlement: .late, comparesCopies: false)
            let text = String(decoding: try JSONEncoder().encode(plan), as: UTF8.self)
            #expect(try decoded(text) == plan && text.contains("shared") == (storage == .shared))
            let frozen = plan.steps.filter { plan.freeze(during: $0) != nil }
            #expect(frozen == [.moveLive, .quietSource, .decide, .acknowledgeDecision, .startOnTarget])
        }
        let copied = MigrationPlan(method: .live, settlement: .late, comparesCopies: false)
        let window = try #require(copied.steps.firstIndex(of: .openWindow))
        #expect(copied.steps[..<window].contains(.verifyCopies), "two Primaries before the copies are equal")
        #expect(copied.step(after: .startOnTarget) == .demoteSource)
        #expect(copied.isCommitted(at: .demoteSource))
    }

    @Test("A run that ended before the decision brings the guest back first, and one that ended after it goes on")
    func liveResumption() {
        for storage in MigrationPlan.Storage.allCases {
            let plan = MigrationPlan(method: .live, storage: storage, settlement: .late, comparesCopies: false)
            for step in [Step.recallOnSource, .moveLive, .quietSource, .decide] {
                #expect(plan.resumption(of: step) == .clearTarget)
            }
            for step in [Step.acknowledgeDecision, .startOnTarget, .cleanSource] {
                #expect(plan.resumption(of: step) == step)
            }
        }
        let copied = MigrationPlan(method: .live, settlement: .late, comparesCopies: false)
        #expect(copied.resumption(of: .demoteSource) == .demoteSource)
        #expect(copied.resumption(of: .promoteTarget) == .clearTarget)
        let saved = MigrationPlan(method: .oneFreeze, storage: .shared, settlement: .late, comparesCopies: false)
        #expect(saved.resumption(of: .finishRestore) == .checkSharedDisks)
    }

    @Test("A cold migration is one freeze from the shutdown to the start; what fails in it leads back by itself")
    func cold() {
        let plan = MigrationPlan(method: .cold, settlement: .late, comparesCopies: true)
        let frozen = plan.steps.filter { plan.freeze(during: $0) != nil }
        #expect(frozen.first == .shutDown && frozen.last == .startOnTarget && frozen.contains(.synchronise))
        #expect(plan.number(of: .handOver) == 1 && !plan.usesSwitches)
        #expect(!plan.steps.contains { $0 == .transferImage || $0.phase == .settle })
        for step in [Step.shutDown, .connectTarget, .synchronise, .verifyCopies, .demoteSource] {
            var machine = MigrationMachine(plan: plan)
            while machine.state != .forward(step) { _ = machine.handle(.done) }
            _ = machine.handle(.failed(Failure(.failed, "the link is cut")))
            #expect(machine.isGoingBack, "after \(step): \(machine.state)")
            #expect(plan.rollback(from: step).contains(.continueOnSource))
            #expect(plan.rollback(from: step).allSatisfy { plan.freeze(during: $0) == nil })
        }
        #expect(plan.resumption(of: .releaseTargetVolume) == .connectTarget)
    }

    @Test("A live hand-over that cannot bring its guest back does not stop: it goes back")
    func failedRecall() {
        let plan = MigrationPlan(method: .live, storage: .shared, settlement: .late, comparesCopies: false)
        for step in [Step.clearTarget, .recallOnSource, .checkSharedDisks] {
            var machine = MigrationMachine(plan: plan)
            while machine.state != .forward(step) { _ = machine.handle(.done) }
            _ = machine.handle(.failed(Failure(.failed, "no answer")))
            #expect(machine.isGoingBack, "after \(step): \(machine.state)")
        }
    }

    @Test("Whom a live hand-over may have suspended runs on before its target is asked for anything")
    func suspendedGuestFirst() throws {
        let cut = Failure(.failed, "the link was cut in the window")
        for storage in MigrationPlan.Storage.allCases {
            let plan = MigrationPlan(method: .live, storage: storage, settlement: .late, comparesCopies: false)
            for step in [Step.clearTarget, .recallOnSource, .moveLive, .quietSource, .decide] {
                for event in [MigrationMachine.Event.failed(cut), .abortRequested] {
                    var machine = MigrationMachine(plan: plan)
                    while machine.state != .forward(step) { _ = machine.handle(.done) }
                    _ = machine.handle(event)
                    guard case .rollingBack(let left, _) = machine.state else {
                        Issue.record("after \(step): \(machine.state)")
                        continue
                    }
                    let asked = try #require(left.firstIndex { $0.side == .target })
                    #expect(left[..<asked].contains(.continueOnSource), "after \(step): \(left)")
                    #expect(Set(left) == Set(plan.rollback(from: step)))
                }
            }
        }
    }

    @Test("A guest that runs on the target without a decision stops everything: gone back, two of it would run")
    func runsUndecided() {
        let news = Failure(.runsUndecided, "web1 was let run on nodeb", host: "nodeb")
        for storage in MigrationPlan.Storage.allCases {
            var machine = MigrationMachine(
                plan: MigrationPlan(method: .live, storage: storage, settlement: .late, comparesCopies: false))
            while machine.state != .forward(.clearTarget) { _ = machine.handle(.done) }
            let stop = MigrationMachine.Suspension(
                resumesAt: .forward(.clearTarget), reason: news, needsRecovery: true)
            #expect(machine.handle(.failed(news)) == .stop(stop))
            #expect(machine.handle(.resumed) == .perform(.clearTarget))
        }
        for plan in ExhaustiveSimulationTests.plans {
            var machine = MigrationMachine(plan: plan)
            while machine.state != .forward(.decide) { _ = machine.handle(.done) }
            var action = machine.handle(.abortRequested)
            while action != .perform(.discardOnTarget) { action = machine.handle(.done) }
            guard case .stop(let stop) = machine.handle(.failed(news)) else {
                Issue.record("\(plan) goes on: \(machine.state)")
                continue
            }
            #expect(stop.needsRecovery && stop.reason == news)
            #expect(machine.handle(.resumed) == .perform(.discardOnTarget))
        }
    }

    @Test("By switches the guest runs again before its replica is taken down, which it does not need")
    func guestBeforeReplica() throws {
        for plan in ExhaustiveSimulationTests.plans where plan.storage == .replicas {
            for step in plan.steps where !plan.isCommitted(at: step) && step.phase != .prepare {
                let way = plan.rollback(from: step)
                let runs = try #require(way.firstIndex(of: .continueOnSource))
                let isGone = try #require(way.firstIndex(of: .takeDownSourceReplica))
                #expect((runs < isGone) == plan.usesSwitches, "\(plan.method), from \(step): \(way)")
                #expect(try isGone < #require(way.firstIndex(of: .cleanSourceAfterRollback)))
                guard plan.usesSwitches else { continue }
                #expect(try #require(way.firstIndex(of: .leadSourceToVolume)) < runs)
            }
        }
    }

    @Test("A settlement by switches that fails leaves the guest where it runs, and is gone on with")
    func failedSettlement() {
        let plan = MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false)
        var machine = MigrationMachine(plan: plan)
        while machine.state != .forward(.leadTargetToVolume) { _ = machine.handle(.done) }
        guard case .stop(let stop) = machine.handle(.failed(Failure(.busy, "it is open twice"))) else {
            Issue.record("it goes on")
            return
        }
        #expect(stop.resumesAt == .forward(.leadTargetToVolume) && !stop.needsRecovery)
        #expect(machine.handle(.resumed) == .perform(.leadTargetToVolume))
    }
}

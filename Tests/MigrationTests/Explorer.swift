import HostModel

@testable import Migration

/// Where a fault strikes a step.
enum Fault: CaseIterable {
    case none
    /// The coordinator dies before the step took effect, or after it and before its record.
    case crashBefore, crashAfter
    /// The step reports a failure, with or without having taken effect.
    case failsBefore, failsAfter
    /// The answer is lost, with or without the effect.
    case unknownBefore, unknownAfter
    /// A live hand-over only: the target has the guest, paused, and the source goes on with it.
    case breaksOff
    /// The same: the hosts lose each other when the guest is suspended, until the next command is typed.
    case linkCut
}

/// Visits every state that a migration can reach with up to `faults` faults, and the operator's choice of resuming or
/// aborting at every stop. In each of them the target may also be lost for good, which the operator may notice at once or
/// after any further fault. States are visited once: the world is finite, so the search is complete.
struct Explorer {
    struct Node: Hashable {
        var machine: MigrationMachine
        var world: SimulatedWorld
        var faultsLeft: Int

        mutating func handle(_ event: MigrationMachine.Event) -> MigrationMachine.Action {
            let action = machine.handle(event)
            if machine.isCommitted { world.wasDecided = true }
            return action
        }
    }

    let plan: MigrationPlan
    var seen: Set<Node> = []
    var complaints: [String] = []
    /// A step that is reported done without being done: shows that the search notices what the step is for.
    var sabotaged: Step?
    /// The target may be lost for good.
    var losesTarget = false
    /// Faults placed at distinct states.
    var faultsPlaced = 0
    var outcomes: Set<String> = []
    var trail: [String] = []

    mutating func explore(faults: Int) {
        visit(Node(machine: MigrationMachine(plan: plan), world: .beginning(plan), faultsLeft: faults))
    }

    private mutating func visit(_ node: Node) {
        guard complaints.count < 5, seen.insert(node).inserted else { return }
        check(node)
        if node.faultsLeft == 0 { checkItEnds(node) }
        if losesTarget { loseTarget(node) }
        switch node.machine.action {
        case .perform(let step):
            for fault in node.faultsLeft > 0 ? Fault.allCases : [.none] { take(step, fault, from: node) }
        case .stop: operatorDecides(node)
        case .finish(let outcome): checkEnd(node, outcome)
        case .refuse(let failure): complain("refused while running: \(failure)", node)
        }
    }

    private mutating func take(_ step: Step, _ fault: Fault, from node: Node) {
        if fault == .breaksOff, step != .moveLive { return }
        if fault == .linkCut, step != .quietSource || plan.method != .live { return }
        trail.append("\(step)\(fault == .none ? "" : " [\(fault)]")")
        defer { trail.removeLast() }
        var next = node
        if fault != .none {
            next.faultsLeft -= 1
            faultsPlaced += 1
        }
        let failure = Failure(.failed, "simulated")
        if fault == .linkCut { next.world.cutLink() }
        let isDeaf = next.world.isDeaf(to: step)
        // Nothing can be known of a step on a host that does not answer, whatever strikes it.
        if isDeaf, fault != .none, fault != .crashBefore { return }
        var event = MigrationMachine.Event.done
        if fault == .breaksOff {
            next.world.breakOff()
            event = .failed(failure)
        } else if fault == .crashBefore || fault == .failsBefore || fault == .unknownBefore {
            event = .failed(failure)
        } else {
            do {
                if step != sabotaged { try next.world.perform(step, plan: plan) }
                if fault == .failsAfter { event = .failed(failure) }
            } catch {
                event = .failed(failure)
            }
        }
        if isDeaf || fault == .unknownBefore || fault == .unknownAfter { event = .unknown(failure) }
        next.world.tick()
        if fault == .crashBefore || fault == .crashAfter {
            next.world.coordinatorDies()
            operatorDecides(next)
        } else {
            _ = next.handle(event)
            visit(next)
        }
    }

    /// The target is lost here: the operator says so at once, or lets the run go on first.
    private mutating func loseTarget(_ node: Node) {
        var next = node
        if !next.world.isTargetDead {
            trail.append("target lost")
            next.world.targetDies()
            visit(next)
            trail.removeLast()
            return
        }
        if case .finish = node.machine.action { return }
        next.world.coordinatorDies()
        trail.append("resolve")
        if case .refuse(let failure) = next.handle(.peerFenced(Self.fenced)) { complain("refused: \(failure)", node) }
        visit(next)
        trail.removeLast()
    }

    private static let fenced = Failure(.unreachable, "the target was declared dead")

    private mutating func operatorDecides(_ node: Node) {
        for event in [MigrationMachine.Event.resumed, .abortRequested] {
            var next = node
            // A stop without a fault left and without progress would repeat for ever: resuming must get on.
            next.world.coordinatorDies()
            next.world.isLinkCut = false
            if case .refuse = next.handle(event) {
                if !node.machine.isCommitted { complain("\(event) refused before the decision", node) }
                continue
            }
            trail.append("\(event)")
            if next.faultsLeft == 0 { checkOneCommandIsEnough(next) }
            visit(next)
            trail.removeLast()
        }
    }

    /// A command that meets no further fault leads to an end, not to another stop.
    private mutating func checkOneCommandIsEnough(_ node: Node) {
        guard sabotaged == nil, !node.world.isTargetDead else { return }
        var (machine, world) = (node.machine, node.world)
        while case .perform(let step) = machine.action {
            do {
                try world.perform(step, plan: plan)
                _ = machine.handle(.done)
            } catch { _ = machine.handle(.failed(Failure(.failed, "simulated"))) }
            world.tick()
        }
        if case .stop = machine.action { complain("one command is not enough", node) }
    }

    private mutating func check(_ node: Node) {
        if let violation = node.world.violation { complain(violation, node) }
        // What the target had goes with it; what the source still has must not.
        let mayBeLost = node.world.isTargetDead && node.world.wasDecided
        if !node.world.guestSurvives, !mayBeLost { complain("the guest is lost", node) }
        if node.machine.isCommitted || node.world.wasDecided, ![.none, .away].contains(node.world.source.domain) {
            complain("the source still holds the domain after the decision", node)
        }
        if node.world.offersOldMemory { complain("memory is offered for a disk that may be newer", node) }
        checkWait(node)
    }

    /// What must not be while the target is waited for, or the operator.
    private mutating func checkWait(_ node: Node) {
        switch node.machine.state {
        case .rollingBack(let left, _):
            let hasWay = left.contains { $0.side == .source }
            if hasWay, left.first?.side == .target, node.world.source.domain == .away {
                complain("a suspended guest waits for the target", node)
            }
        case .suspended(let stop): checkWait(at: stop.resumesAt, node)
        case .forward, .rescuing, .reclaiming, .finished: return
        }
    }

    private mutating func checkWait(at point: MigrationMachine.ResumePoint, _ node: Node) {
        switch point {
        case .forward(let step):
            if step.phase == .synchronise, node.world.isWindowOpen, node.world.isConnected {
                complain("two Primaries stay allowed while the migration waits", node)
            }
        case .rollback(let left, _):
            if plan.usesSwitches, left.first == .takeDownSourceReplica, node.world.source.domain != .running {
                complain("a guest that stands still waits until its replica is taken down", node)
            }
        case .reclaim: return
        }
    }

    /// Without further faults, resuming again and again must lead to an end: nothing is stuck.
    private mutating func checkItEnds(_ node: Node) {
        guard sabotaged == nil else { return }
        var (machine, world) = (node.machine, node.world)
        // Without its target nothing but the operator's word leads to an end.
        let goesOn = world.isTargetDead ? MigrationMachine.Event.peerFenced(Self.fenced) : .resumed
        for _ in 0..<120 {
            switch machine.action {
            case .finish: return
            case .stop:
                world.isLinkCut = false
                _ = machine.handle(goesOn)
            case .refuse: return complain("refused while running", node)
            case .perform(let step):
                do {
                    try world.perform(step, plan: plan)
                    _ = machine.handle(.done)
                } catch {
                    let failure = Failure(.failed, "simulated")
                    let isDeaf = world.isDeaf(to: step)
                    _ = machine.handle(isDeaf ? .unknown(failure) : .failed(failure))
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
        case .lost: return checkLoss(node)
        }
        if node.world.isTargetDead, outcome == .migrated { return checkNothingIsLeft(of: node.world.source, node) }
        if owner.domain != .running { complain("ended without a running domain", node) }
        if owner.domainUses != owner.link || !owner.hasPlainDisk(plan) {
            complain("ended without a plain volume", node)
        }
        if !owner.isCurrent { complain("ended on an old copy", node) }
        let hasLink = other.link != .none && !node.world.isShared
        if other.domain != .none || hasLink || other.table != .none {
            complain("something of the domain is left over", node)
        }
        for host in [owner, other] where host.replica != .down || host.image == .whole || host.restorePending {
            complain("a replica or an image is left over", node)
        }
        if node.world.target.isReserved { complain("the target's journal is still open", node) }
    }

    /// The guest is gone with the target, and the source has its disk: plain, linked, and no memory beside it.
    private mutating func checkLoss(_ node: Node) {
        outcomes.insert("lost")
        let source = node.world.source
        if !node.world.isTargetDead || !node.world.wasDecided { complain("given up without need", node) }
        if !source.hasPlainDisk(plan) || !source.hasVolume { complain("ended without the disk", node) }
        if source.domain != .none { complain("a guest was started", node) }
        if source.replica != .down || source.image != .none { complain("a replica or an image is left over", node) }
    }

    private mutating func checkNothingIsLeft(of host: SimulatedHost, _ node: Node) {
        if host.domain != .none || host.link != .none && !node.world.isShared || host.table != .none
            || host.replica != .down
            || host.image != .none
        {
            complain("something of the domain is left over", node)
        }
    }

    private mutating func complain(_ text: String, _ node: Node) {
        complaints.append(
            "\(text)\n  after \(trail.joined(separator: " → "))\n  machine \(node.machine.state)\n  \(node.world)")
    }
}

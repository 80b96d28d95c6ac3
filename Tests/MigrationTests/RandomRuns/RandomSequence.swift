import SeedKit

@testable import Migration

/// One thing that an operator does, and what strikes it.
struct RandomAction: Hashable, Sendable, CustomStringConvertible {
    var command: ModelCommand
    var faults: [PlannedFault]
    /// Hosts are switched on and the link is mended before.
    var mendsFirst: Bool

    var description: String {
        let typed =
            switch command {
            case .migrate(let plan, let removesSource):
                "migrate by \(plan.method.rawValue), settling \(plan.settlement.rawValue)"
                    + (plan.comparesCopies ? ", comparing" : "") + (plan.seeds ? ", seeding" : "")
                    + (removesSource ? ", removing the source's copy" : "")
            case .resume, .abort, .startGuest, .removeOldCopy: "\(command)"
            case .resolve(let host): "resolve on \(host)"
            case .powerCut(let host): "power cut on \(host)"
            }
        let struck = faults.map { "\($0.kind) at effect \($0.at)" }.joined(separator: ", ")
        return (mendsFirst ? "" : "without mending, ") + typed + (struck.isEmpty ? "" : " ⚡ \(struck)")
    }
}

/// What is done to a guest and its two hosts, one thing after the other.
struct RandomSequence: Hashable, Sendable, CustomStringConvertible {
    var volumes: Int
    var actions: [RandomAction]
    /// The guest's disks have switches, and all migrations go by them.
    var hasSwitches: Bool

    /// - Parameter model: all migrations are by its method, and send volumes past DRBD as it does; nil for any.
    init(seed: UInt64, like model: MigrationPlan? = nil) {
        var numbers = SeededNumbers(seed: seed)
        volumes = Int.random(in: 1...2, using: &numbers)
        let isSwitched = model?.usesSwitches ?? Bool.random(using: &numbers)
        hasSwitches = isSwitched
        actions = (0..<Int.random(in: 2...7, using: &numbers)).map { _ in Self.action(isSwitched, model, &numbers) }
    }

    /// A migration with one fault, and one command after it.
    private init(_ plan: MigrationPlan, _ faults: [PlannedFault], then command: ModelCommand) {
        volumes = 2
        hasSwitches = plan.usesSwitches
        actions = [
            RandomAction(command: .migrate(plan, removesSource: false), faults: faults, mendsFirst: true),
            RandomAction(command: command, faults: [], mendsFirst: true),
        ]
    }

    /// More things than a migration of two volumes changes, those of the hand-over first.
    private static let places = Array(50...120) + Array(1..<50)

    /// Each fault at each thing that a migration changes, and each command after it.
    static func withOneFault(_ plan: MigrationPlan) -> some Sequence<RandomSequence> {
        places.lazy.flatMap { at in
            ModelFault.allCases.flatMap { kind in
                [ModelCommand.resume, .abort, .resolve(on: .a), .resolve(on: .b)].map {
                    RandomSequence(plan, [PlannedFault(at: at, kind: kind)], then: $0)
                }
            }
        }
    }

    /// A run that is killed in what follows a failure, recorded or not.
    static func killedAfterFailure(_ plan: MigrationPlan) -> some Sequence<RandomSequence> {
        [ModelFault.failsAfter, .journalFull].lazy.flatMap { kind in
            places.lazy.flatMap { at in
                (at + 1...at + 6).map {
                    let faults = [PlannedFault(at: at, kind: kind), PlannedFault(at: $0, kind: .killedAfter)]
                    return RandomSequence(plan, faults, then: .resume)
                }
            }
        }
    }

    /// A source that loses power, is declared dead, and comes back without a way to the target, which has started the guest.
    static func comesBackDeaf(_ plan: MigrationPlan) -> some Sequence<RandomSequence> {
        places.lazy.flatMap { at in
            [ModelCommand.resume, .abort].map { command in
                var sequence = RandomSequence(plan, [PlannedFault(at: at, kind: .sourceOff)], then: .resolve(on: .b))
                let deaf = [PlannedFault(at: 1, kind: .linkCut)]
                sequence.actions += [
                    RandomAction(command: .startGuest, faults: [], mendsFirst: false),
                    RandomAction(command: command, faults: deaf, mendsFirst: true),
                ]
                return sequence
            }
        }
    }

    private static func action(
        _ hasSwitches: Bool, _ model: MigrationPlan?, _ numbers: inout SeededNumbers
    ) -> RandomAction {
        let command: ModelCommand
        switch Int.random(in: 0..<24, using: &numbers) {
        case 0..<9:
            let plan = plan(hasSwitches, model, &numbers)
            command = .migrate(plan, removesSource: Int.random(in: 0..<4, using: &numbers) == 0)
        case 9..<14: command = .resume
        case 14..<17: command = .abort
        case 17..<19: command = .resolve(on: HostID.allCases.randomElement(using: &numbers) ?? .a)
        case 19..<21: command = .startGuest
        case 21: command = .removeOldCopy
        default: command = .powerCut(HostID.allCases.randomElement(using: &numbers) ?? .a)
        }
        let count = [0, 1, 1, 1, 2, 3].randomElement(using: &numbers) ?? 1
        let furthest = [15, 40, 110].randomElement(using: &numbers) ?? 40
        let mendsFirst = Int.random(in: 0..<4, using: &numbers) > 0
        return RandomAction(command: command, faults: faults(count, furthest, &numbers), mendsFirst: mendsFirst)
    }

    private static func plan(
        _ hasSwitches: Bool, _ model: MigrationPlan?, _ numbers: inout SeededNumbers
    ) -> MigrationPlan {
        let isEarly = Int.random(in: 0..<3, using: &numbers) == 0
        let compares = Bool.random(using: &numbers)
        let methods: [MigrationPlan.Method] = hasSwitches ? [.oneFreeze, .live] : [.threeFreeze, .threeFreeze, .cold]
        let method = model?.method ?? methods.randomElement(using: &numbers) ?? .threeFreeze
        let seeds = model?.seeds ?? (Int.random(in: 0..<4, using: &numbers) == 0)
        return MigrationPlan(
            method: method, settlement: isEarly && method == .threeFreeze ? .early : .late,
            comparesCopies: compares && method != .live, seeds: seeds)
    }

    /// Faults like company: what follows the first one is struck again.
    private static func faults(_ count: Int, _ furthest: Int, _ numbers: inout SeededNumbers) -> [PlannedFault] {
        var faults: [PlannedFault] = []
        for _ in 0..<count {
            let near = faults.last.map { $0.at + 1...$0.at + 6 }
            let places = Bool.random(using: &numbers) ? near ?? 1...furthest : 1...furthest
            let kind = ModelFault.allCases.randomElement(using: &numbers) ?? .failsBefore
            faults.append(PlannedFault(at: Int.random(in: places, using: &numbers), kind: kind))
        }
        return faults.sorted { $0.at < $1.at }
    }

    /// What a run came to.
    struct Result: Sendable {
        var violations: [String]
        /// What the commands came to, for the statistics.
        var ends: [String: Int] = [:]
        var trail: [String] = []
    }

    /// Runs all of it, judging after each change and each command; ends with the first violation.
    func run(sabotage: Sabotage? = nil, telling: Bool = false) -> Result {
        var world = ModelWorld(volumes: volumes, hasSwitches: hasSwitches)
        world.sabotage = sabotage
        if telling { world.trail = [] }
        var result = Result(violations: [])
        for action in actions {
            world.note("▶ \(action)")
            if action.mendsFirst { world.mend() }
            let end = world.type(action.command, action.faults)
            if let end { result.ends[end.title, default: 0] += 1 }
            world.wait()
            world.judgeFreeze(after: action, end)
            if world.violations.isEmpty { world.violations = world.judgedByOneCommand() }
            if !world.violations.isEmpty { break }
        }
        result.violations = world.violations
        result.trail = world.trail ?? []
        return result
    }

    /// The least of it that still goes wrong in the same way.
    func shrunk(sabotage: Sabotage? = nil) -> RandomSequence {
        let first = run(sabotage: sabotage).violations.first?.prefix(20)
        func goesWrong(_ sequence: RandomSequence) -> Bool {
            sequence.run(sabotage: sabotage).violations.first?.prefix(20) == first
        }
        var least = self
        while let simpler = least.simpler.first(where: goesWrong) { least = simpler }
        return least
    }

    /// Each is a little less than this.
    private var simpler: [RandomSequence] {
        var all: [RandomSequence] = []
        func add(_ change: (inout RandomSequence) -> Void) {
            var one = self
            change(&one)
            if one != self { all.append(one) }
        }
        for index in actions.indices { add { $0.actions.remove(at: index) } }
        for index in actions.indices {
            for fault in actions[index].faults.indices { add { $0.actions[index].faults.remove(at: fault) } }
            add { $0.actions[index].mendsFirst = true }
            if case .migrate(let plan, _) = actions[index].command {
                var plain = plan
                plain.comparesCopies = false
                add { $0.actions[index].command = .migrate(plain, removesSource: false) }
                plain = MigrationPlan(
                    method: plan.method, settlement: plan.settlement, comparesCopies: plan.comparesCopies)
                add { $0.actions[index].command = .migrate(plain, removesSource: false) }
            }
        }
        add { $0.volumes = 1 }
        return all
    }

    var description: String {
        "a guest with \(volumes) volume\(volumes == 1 ? "" : "s")\(hasSwitches ? " and switches" : "")"
            + actions.enumerated().map { "\n  \($0.offset + 1). \($0.element)" }.joined()
    }
}

extension ModelEnd {
    var title: String {
        switch self {
        case .finished(.migrated): "migrated"
        case .finished(.rolledBack): "rolled back"
        case .finished(.lost): "lost"
        case .stopped: "stopped"
        case .died: "died"
        case .refused: "refused"
        }
    }
}

import SeedKit

/// Cases that one guest meets one after the other.
package struct FaultChain: Sendable, CustomStringConvertible {
    /// On the tracks in their order, and on each in the order of its places.
    package let cases: [FaultCase]

    /// - Precondition: there are cases, and their tracks have the same kind of guest.
    init(_ cases: [FaultCase]) { self.cases = cases }

    var guest: FaultTrack.Guest { cases[0].track.guest }

    package var description: String { cases.map(\.description).joined(separator: " ") }
}

/// Which faults strike where.
package enum FaultPlan {
    /// Every fault at every place, in the order of the tracks.
    package static var everything: [FaultCase] {
        FaultTrack.allCases.flatMap { track in
            Fault.allCases.flatMap { fault in
                track.ownSteps.flatMap { step in
                    // Of the other faults one moment is enough: what they do lasts through the step.
                    let moments: [FaultPlace.Moment] =
                        [.coordinatorKilled, .effectKilled, .sourceOff, .targetOff].contains(fault)
                        ? [.before, .after] : [.before]
                    let effects: [Int?] = fault == .effectKilled ? [1, 2, 3] : [nil]
                    return effects.flatMap { effect in
                        moments.map { FaultCase(fault, track, FaultPlace(step, effect: effect, $0)) }
                    }.filter(\.isPossible)
                }
            }
        }
    }

    /// So many cases, chosen by the seed.
    package static func chosen(_ count: Int, seed: UInt64) -> [FaultCase] {
        var numbers = SeededNumbers(seed: seed)
        return Array(everything.shuffled(using: &numbers).prefix(count))
    }

    /// How many faults of a subset lead a migration back that has begun to copy: each takes the time of another migration.
    private static let detours = 2

    /// At least one case of every fault and of every step, with as few costly ones as that allows.
    package static func subset(seed: UInt64) -> [FaultCase] {
        var numbers = SeededNumbers(seed: seed)
        var places = FaultTrack.allCases.flatMap { track in track.stepsInSubset.map { (track, $0) } }.shuffled(
            using: &numbers)
        var cases: [FaultCase] = []
        /// The fault at one of the places that are left.
        func place(_ fault: Fault, mayLeadBack: Bool = false) {
            let moment = FaultPlace.Moment.allCases.randomElement(using: &numbers) ?? .before
            // The first effect is there wherever there is one.
            let effect = fault == .effectKilled ? 1 : nil
            func isPossible(_ track: FaultTrack, _ step: String) -> Bool {
                FaultCase(fault, track, FaultPlace(step, effect: effect, moment)).isPossible
                    && (track != .rescue || !fault.isCostly)
            }
            let own = places.firstIndex { track, step in
                isPossible(track, step) && (mayLeadBack || !fault.leadsBack || !track.copies(at: step))
            }
            guard let index = own ?? places.firstIndex(where: isPossible) else { return }
            let (track, step) = places.remove(at: index)
            cases.append(FaultCase(fault, track, FaultPlace(step, effect: effect, moment)))
        }
        // Past it a migration comes by the steps of a third freeze that fails.
        let third = FaultCase(.xlFails, .late, FaultPlace("restoreOnVolume", .before))
        cases.append(third)
        places.removeAll { $0 == (third.track, third.place.step) }
        // Those with the fewest places come first.
        place(.bothOff)
        place(.effectKilled)
        let faults = Fault.allCases.filter { ![.bothOff, .effectKilled, .xlFails].contains($0) }.shuffled(
            using: &numbers)
        let leadBack = Set(faults.filter(\.leadsBack).prefix(detours))
        for fault in faults { place(fault, mayLeadBack: leadBack.contains(fault)) }
        // What is left: anything where little follows, and where much would follow what does little.
        let cheap = Fault.allCases.filter { !$0.isCostly && $0 != .effectKilled }
        while let (track, step) = places.first {
            let few = cheap.filter { !track.copies(at: step) || !$0.leadsBack }
            place(few.randomElement(using: &numbers) ?? .coordinatorKilled)
        }
        return cases
    }

    /// Groups cases into chains: on one track, in the order of its places, not two at one place, and at most `longest` each, so
    /// that a problem which only shows at a chain's end is not far from what has caused it.
    package static func chains(_ cases: [FaultCase], longest: Int = 12) -> [FaultChain] {
        var chains: [FaultChain] = []
        for track in FaultTrack.allCases {
            var left = cases.filter { $0.track == track }.sorted { position($0) < position($1) }
            while !left.isEmpty {
                var chain: [FaultCase] = []
                for next in left where chain.count < longest {
                    if let last = chain.last, position(last) >= position(next) { continue }
                    chain.append(next)
                }
                left.removeAll { chain.contains($0) }
                chains.append(FaultChain(chain))
            }
        }
        return chains
    }

    /// As few guests and migrations as the cases of a subset allow: a chain for each kind of guest. What leads a migration back
    /// on one track takes it past the cases of the ways back.
    package static func gathered(_ cases: [FaultCase]) -> [FaultChain] {
        var chains: [[FaultCase]] = []
        for track in FaultTrack.allCases {
            let own = cases.filter { $0.track == track }.sorted { position($0) < position($1) }
            guard !own.isEmpty else { continue }
            if let index = chains.firstIndex(where: { $0[0].track.guest == track.guest }) {
                chains[index] += own
            } else {
                chains.append(own)
            }
        }
        return chains.map(FaultChain.init)
    }

    /// Where on its track a case is met.
    static func position(_ one: FaultCase) -> Int {
        let step = one.track.steps.firstIndex(of: one.place.step) ?? 0
        // What a step changes lies between its two ends.
        let within = one.place.effect.map { 2 * $0 - 1 } ?? (one.place.moment == .after ? 98 : 0)
        return 100 * step + within + (one.place.moment == .after ? 1 : 0)
    }
}

import SeedKit

/// Cases that one guest meets one after the other.
package struct FaultChain: Sendable {
    package let track: FaultTrack
    package let cases: [FaultCase]

    init(_ track: FaultTrack, _ cases: [FaultCase]) {
        self.track = track
        self.cases = cases
    }
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

    /// At least one case of every fault and of every step, with as few costly ones as that allows.
    package static func subset(seed: UInt64) -> [FaultCase] {
        var numbers = SeededNumbers(seed: seed)
        var places = FaultTrack.allCases.flatMap { track in track.ownSteps.map { (track, $0) } }.shuffled(
            using: &numbers)
        var cases: [FaultCase] = []
        /// The fault at one of the places that are left.
        func place(_ fault: Fault) {
            let moment = FaultPlace.Moment.allCases.randomElement(using: &numbers) ?? .before
            // The first effect is there wherever there is one.
            let effect = fault == .effectKilled ? 1 : nil
            let possible = places.firstIndex { track, step in
                FaultCase(fault, track, FaultPlace(step, effect: effect, moment)).isPossible
                    && (track != .rescue || !fault.isCostly)
            }
            guard let index = possible else { return }
            let (track, step) = places.remove(at: index)
            cases.append(FaultCase(fault, track, FaultPlace(step, effect: effect, moment)))
        }
        // Those with the fewest places come first.
        place(.bothOff)
        place(.effectKilled)
        for fault in Fault.allCases.shuffled(using: &numbers) where ![.bothOff, .effectKilled].contains(fault) {
            place(fault)
        }
        let cheap = Fault.allCases.filter { !$0.isCostly && $0 != .effectKilled }
        while !places.isEmpty { place(cheap.randomElement(using: &numbers) ?? .coordinatorKilled) }
        return cases
    }

    /// Groups cases into chains: on one track, in the order of its places, not two at one place, and at most `longest` each.
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
                chains.append(FaultChain(track, chain))
            }
        }
        return chains
    }

    /// Where on its track a case is met.
    static func position(_ one: FaultCase) -> Int {
        let step = one.track.steps.firstIndex(of: one.place.step) ?? 0
        // What a step changes lies between its two ends.
        let within = one.place.effect.map { 2 * $0 - 1 } ?? (one.place.moment == .after ? 98 : 0)
        return 100 * step + within + (one.place.moment == .after ? 1 : 0)
    }
}

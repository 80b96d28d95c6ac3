/// A place in a migration: just before or just after one of its steps, by the names in docs/migration.md, or one of the
/// things that the step changes.
package struct FaultPlace: Sendable, Hashable, CustomStringConvertible {
    package enum Moment: String, Sendable, CaseIterable { case before, after }

    package let step: String
    /// Which of the things that the step changes, counted from 1; nil for the step itself.
    package let effect: Int?
    package let moment: Moment

    package init(_ step: String, effect: Int? = nil, _ moment: Moment) {
        self.step = step
        self.effect = effect
        self.moment = moment
    }

    /// As the product's own variables take it.
    package var description: String { "\(step)\(effect.map { ".\($0)" } ?? ""):\(moment.rawValue)" }
}

/// A way through a migration on which faults are met.
package enum FaultTrack: String, Sendable, CaseIterable {
    /// There, with `--verify`, through all three freezes.
    case late
    /// There, with `--settle early`.
    case early
    /// A migration whose run has died after the synchronisation is aborted.
    case back
    /// A third freeze that fails: the guest is put back, then the freeze is repeated.
    case rescue

    /// The steps that are met, in their order.
    package var steps: [String] {
        let begin = [
            "reserveTarget", "makeTargetVolumes", "makeTargetReplica", "makeSourceReplica", "saveForReplica",
            "promoteSource", "linkSourceToReplica", "restoreOnReplica", "continueOnReplica", "connectTarget",
            "connectSource", "synchronise", "verifyCopies",
        ]
        let decision = ["finishRestore", "decide", "acknowledgeDecision", "startOnTarget"]
        let settle = [
            "saveForVolume", "takeDownTargetReplica", "linkTargetToVolume", "restoreOnVolume", "continueOnVolume",
        ]
        let end = ["cleanSource", "cleanTarget", "closeTarget"]
        switch self {
        case .late:
            return begin + ["linkTargetToReplica", "transferImage", "demoteSource", "compareCopies", "promoteTarget"]
                + decision + settle + end
        case .early:
            return begin + ["linkTargetToVolumeEarly", "transferImage", "demoteSource", "releaseTargetVolume"]
                + decision + end
        case .back:
            return [
                "discardOnTarget", "saveForRollback", "takeDownSourceReplica", "linkSourceToVolume", "restoreOnSource",
                "continueOnSource", "cleanSourceAfterRollback", "cleanTargetAfterRollback", "closeTargetAfterRollback",
            ]
        case .rescue: return ["restoreAsLinked", "continueAsLinked"]
        }
    }

    /// The steps that no other track has.
    package var ownSteps: [String] {
        switch self {
        case .late, .back, .rescue: steps
        case .early: ["linkTargetToVolumeEarly", "releaseTargetVolume"]
        }
    }

    /// What a migration on this track is begun with.
    var options: String {
        switch self {
        case .late: "--verify"
        case .early: "--settle early"
        case .back, .rescue: ""
        }
    }

    /// Whether the guest belongs to the target once this step is to be taken.
    package func isDecided(before step: String) -> Bool {
        switch self {
        case .late, .early:
            guard let index = steps.firstIndex(of: step), let decision = steps.firstIndex(of: "decide") else {
                return false
            }
            return index > decision
        case .back: return false
        case .rescue: return true
        }
    }
}

/// One fault at one place.
package struct FaultCase: Sendable, Hashable, CustomStringConvertible {
    package let fault: Fault
    package let track: FaultTrack
    package let place: FaultPlace

    package init(_ fault: Fault, _ track: FaultTrack, _ place: FaultPlace) {
        self.fault = fault
        self.track = track
        self.place = place
    }

    /// From what `description` gives; nil where that is no case.
    package init?(_ text: String) {
        let words = text.split(whereSeparator: { "@/:".contains($0) }).map(String.init)
        guard words.count == 4, let fault = Fault(rawValue: words[0]), let track = FaultTrack(rawValue: words[1]),
            let moment = FaultPlace.Moment(rawValue: words[3])
        else { return nil }
        let name = words[2].split(separator: ".").map(String.init)
        let effect = name.count == 2 ? Int(name[1]) : nil
        guard let step = name.first, track.steps.contains(step), (effect != nil) == (fault == .effectKilled) else {
            return nil
        }
        self.init(fault, track, FaultPlace(step, effect: effect, moment))
    }

    /// As `make fault-matrix ONLY=` takes it.
    package var description: String { "\(fault.rawValue)@\(track.rawValue)/\(place)" }

    /// The steps that change nothing but journals.
    private static let withoutEffects: Set = [
        "reserveTarget", "synchronise", "verifyCopies", "compareCopies", "finishRestore", "decide",
        "acknowledgeDecision",
        "closeTarget", "closeTargetAfterRollback",
    ]

    /// Whether the fault has a meaning there.
    var isPossible: Bool {
        switch fault {
        // The defect of DRBD 8.4 that this is about needs a synchronisation that is under way.
        case .bothOff: place.step == "synchronise" || place.step == "verifyCopies"
        // An agent that is not there yet cannot be killed.
        case .agentKilled: place != FaultPlace("reserveTarget", .before)
        case .effectKilled: place.effect != nil && !Self.withoutEffects.contains(place.step)
        default: true
        }
    }
}

/// By its name.
extension FaultCase: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let found = FaultCase(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no case")
        }
        self = found
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

import LabKit

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
    /// There, by the switches of the guest's disks; one freeze.
    case switched
    /// A hand-over of that kind whose run has died with the guest saved is aborted.
    case switchedBack
    /// There, live; the disks are seeded past DRBD.
    case live
    /// A live hand-over whose run has died with the guest suspended is aborted.
    case liveBack
    /// There, shut down meanwhile.
    case cold
    /// A cold migration whose run has died with the guest shut down is aborted.
    case coldBack

    /// The steps that are met, in their order.
    package var steps: [String] {
        let prepare = ["reserveTarget", "makeTargetVolumes", "makeTargetReplica", "makeSourceReplica"]
        let synchronise = ["connectTarget", "connectSource", "synchronise", "verifyCopies"]
        let begin =
            prepare + [
                "saveForReplica", "promoteSource", "linkSourceToReplica", "restoreOnReplica", "continueOnReplica",
            ] + synchronise
        let decision = ["decide", "acknowledgeDecision", "startOnTarget"]
        let settle = [
            "saveForVolume", "takeDownTargetReplica", "linkTargetToVolume", "restoreOnVolume", "continueOnVolume",
        ]
        let settleBySwitch = ["leadTargetToVolume", "takeDownTargetReplica"]
        let end = ["cleanSource", "cleanTarget", "closeTarget"]
        let cleanBack = ["cleanSourceAfterRollback", "cleanTargetAfterRollback", "closeTargetAfterRollback"]
        switch self {
        case .late:
            return begin + ["linkTargetToReplica", "transferImage", "demoteSource", "compareCopies", "promoteTarget"]
                + ["finishRestore"] + decision + settle + end
        case .early:
            return begin + ["linkTargetToVolumeEarly", "transferImage", "demoteSource", "releaseTargetVolume"]
                + ["finishRestore"] + decision + end
        case .back:
            return [
                "discardOnTarget", "saveForRollback", "takeDownSourceReplica", "linkSourceToVolume", "restoreOnSource",
                "continueOnSource",
            ] + cleanBack
        case .rescue: return ["restoreAsLinked", "continueAsLinked"]
        case .switched:
            return prepare + ["promoteSource", "leadSourceToReplica"] + synchronise
                + ["linkTargetToSwitch", "transferImage", "demoteSource", "promoteTarget", "finishRestore"]
                + decision + settleBySwitch + end
        case .switchedBack:
            return ["discardOnTarget", "leadSourceToVolume", "restoreOnSource", "continueOnSource"]
                + ["takeDownSourceReplica"] + cleanBack
        case .live:
            return prepare + ["promoteSource", "leadSourceToReplica", "seedCopies", "clearTarget", "recallOnSource"]
                + synchronise
                + ["linkTargetToSwitch", "openWindow", "promoteTarget", "moveLive", "quietSource"] + decision
                + ["demoteSource"] + settleBySwitch + end
        case .liveBack:
            // The guest is suspended: what needs the target comes after it.
            return ["leadSourceToVolume", "restoreOnSource", "continueOnSource", "takeDownSourceReplica"]
                + ["cleanSourceAfterRollback", "discardOnTarget", "cleanTargetAfterRollback"]
                + ["closeTargetAfterRollback"]
        case .cold:
            return prepare + ["shutDown", "promoteSource", "linkSourceToReplica"] + synchronise
                + ["demoteSource", "releaseTargetVolume", "linkTargetToVolumeEarly"] + decision + end
        case .coldBack:
            return ["discardOnTarget", "takeDownSourceReplica", "linkSourceToVolume", "restoreOnSource"]
                + ["continueOnSource"] + cleanBack
        }
    }

    /// The steps that are another thing here than on every track before: those that no other has, and those that find the guest,
    /// its disks or the other host in another state.
    package var ownSteps: [String] {
        let decision = ["decide", "acknowledgeDecision", "startOnTarget"]
        switch self {
        case .late, .back, .rescue, .switchedBack, .liveBack, .coldBack: return steps
        case .early: return ["linkTargetToVolumeEarly", "releaseTargetVolume"]
        case .switched:
            return [
                "promoteSource", "leadSourceToReplica", "linkTargetToSwitch", "transferImage", "demoteSource",
                "promoteTarget", "finishRestore", "leadTargetToVolume", "takeDownTargetReplica", "cleanSource",
            ]
        case .live:
            return ["seedCopies", "clearTarget", "recallOnSource", "openWindow", "promoteTarget", "moveLive"]
                + ["quietSource"] + decision + ["demoteSource", "leadTargetToVolume", "cleanSource"]
        case .cold:
            return [
                "shutDown", "promoteSource", "linkSourceToReplica", "synchronise", "demoteSource",
                "releaseTargetVolume", "linkTargetToVolumeEarly",
            ] + decision + ["cleanSource"]
        }
    }

    /// Three of them come by almost all steps.
    private static let byWealth: [FaultTrack] = [
        .late, .live, .cold, .back, .rescue, .liveBack, .early, .switched, .switchedBack, .coldBack,
    ]

    /// The steps that a subset meets on this track, so that it has each step once and few tracks.
    package var stepsInSubset: [String] {
        let before = Set(Self.byWealth.prefix { $0 != self }.flatMap(\.steps))
        return steps.filter { !before.contains($0) }
    }

    /// Whether a migration has begun to put replicas below the guest by then, and is not decided.
    func copies(at step: String) -> Bool {
        guard let index = steps.firstIndex(of: step), let begin = steps.firstIndex(of: "makeSourceReplica"),
            let decision = steps.firstIndex(of: "decide")
        else { return false }
        return index > begin && index <= decision
    }

    /// What a migration on this track is begun with.
    var options: String {
        switch self {
        case .late: "--verify"
        case .early: "--settle early"
        case .back, .rescue: "--method three-freeze"
        case .switched, .switchedBack: "--method one-freeze"
        case .live: "--method live --seed stream"
        case .liveBack: "--method live"
        case .cold, .coldBack: "--method cold"
        }
    }

    /// What kind of guest is met.
    struct Guest: Sendable, Equatable {
        let kind: LabGuest.Kind
        /// Whether its disks have switches.
        let hasSwitches: Bool
    }

    var guest: Guest {
        switch self {
        case .late, .early, .back, .rescue, .cold, .coldBack: Guest(kind: .pv, hasSwitches: false)
        // Of a PVH guest the memory ahead takes minutes under emulation: its address space has 4 GiB.
        case .switched, .switchedBack: Guest(kind: .pv, hasSwitches: true)
        case .live, .liveBack: Guest(kind: .pvh, hasSwitches: true)
        }
    }

    /// Whether the guest is saved before its disks become replicas.
    var savesForReplica: Bool {
        switch self {
        case .late, .early, .back, .rescue: true
        case .switched, .switchedBack, .live, .liveBack, .cold, .coldBack: false
        }
    }

    /// Whether Xen hands the guest over while it runs.
    var isLive: Bool { self == .live || self == .liveBack }

    /// Whether the guest is shut down on the way, and boots again.
    var shutsDown: Bool { self == .cold || self == .coldBack }

    /// Where the run of a migration that is to be taken back dies; nil where it is to arrive.
    var wayBackBegins: String? {
        switch self {
        case .back: "synchronise:after"
        case .switchedBack: "transferImage:after"
        case .liveBack: "moveLive:after"
        case .coldBack: "verifyCopies:after"
        case .late, .early, .rescue, .switched, .live, .cold: nil
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
        "acknowledgeDecision", "clearTarget", "recallOnSource", "closeTarget", "closeTargetAfterRollback",
    ]

    /// Whether the fault has a meaning there.
    var isPossible: Bool {
        switch fault {
        // The defect of DRBD 8.4 that this is about needs a synchronisation that is under way.
        case .bothOff: place.step == "synchronise" || place.step == "verifyCopies"
        // An agent that is not there yet cannot be killed.
        case .agentKilled: place != FaultPlace("reserveTarget", .before)
        case .effectKilled: hasEffect
        default: true
        }
    }

    /// Whether the place is one of something that its step changes, as far as that is known.
    private var hasEffect: Bool {
        guard place.effect != nil, !Self.withoutEffects.contains(place.step) else { return false }
        switch (track, place.step) {
        // Nothing is saved that could be restored.
        case (.coldBack, "restoreOnSource"): return false
        // `xl migrate` ends in a later step: only its beginning is a place.
        case (_, "moveLive"): return place == FaultPlace("moveLive", effect: 1, .before)
        default: return true
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

/// The freezes that a guest's user feels, by their number in the original procedure.
public enum Freeze: Int, Sendable, Codable, CaseIterable, Comparable {
    case substitution = 1
    case handOver = 2
    case settlement = 3

    public static func < (left: Freeze, right: Freeze) -> Bool { left.rawValue < right.rawValue }
}

extension MigrationPlan {
    /// The freeze that is open while `step` is performed, if any.
    public func freeze(during step: Step) -> Freeze? {
        // The guest is off all the time.
        if method == .cold { return (shutDown + decision).contains(step) ? .handOver : nil }
        return switch step {
        case .saveForReplica, .linkSourceToReplica, .restoreOnReplica, .continueOnReplica: .substitution
        case .promoteSource: method == .threeFreeze ? .substitution : nil
        case .demoteSource, .promoteTarget: method == .live ? nil : .handOver
        case .transferImage, .compareCopies, .releaseTargetVolume, .finishRestore,
            .moveLive, .quietSource, .decide, .acknowledgeDecision, .startOnTarget:
            .handOver
        case .saveForVolume, .linkTargetToVolume, .restoreOnVolume, .continueOnVolume: .settlement
        case .takeDownTargetReplica: settlesInFreeze ? .settlement : nil
        default: nil
        }
    }

    /// The freeze's number in this migration, from 1 on.
    public func number(of freeze: Freeze) -> Int {
        switch method {
        case .threeFreeze: freeze.rawValue
        case .oneFreeze, .live, .cold: 1
        }
    }
}

import Migration

extension Step.Phase {
    /// The phase's name for people: `hand over`.
    public var title: String {
        switch self {
        case .prepare: "prepare"
        case .substitute: "substitute"
        case .synchronise: "synchronise"
        case .handOver: "hand over"
        case .settle: "settle"
        case .tidyUp: "tidy up"
        case .rollBack: "roll back"
        case .rescue: "rescue"
        }
    }

    /// The longest title, in columns.
    static let titleWidth = allCases.map(\.title.count).max() ?? 0
}

extension Freeze {
    /// `freeze 2`.
    public var title: String { "freeze \(rawValue)" }
}

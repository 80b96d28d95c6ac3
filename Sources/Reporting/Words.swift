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

extension ProgressModel.FreezeLength {
    /// `freeze 2`.
    var title: String { ProgressModel.title(ofFreeze: number) }
}

extension ProgressModel.OpenFreeze {
    var title: String { ProgressModel.title(ofFreeze: number) }
}

extension ProgressModel {
    fileprivate static func title(ofFreeze number: Int) -> String { "freeze \(number)" }
}

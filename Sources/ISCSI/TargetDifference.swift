import HostModel

/// One order to whatever serves the targets, as a value.
public enum TargetOrder: Sendable, Equatable, CustomStringConvertible {
    case kernel(KernelWrite)
    case tgt(TGTOrder)

    /// The line that a shell would take, secrets left out.
    public var description: String {
        switch self {
        case .kernel(let write): write.description
        case .tgt(let order): order.description
        }
    }
}

/// The orders that lead from what is served to what is to be served.
public struct TargetDifference: Sendable, Equatable {
    /// The part that belongs to one target, one backstore, or all of them.
    public struct Change: Sendable, Equatable {
        public var subject: String
        public var orders: [TargetOrder]
        /// The sessions that it ends.
        public var endedSessions: [TargetSession]
    }

    public internal(set) var changes: [Change] = []

    init() {}

    public var orders: [TargetOrder] { changes.flatMap(\.orders) }
    public var isEmpty: Bool { changes.isEmpty }

    /// The same for the kernel's target.
    public init(_ difference: LIODifference) {
        changes = difference.changes.map { change in
            Change(
                subject: change.subject.dropping("iscsi/").map { String($0) } ?? change.subject,
                orders: change.writes.map(TargetOrder.kernel), endedSessions: change.endedSessions)
        }
    }
}

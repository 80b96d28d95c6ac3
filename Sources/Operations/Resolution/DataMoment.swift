import HostModel
import Migration
import Reporting

/// As of when the data are that a lost host has left on the other one. Pure.
enum DataMoment: Equatable {
    /// Each write was on both hosts until then.
    case connectionLost(HostName)
    /// From then on one host wrote alone; milliseconds since 1970.
    case replicaTakenDown(HostName, at: Int64)

    /// Of the source's copy, after the decision: it was current until the target's replica went.
    init(ofSource history: [MigrationEvent], target: HostName) {
        let last = history.last { event in
            switch event.kind {
            case .stepBegan(.takeDownTargetReplica), .stepBegan(.releaseTargetVolume): true
            default: false
            }
        }
        // Led past its replica the domain has written to the target alone, before that went.
        self =
            (history.first { $0.kind == .stepBegan(.leadTargetToVolume) } ?? last).map {
                .replicaTakenDown(target, at: $0.time)
            } ?? .connectionLost(target)
    }

    /// Of the target's copy. Once a way back has begun on the source, its guest may have run on without the target.
    init(ofTarget history: [MigrationEvent], source: HostName) {
        let last = history.last { $0.kind == .stepBegan(.takeDownSourceReplica) }
        self =
            (history.first { $0.kind == .stepBegan(.leadSourceToVolume) } ?? last).map {
                .replicaTakenDown(source, at: $0.time)
            } ?? .connectionLost(source)
    }

    /// DRBD's word for a copy that was attached again is not enough, and nothing has been compared since.
    static func isUncompared(_ history: [MigrationEvent]) -> Bool {
        let attached = history.lastIndex { $0.kind == .attachedAgain }
        let compared = history.lastIndex { event in
            if case .verified(_, _, let differing) = event.kind { differing.bytes == 0 } else { false }
        }
        return attached.map { $0 > (compared ?? -1) } ?? false
    }

    var words: String {
        switch self {
        case .connectionLost(let host): "as they were when the connection to \(host) was lost"
        case .replicaTakenDown(let host, let time):
            "as they were at \(Format.instant(milliseconds: time)), when the replica on \(host) was taken down"
        }
    }
}

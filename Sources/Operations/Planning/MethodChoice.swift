import HostModel
import Migration

/// By which method a domain is migrated, and why. Pure.
public struct MethodChoice: Sendable, Equatable {
    /// Why its disks cannot be swapped below the running domain, or it cannot be handed over while it runs.
    public struct Objection: Sendable, Equatable {
        var host: HostName
        var why: String
        var remedy: String?
    }

    public let method: MigrationPlan.Method
    private let storage: MigrationPlan.Storage
    private let isWished: Bool
    /// To swapping its disks by switches.
    private let toSwitches: [Objection]
    /// To handing it over while it runs.
    private let toLive: [Objection]

    /// For disks that are copied.
    /// - Parameters:
    ///   - wish: what the operator insists on; nil for the one by which it stands still the least.
    ///   - switches: what speaks against swapping the disks by switches.
    ///   - live: what speaks against handing the domain over while it runs.
    init(
        _ wish: MigrationPlan.Method?, settling settlement: MigrationPlan.Settlement, switches: [Objection],
        live: [Objection]
    ) {
        storage = .replicas
        toSwitches = switches
        toLive = live
        isWished = wish != nil || settlement == .early
        // Measured side by side (docs/performance.md): the one freeze lasts 1.2 times the longest of three, and less than half of
        // all three together.
        let best: MigrationPlan.Method = !switches.isEmpty ? .threeFreeze : live.isEmpty ? .live : .oneFreeze
        method = wish ?? (settlement == .early ? .threeFreeze : best)
    }

    /// For disks that both hosts have.
    /// - Parameter live: what speaks against handing the domain over while it runs.
    init(shared wish: MigrationPlan.Method?, live: [Objection]) {
        storage = .shared
        toSwitches = []
        toLive = live
        isWished = wish != nil
        method = wish ?? (live.isEmpty ? .live : .oneFreeze)
    }

    /// The end of a sentence that begins with the method.
    public var reason: String {
        switch (storage, method) {
        case (.shared, .live): "its disks are shared, and Xen hands it over while it runs"
        case (.shared, .oneFreeze), (.shared, .threeFreeze):
            "its disks are shared; it is saved, sent and restored" + notLive
        case (.replicas, .live):
            "its disks are swapped by their switches, and Xen hands it over while it runs"
        case (.replicas, .cold), (.shared, .cold): "it is shut down, its disks are copied, and it is started there"
        case (.replicas, .oneFreeze):
            "its disks are swapped by their switches, and only the hand-over freezes it, for less than three freezes together"
                + notLive
        case (.replicas, .threeFreeze):
            isWished ? "as was asked for" : "which needs nothing of its disks" + notLive
        }
    }

    private var notLive: String {
        if isWished { return ", as was asked for" }
        let why = (toSwitches + toLive).map(\.why)
        return why.isEmpty ? "" : "; not live, because " + why.joined(separator: ", and because ")
    }

    /// What speaks against the method.
    private var objections: [Objection] {
        switch (storage, method) {
        case (.shared, .live): toLive
        case (.replicas, .live): toSwitches + toLive
        case (.replicas, .oneFreeze): toSwitches
        case (.shared, .oneFreeze), (.shared, .threeFreeze), (.replicas, .threeFreeze), (_, .cold): []
        }
    }

    /// What is to be said of it before a migration: insisted on where it cannot be done, it blocks.
    func findings(_ domain: DomainName, _ source: HostName) -> [Finding] {
        func blocking(_ host: HostName, _ why: String, _ remedy: String?) -> Finding {
            Finding(
                .blocking, host, "\(domain) cannot move by \(method.rawValue)", why: why,
                remedy: [remedy, "or leave the choice to xenlvs: --method auto"].compactMap(\.self)
                    .joined(separator: "; "))
        }
        if storage == .shared, method == .threeFreeze || method == .cold {
            return [blocking(source, "its disks are shared: there is nothing to copy", nil)]
        }
        if !objections.isEmpty { return objections.map { blocking($0.host, $0.why, $0.remedy) } }
        return [Finding(.fine, source, "\(domain) would move by \(method.rawValue): \(reason)")]
    }
}

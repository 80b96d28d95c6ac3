import DeviceMapper
import Storage

/// What to say to a map, from what looks at its paths gave. Pure: the times are those of the caller.
struct MapJudge: Sendable {
    /// A path that was failed has to be good so often in a row: one that comes and goes is worse than none.
    static let goodInRow = 2

    private var good: [BlockDeviceNumber: Int] = [:]
    /// Since when no path is left.
    private(set) var withoutPathSince: Duration?
    /// Why paths are down, by the last look that said so.
    private(set) var reasons: [BlockDeviceNumber: String] = [:]

    /// - Parameters:
    ///   - queues: whether the kernel lets requests wait for a path.
    ///   - looks: what new looks gave; paths of which there is no news are left out.
    ///   - now: by a clock that only goes forward.
    /// - Returns: messages in the order in which they are to be said.
    mutating func decide(
        _ policy: MapPolicy, _ status: MultipathStatus, queues: Bool, _ looks: [BlockDeviceNumber: PathHealth],
        now: Duration
    ) -> [MultipathMessage] {
        let known = Set(status.paths.map(\.device))
        good = good.filter { known.contains($0.key) }
        reasons = reasons.filter { known.contains($0.key) }
        var messages: [MultipathMessage] = []
        var isActive: [BlockDeviceNumber: Bool] = [:]
        for path in status.paths {
            isActive[path.device] = path.isActive
            guard let message = judge(path, looks[path.device]) else { continue }
            isActive[path.device] = !path.isActive
            messages.append(message)
        }
        let hadPath = status.paths.contains(where: \.isActive)
        let hasPath = isActive.values.contains(true)
        var waiting: MultipathMessage?
        if hasPath || hadPath {
            withoutPathSince = hasPath ? nil : now
            if policy.noPathSeconds > 0, !queues { waiting = .queueIfNoPath }
        } else {
            let since = withoutPathSince ?? now
            withoutPathSince = since
            if queues, now - since >= .seconds(policy.noPathSeconds) { waiting = .failIfNoPath }
        }
        if policy.noPathSeconds == 0, queues { waiting = .failIfNoPath }
        // First of all: from the moment in which the last path is failed requests have to wait.
        return [waiting].compactMap(\.self) + messages + failback(policy, status, isActive)
    }

    private mutating func judge(_ path: MultipathStatus.Path, _ look: PathHealth?) -> MultipathMessage? {
        switch look {
        case nil: return nil
        case .bad(let why):
            good[path.device] = 0
            reasons[path.device] = why
            return path.isActive ? .failPath(path.device) : nil
        case .good:
            if path.isActive {
                // How long it was good before counts for nothing once it has failed.
                good[path.device] = 0
                reasons[path.device] = nil
                return nil
            }
            good[path.device, default: 0] += 1
            guard good[path.device, default: 0] >= Self.goodInRow else {
                if reasons[path.device] == nil { reasons[path.device] = "the kernel had an error on it" }
                return nil
            }
            reasons[path.device] = nil
            return .reinstatePath(path.device)
        }
    }

    private func failback(
        _ policy: MapPolicy, _ status: MultipathStatus, _ isActive: [BlockDeviceNumber: Bool]
    ) -> [MultipathMessage] {
        guard policy.failback == .immediate, status.groups.count > 1,
            let best = status.groups.firstIndex(where: { $0.paths.contains { isActive[$0.device] == true } }),
            let current = status.groups.firstIndex(where: { $0.state == .active }), best < current
        else { return [] }
        return [.switchGroup(best + 1)]
    }
}

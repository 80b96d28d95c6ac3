import HostModel

extension LinkDirectory {
    /// Compares the link of `name` with the path that it should hold. Changes nothing.
    public func compare(_ name: VolumeName, expected: String) throws(Failure) -> LinkComparison {
        let state = try read(name)
        switch state {
        case .absent: return .absent
        case .notALink: return .differs(state)
        case .link(expected, .device): return .same
        case .link(expected, .dangling): return .dangling
        case .link(let target, .device(_, let number)):
            guard case .device(_, number) = end(of: expected) else { return .differs(state) }
            return .sameDevice(target: target)
        case .link: return .differs(state)
        }
    }

    /// Brings back the links that are missing, as at boot, and says of each what was done. One that fails does not
    /// keep the others from being done.
    ///
    /// A link that holds another path than the recorded one is left alone unless `replacing` is set: a guest may be
    /// running on what it points to.
    public func repair(expected: [VolumeName: String], replacing: Bool = false) -> [VolumeName: LinkRepair] {
        var report: [VolumeName: LinkRepair] = [:]
        for (name, target) in expected {
            do throws(Failure) {
                report[name] = try repair(name, to: target, replacing: replacing)
            } catch {
                report[name] = .failed(error)
            }
        }
        return report
    }

    private func repair(_ name: VolumeName, to target: String, replacing: Bool) throws(Failure) -> LinkRepair {
        switch try compare(name, expected: target) {
        case .same, .sameDevice: return .wasRight
        case .dangling: return .deviceMissing
        case .absent:
            guard case .device = end(of: target) else { return .deviceMissing }
            try set(name, to: target)
            return .made
        case .differs(let state):
            guard replacing, case .link(let former, _) = state else { return .refused(state) }
            guard case .device = end(of: target) else { return .deviceMissing }
            try set(name, to: target)
            return .replaced(former: former)
        }
    }
}

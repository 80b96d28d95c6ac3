import Foundation
import ScenarioKit
import Testing

extension Trait where Self == ConditionTrait {
    /// For scenarios for which every run has no time. Those that are left out are named in the run's output with this
    /// reason.
    static var onlyInTheFullRun: Self {
        .enabled(
            if: ProcessInfo.processInfo.environment["XENLVS_ALL_SCENARIOS"] == "1",
            "only with XENLVS_ALL_SCENARIOS=1: every run must end within the hour")
    }
    /// For scenarios with a storage host beside the two Xen hosts.
    static var onlyWithThreeHosts: Self {
        .enabled(
            if: Hosts.haveThird, "only with XENLVS_LAB_NODES=abc: a third emulated host takes the time of the others")
    }
}

extension Test {
    /// Leaves the current scenario out, by name and with the reason, where the run has to end soon: one that is ended in
    /// the middle proves nothing, not even what it has seen so far.
    static func cancelWhereLate() throws {
        guard let text = ProcessInfo.processInfo.environment["XENLVS_NO_SCENARIO_AFTER"] else { return }
        let limit = try #require(TimeInterval(text), "XENLVS_NO_SCENARIO_AFTER is in seconds since 1970, not '\(text)'")
        let late = Date().timeIntervalSince1970 - limit
        if late > 0 { try cancel("left out: this machine is slow, and the run's last start was \(Int(late)) s ago") }
    }
}

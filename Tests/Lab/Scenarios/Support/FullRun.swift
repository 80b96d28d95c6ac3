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

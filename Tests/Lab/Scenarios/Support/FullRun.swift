import Foundation
import Testing

extension Trait where Self == ConditionTrait {
    /// For scenarios for which every run has no time. Those that are left out are named in the run's output with this
    /// reason.
    static var onlyInTheFullRun: Self {
        .enabled(
            if: ProcessInfo.processInfo.environment["XENLVS_ALL_SCENARIOS"] == "1",
            "only with XENLVS_ALL_SCENARIOS=1: every run must end within the hour")
    }
}

import HostModel
import Hosts
import Operations

/// The host that the command runs on.
enum ThisHost {
    /// Opens its state: configuration, journal, links.
    static func open(trace: @escaping @Sendable (String) -> Void = { _ in }) throws -> HostContext {
        let crashPoints = try CrashPoint.inEnvironment(ProcessEnvironment.variables)
        return try HostContext(paths: paths, crashPoints: crashPoints, trace: trace)
    }

    static var paths: Paths { .current }
}

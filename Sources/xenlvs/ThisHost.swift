import HostModel
import Hosts
import Operations

/// The host that the command runs on.
enum ThisHost {
    /// Opens its state: configuration, journal, links.
    ///
    /// For tests, the environment variable `XENLVS_ROOT` names a directory that is put before each of xenlvs's own paths
    /// (state, locks, links, configuration). Devices and programs stay those of the host.
    static func open(trace: @escaping @Sendable (String) -> Void = { _ in }) throws -> HostContext {
        var paths = Paths()
        if let root = ProcessEnvironment.variables["XENLVS_ROOT"], root.hasPrefix("/") {
            paths = Paths(
                state: root + paths.state, run: root + paths.run, links: root + paths.links,
                configuration: root + paths.configuration)
        }
        let crashPoints = try CrashPoint.inEnvironment(ProcessEnvironment.variables)
        return try HostContext(paths: paths, crashPoints: crashPoints, trace: trace)
    }
}

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

    /// Where xenlvs keeps what it needs.
    ///
    /// For tests, the environment variable `XENLVS_ROOT` names a directory that is put before each of xenlvs's own paths
    /// (state, locks, links, configuration). Devices and programs stay those of the host.
    static var paths: Paths {
        let paths = Paths()
        guard let root = ProcessEnvironment.variables["XENLVS_ROOT"], root.hasPrefix("/") else { return paths }
        return Paths(
            state: root + paths.state, run: root + paths.run, links: root + paths.links,
            configuration: root + paths.configuration)
    }
}

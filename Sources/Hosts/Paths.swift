/// The places on a host where xenlvs keeps what it needs. Tests put them elsewhere.
public struct Paths: Sendable, Equatable {
    /// State that must survive a reboot, 0700: `/var/lib/xenlvs`.
    public var state: String
    /// Locks and sockets, gone after a reboot: `/run/xenlvs`.
    public var run: String
    /// The links that guests are configured with: `/dev/xenlvs`.
    public var links: String
    /// The one configuration file.
    public var configuration: String

    public init(
        state: String = "/var/lib/xenlvs", run: String = "/run/xenlvs", links: String = "/dev/xenlvs",
        configuration: String = "/etc/xenlvs/xenlvs.yaml"
    ) {
        self.state = state
        self.run = run
        self.links = links
        self.configuration = configuration
    }

    /// Where this process keeps what it needs.
    ///
    /// For tests, the environment variable `XENLVS_ROOT` names a directory that is put before each of xenlvs's own paths
    /// (state, locks, links, configuration). Devices and programs stay those of the host.
    public static var current: Paths {
        let paths = Paths()
        guard let root = ProcessEnvironment.variables["XENLVS_ROOT"], root.hasPrefix("/") else { return paths }
        return Paths(
            state: root + paths.state, run: root + paths.run, links: root + paths.links,
            configuration: root + paths.configuration)
    }

    public var database: String { state + "/state.db" }
    /// Saved images hold guests' memory: 0600 files below this 0700 directory.
    public var images: String { state + "/images" }
}

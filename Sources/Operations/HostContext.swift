import DeviceMapper
import HostModel
import Hosts
import Storage

#if canImport(Glibc)
    import Glibc
#endif

/// This host, as everything that acts on it sees it: where things are, how commands run, what is recorded.
public struct HostContext: Sendable {
    public let paths: Paths
    public let configuration: HostConfiguration
    public let runner: any CommandRunner
    /// Where a test wants this process to end.
    let effects: EffectPoints
    public let activity: ActivityClock
    public let database: StateDatabase
    public let links: LinkDirectory
    public let images: SavedImages
    /// The name this host calls itself.
    public let name: HostName
    /// Where the kernel shows devices.
    let tree: DeviceTree
    let initiator: InitiatorEdges
    let mapper: any MappedDevices

    /// Opens the state of this host. Throws where the configuration or the journal cannot be read.
    ///
    /// - Parameters:
    ///   - runner: for tests; by default commands run on this host.
    ///   - crashPoints: where a test wants this process to end.
    public init(
        paths: Paths = Paths(), runner: (any CommandRunner)? = nil, crashPoints: [CrashPoint] = [],
        trace: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        try self.init(
            paths: paths, runner: runner, crashPoints: crashPoints, trace: trace, tree: DeviceTree(), initiator: .live)
    }

    /// - Parameters:
    ///   - tree: for tests; by default the host's own `/dev` and `/sys`.
    ///   - initiator, mapper: for tests.
    init(
        paths: Paths, runner: (any CommandRunner)?, crashPoints: [CrashPoint],
        trace: @escaping @Sendable (String) -> Void, tree: DeviceTree, initiator: InitiatorEdges,
        mapper: any MappedDevices = KernelMapper()
    ) throws {
        self.mapper = mapper
        self.tree = tree
        self.initiator = initiator
        self.paths = paths
        configuration = try HostConfiguration.load(paths.configuration)
        activity = ActivityClock()
        effects = EffectPoints(crashPoints)
        self.runner = EffectRunner(
            runner: runner ?? ProcessRunner(activity: activity, trace: trace), effects: effects)
        database = try StateDatabase(path: paths.database)
        links = LinkDirectory(path: paths.links, devices: tree.devices, owner: tree.owner)
        images = SavedImages(directory: paths.images)
        name = try HostName(try configuration.host ?? Self.kernelHostName())
    }

    private static func kernelHostName() throws -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else {
            throw Failure(.failed, "cannot read the host's name", why: String(cString: strerror(errno)))
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Milliseconds since 1970.
    public static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

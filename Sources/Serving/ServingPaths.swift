import Hosts

/// Where the daemon keeps what it needs.
public struct ServingPaths: Sendable {
    private let paths: Paths

    public init(_ paths: Paths) { self.paths = paths }

    /// 0700, with the locks of commands in it.
    public var runDirectory: String { paths.run }
    public var socket: String { paths.run + "/xenlvsd.sock" }
    public var lock: String { paths.run + "/xenlvsd.lock" }
    public var state: String { paths.state }
    /// For what clients set, and the list of exports.
    public var targets: String { paths.state + "/aoe" }
    public var exports: String { targets + "/exports.json" }
}

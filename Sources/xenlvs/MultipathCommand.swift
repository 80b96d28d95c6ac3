import ArgumentParser
import DeviceMapper
import HostModel
import Operations
import Reporting

struct MultipathCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "multipath",
        abstract: "Paths to what is attached here, and maps that xenlvs makes of paths itself.",
        subcommands: [Create.self, List.self, Show.self, Remove.self, Watch.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List every path of every attachment and map, as the kernel has it, and why one is down.",
            discussion: """
                A path is a portal of an iSCSI target, with the kernel's disk and what its map says of it; an interface on \
                which the kernel uses an AoE target; or a disk of a map that 'xenlvs multipath create' has made. Targets are \
                asked as by 'xenlvs attachments'.

                A line for each device comes before its paths: size, WWID (AoE: serial number), vendor and product, \
                device, whether it may be written to (wp), and the map's features, hardware handler and path selector. \
                Of what 'multipath -ll' tells, the priorities of groups are not listed. GROUP is the path's group in \
                the map and the state of that; the kernel tries them in that order. KERNEL is how device-mapper has \
                the path, and the kernel its disk; FAILED how often device-mapper has given it up. They are the \
                kernel's words, whoever made the map.

                \(ExitCodeHelp.reading)
                """)
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                try output.show(PathListing(try await Attachments(host: try ThisHost.open()).paths()))
                return .done
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create", abstract: "Make one device of all paths to one disk, without multipathd.",
            discussion: """
                Every SCSI disk of this host that has the WWID of those that are named becomes a path, also one that comes \
                later. The device is /dev/mapper/xenlvs-mpath-NAME; it comes back after a boot. xenlvsd has to run: it looks at \
                every path once a second, fails it and takes it back. multipathd is told to leave the \
                disks alone; a disk that it has already is refused. What 'xenlvs attach' has attached has its map already.

                Exit codes: 0 done, or nothing to do; 1 refused or failed, nothing changed; 4 the record of maps cannot be \
                read; 5 something uses a disk; 6 no such disk; 64 usage.
                """)
        @Argument(help: "The map's name.") var name: String
        @Argument(help: "A disk, such as sdb; at least one of its paths.") var disks: [String]
        @Option(help: "How requests are spread: service-time, queue-length or round-robin.")
        var selector = PathSelector.serviceTime
        @Option(help: "Use all paths together, or one at a time (failover).") var grouping = MapPolicy.Grouping.together
        @Option(help: "With failover: whether an earlier path is used again when it is back, immediate or manual.")
        var failback = MapPolicy.Failback.immediate
        @Option(
            help: ArgumentHelp(
                "How long requests wait where no path is left before they fail, 0 to 3600.", valueName: "seconds"))
        var noPathTimeout = MapPolicy().noPathSeconds
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                let name = try VolumeName(name)
                guard MapPolicy.noPathLimits.contains(noPathTimeout) else {
                    throw Failure(
                        .usage, "\(noPathTimeout) seconds is no limit that can be kept",
                        remedy: "give a number from 0 to 3600")
                }
                let policy = MapPolicy(
                    selector: selector, grouping: grouping, failback: failback, noPathSeconds: noPathTimeout)
                let map = try await MapManager(host: try ThisHost.open()).create(name, of: disks, policy)
                try output.show(MapView(map))
                return .done
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show a map of xenlvs's own: table, paths, and why one is down.",
            discussion: ExitCodeHelp.reading)
        @Argument(help: "The map's name.") var name: String
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                try output.show(MapView(try await MapManager(host: try ThisHost.open()).map(try VolumeName(name))))
                return .done
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Remove a map that 'xenlvs multipath create' has made.",
            discussion: """
                Its disks stay. Refused while anything has it open.

                \(ExitCodeHelp.changing)
                """)
        @Argument(help: "The map's name.") var name: String

        func run() async throws {
            try await reporting {
                let name = try VolumeName(name)
                try await MapManager(host: try ThisHost.open()).remove(name)
                Console.result("removed the map \(name)")
                return .done
            }
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "watch", abstract: "Check the paths of xenlvs's own maps, until SIGTERM.",
            discussion: """
                What xenlvsd does beside its other work, for where that does not run. Every path is asked once a second \
                whether it is the recorded disk and ready; one that is not is not used any more, and taken back when it was \
                good twice in a row; where a portal of an attachment has no session it is logged in to, at most once a \
                minute. Where no path is left requests wait as long as the map says, and then fail. When it ends, requests \
                without a path fail at once. Maps of multipathd are left alone.

                Exit codes: 0 ended as asked; 1 failed; 5 it runs already.
                """)

        func run() async throws {
            try await reporting {
                let stop = try StopSignal()
                defer { stop.end() }
                let watch = try PathWatch(paths: ThisHost.paths) { Console.say($0) }
                Console.result("checking paths")
                while !stop.hasCome {
                    await watch.tick()
                    try await Task.sleep(for: .seconds(1))
                }
                await watch.end()
                return .done
            }
        }
    }
}

/// One map as `show` prints it.
struct MapView: Renderable {
    private let map: MapSummary

    init(_ map: MapSummary) { self.map = map }

    func encode(to encoder: any Encoder) throws { try map.encode(to: encoder) }

    var table: Table {
        let policy = map.policy
        var rows = [
            ["device", map.device], ["WWID", map.wwid], ["size", map.size?.description ?? "-"],
            ["selector", policy.selector.rawValue], ["grouping", policy.grouping.rawValue],
            ["failback", policy.failback.rawValue], ["without a path", "requests wait \(policy.noPathSeconds) s"],
            ["table", map.table ?? "-"],
        ]
        for path in map.paths {
            rows.append(
                [
                    "path \(path.disk)",
                    "\(path.number), group \(path.group), \(path.isUp ? "up" : "down"), failed \(path.failures) times"
                        + (path.why.map { ": \($0)" } ?? ""),
                ])
        }
        if let why = map.why { rows.append(["why", why]) }
        if let remedy = map.remedy { rows.append(["what to do", remedy]) }
        return Table(columns: [Table.Column(map.name.text), Table.Column("", shrinks: true)], rows: rows)
    }
}

extension PathSelector: ExpressibleByArgument {}
extension MapPolicy.Grouping: ExpressibleByArgument {}
extension MapPolicy.Failback: ExpressibleByArgument {}

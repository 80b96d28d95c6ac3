import ArgumentParser
import HostModel
import Hosts
import Operations
import Storage

struct VolumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volume", abstract: "Make and look after volumes: LVs, or files in a directory.",
        discussion: "A volume is the storage of one guest disk. Guests name it by its link, /dev/xenlvs/NAME.",
        subcommands: [
            Create.self, List.self, Show.self, Resize.self, Remove.self, Snapshot.self, Partitions.self,
        ])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create", abstract: "Make a volume and its link below /dev/xenlvs.",
            discussion: """
                An LV takes its extents as they are: beyond its first 4 KiB it may show what lay there before. A file is \
                zeroed, has all its blocks allocated, and is used through a loop device. Where a part fails, what was \
                made before it is taken back.

                \(ExitCodeHelp.changing)
                """)
        @Argument(help: "The volume's name.") var name: String
        @Option(help: "The size, such as 10G; LVM rounds up to whole extents.") var size: String
        @Option(name: .customLong("vg"), help: "The volume group; by default the configured one.") var group: String?
        @Option(help: "Make a file in this directory instead of an LV.") var directory: String?
        @Flag(
            name: .customLong("switch"), inversion: .prefixedNo,
            help: """
                Put a switch between link and LV, so that a running guest's disk can be swapped (xenlvs swap). By default an LV \
                gets one; a file cannot have one.
                """)
        var hasSwitch: Bool?

        func run() async throws {
            try await reporting {
                let name = try VolumeName(name)
                let size = try SizeArgument.size(size)
                guard directory == nil || group == nil else {
                    throw Failure(.usage, "a volume is in a group or in a directory, not both")
                }
                let wantedGroup = try group.map { try VolumeGroupName($0) }
                let host = try ThisHost.open()
                let place: VolumePlace =
                    if let directory {
                        .file(pool: directory)
                    } else {
                        .logicalVolume(
                            group: try wantedGroup ?? VolumeGroupName(host.configuration.volumeGroup),
                            name: LogicalVolumeName(of: name))
                    }
                let volume = try await VolumeManager(host: host).create(
                    name, size: size, at: place, hasSwitch: hasSwitch ?? (place.logicalVolume != nil))
                let between = volume.switchGoal == nil ? "" : "a switch → "
                Console.result("\(host.links.path(of: name)) → \(between)\(volume.place), \(volume.size)")
                return .done
            }
        }
    }

    struct Resize: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resize", abstract: "Make a volume larger, also while a guest uses it.",
            discussion: """
                A volume never becomes smaller. It is refused while a replica or a migration is open, which count on the \
                size, and for an LV that has snapshots. A running guest sees the new size within a second; growing the file system inside it is the guest's affair (resize2fs, xfs_growfs).

                \(ExitCodeHelp.changing)
                """)
        @Argument(help: "The volume's name.") var name: String
        @Option(help: "The new size, such as 20G; LVM rounds up to whole extents.") var size: String

        func run() async throws {
            try await reporting {
                let (name, size) = (try VolumeName(name), try SizeArgument.size(size))
                let resized = try await VolumeManager(host: try ThisHost.open()).resize(name, to: size)
                Console.result("\(name): \(resized.former) → \(resized.volume.size)")
                for domain in resized.domains {
                    Console.say(
                        "tell the guest \(domain): its kernel sees the new size within a second, but it has to grow its "
                            + "file system itself")
                }
                return .done
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Remove a volume with its data and its link, or a snapshot.",
            discussion: """
                Nothing is asked, and nothing that is in use is removed: not while a domain has it, a replica or a \
                migration is open, it is mounted, it has snapshots, or a checkpoint needs it. The old copy that a finished \
                migration left behind ('retired') is removed like any other volume.

                \(ExitCodeHelp.changing)
                """)
        @Argument(help: "The volume's or the snapshot's name.") var name: String
        @Flag(
            help: """
                Also remove a copy whose migration nobody knows any more, and forget a volume whose data are not there. \
                What is in use is refused all the same.
                """)
        var force = false

        func run() async throws {
            try await reporting {
                let name = try VolumeName(name)
                let removed = try await VolumeManager(host: try ThisHost.open()).remove(name, force: force)
                for line in removed { Console.result("removed \(line)") }
                return .done
            }
        }
    }

    struct Snapshot: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "snapshot", abstract: "Keep a volume's present content as an LVM snapshot.",
            discussion: """
                A running guest's snapshot shows what a power cut would have left. The snapshot is lost once more has \
                changed than its size: look at it with 'xenlvs volume list', remove it with 'xenlvs volume remove'. \
                While it exists, the volume is slower and cannot be resized or removed. Files have no snapshots.

                \(ExitCodeHelp.changing)
                """)
        @Argument(help: "The volume's name.") var volume: String
        @Argument(help: "The snapshot's name.") var name: String
        @Option(help: "The room for what changes from now on, such as 1G; LVM rounds up to whole extents.")
        var size: String

        func run() async throws {
            try await reporting {
                let (volume, name) = (try VolumeName(volume), try VolumeName(name))
                let size = try SizeArgument.size(size)
                let snapshot = try await VolumeManager(host: try ThisHost.open()).snapshot(
                    volume, named: name, size: size)
                Console.result("/dev/\(snapshot.group)/\(snapshot.name), \(snapshot.size) for changes of \(volume)")
                return .done
            }
        }
    }
}

import ArgumentParser
import HostModel
import Hosts
import Operations
import Storage

struct VolumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volume", abstract: "Make and look after volumes: LVs, or files in a directory.",
        subcommands: [Create.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a volume and its link below /dev/xenlvs.")
        @Argument(help: "The volume's name.") var name: String
        @Option(help: "The size, such as 10G; LVM rounds up to whole extents.") var size: String
        @Option(name: .customLong("vg"), help: "The volume group; by default the configured one.") var group: String?
        @Option(help: "Make a file in this directory instead of an LV.") var directory: String?

        func run() async throws {
            try await reporting {
                let name = try VolumeName(name)
                guard let size = ByteCount(parsing: size) else {
                    throw Failure(.usage, "'\(size)' is not a size", remedy: "give a number with K, M, G or T")
                }
                let host = try HostContext()
                let place: VolumePlace
                if let directory {
                    guard group == nil else {
                        throw Failure(.usage, "a volume is in a group or in a directory, not both")
                    }
                    place = .file(pool: directory)
                } else {
                    let group = try VolumeGroupName(group ?? host.configuration.volumeGroup)
                    place = .logicalVolume(group: group, name: LogicalVolumeName(of: name))
                }
                let volume = try await VolumeManager(host: host).create(name, size: size, at: place)
                Console.result("/dev/xenlvs/\(name) → \(volume.place), \(volume.size)")
                return .done
            }
        }
    }
}

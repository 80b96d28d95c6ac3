import ArgumentParser
import HostModel
import Operations
import Reporting

extension VolumeCommand {
    struct Partitions: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "partitions",
            abstract: "Make the partitions of a volume or attachment visible on this host, read-only.",
            discussion: """
                The kernel reads the partition table through a loop device over the volume, so every kind that it knows is \
                understood. Nothing can be written by it: mount a file system that was not unmounted with '-o \
                ro,noload'. Refused while a domain, a replica or a migration has the volume, and while it is exported over \
                AoE so that others can write to it. While the partitions are there the volume cannot be removed, nor the \
                attachment be detached; --remove takes them away.

                Exit codes: 0 done; 1 refused, or there are no partitions; 3 a command was still running when its time \
                was up, or the daemon has not answered; 4 the journal cannot be read; 5 something has the volume or its partitions; 6 no such volume or \
                attachment; 64 usage.
                """)
        @Argument(help: "The volume's or the attachment's name.") var name: String
        @Flag(help: "Take the partitions away again.") var remove = false
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                let name = try VolumeName(name)
                let mapper = PartitionMapper(host: try ThisHost.open())
                if remove {
                    let removed = try await mapper.unmap(name)
                    switch output.format {
                    case .table: for loop in removed { Console.result("removed \(loop) and its partitions") }
                    case .json: try output.show([MappedPartition]())
                    }
                } else {
                    try output.show(try await mapper.map(name))
                }
                return .done
            }
        }
    }
}

extension MappedPartition: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("NUMBER", .right), Table.Column("DEVICE"), Table.Column("START", .right),
            Table.Column("SIZE", .right),
        ]
    }

    public var cells: [String] { [String(number), device, start.description, size.description] }
}

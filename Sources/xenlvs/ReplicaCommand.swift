import ArgumentParser
import HostModel
import Operations
import Replication
import Reporting

struct ReplicaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replica", abstract: "Look at the replicas that migrations keep on this host.",
        subcommands: [Status.self])

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status",
            abstract: "Show the state of the replicas, from the kernel, and why one is not connected.",
            discussion: """
                Where both copies of a volume were changed without each other (split brain), or may have been, it also says \
                which host has which data generation, and which two commands keep the one copy or the other. It runs none \
                of them.

                \(ExitCodeHelp.reading)
                """)
        @Argument(help: "The volume's name; all replicas by default.") var volume: String?
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                let volume = try volume.map { try VolumeName($0) }
                let catalog = ReplicaCatalog(host: try ThisHost.open())
                let replicas =
                    if let volume { [try await catalog.replica(of: volume)] } else { try await catalog.all() }
                try output.show(replicas)
                if output.format == .table {
                    for replica in replicas {
                        guard let why = replica.why else { continue }
                        Console.say("\(replica.volume): \(why)")
                        Console.say("  what to do: \(replica.remedy ?? "look at the kernel log")")
                        for line in replica.splitBrain?.lines ?? [] { Console.say("  \(line)") }
                    }
                }
                return .done
            }
        }
    }
}

extension ReplicaSummary: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("VOLUME"), Table.Column("DEVICE"), Table.Column("ROLE"), Table.Column("DISK"),
            Table.Column("CONNECTION"), Table.Column("REPLICATION"), Table.Column("PEER ROLE"),
            Table.Column("PEER DISK"), Table.Column("OUT OF SYNC", .right), Table.Column("MIGRATION", shrinks: true),
        ]
    }

    public var cells: [String] {
        [
            volume.text, device ?? "-", role.word, disk?.word ?? "-", connection?.word ?? "-",
            replication?.word ?? "-", peerRole?.word ?? "-", peerDisk?.word ?? "-",
            outOfSync?.description ?? "-", migration ?? "-",
        ]
    }
}

import ArgumentParser
import HostModel
import Operations
import Reporting
import Storage

extension DomainCommand {
    struct CheckpointCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "checkpoint",
            abstract: "Keep a domain's memory and disks as they are, and bring it back to them.",
            subcommands: [Create.self, List.self, Restore.self, Remove.self])

        static func manager() throws -> CheckpointManager {
            CheckpointManager(worker: HostWorker(host: try ThisHost.open(), version: Version.text))
        }

        struct Create: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                commandName: "create", abstract: "Make a checkpoint of a running domain.",
                discussion: """
                    The domain is saved and stands still meanwhile; inside that pause LVM takes a snapshot of each of its \
                    disks, so that memory and disks belong together; then it runs on. All its disks must be on LVs. A \
                    snapshot is lost once more has changed than its room, and the checkpoint with it: see 'list'. While \
                    it exists the disks are slower. Where this command is killed, 'xenlvs recover' lets the domain run on.

                    \(ExitCodeHelp.changing)
                    """)
            @Argument(help: "The domain, as 'xl list' names it.") var domain: String
            @Option(
                help: "The room for what changes on each disk from now on, such as 1G; a fifth of the disk by default.")
            var room: String?

            func run() async throws {
                try await reporting {
                    let (name, room) = (try DomainName(domain), try room.map(SizeArgument.size))
                    let manager = try CheckpointCommand.manager()
                    let made = try await finishing { try await manager.create(name, room: room) }.value
                    let time = made.freezeMilliseconds.map { Format.duration(milliseconds: $0) } ?? "a while"
                    Console.result("\(made.name): the domain \(name) stood still for \(time)")
                    return .done
                }
            }
        }

        struct List: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                commandName: "list", abstract: "List the checkpoints of this host, or of one domain.",
                discussion: ExitCodeHelp.reading)
            @Argument(help: "The domain.") var domain: String?
            @OptionGroup var output: FormatOption

            func run() async throws {
                try await reporting {
                    let domain = try domain.map { try DomainName($0) }
                    try output.show(try await CheckpointCommand.manager().list(of: domain))
                    return .done
                }
            }
        }

        struct Restore: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                commandName: "restore",
                abstract: "Put a domain's disks back to a checkpoint, and the domain into its memory of then.",
                discussion: """
                    What the disks have held since is lost. The domain must not be there: shut it down or destroy it first. \
                    While its disks are put back their links are away, so that it cannot be started on half of it; repeat \
                    the command where it was interrupted. The checkpoint stays and can be restored again.

                    \(ExitCodeHelp.changing)
                    """)
            @Argument(help: "The checkpoint, as 'list' names it.") var checkpoint: String

            func run() async throws {
                try await reporting {
                    let name = try VolumeName(checkpoint)
                    let manager = try CheckpointCommand.manager()
                    let restored = try await finishing { try await manager.restore(name, say: Console.say) }.value
                    Console.result("the domain \(restored.domain) runs as at the checkpoint \(name)")
                    return .done
                }
            }
        }

        struct Remove: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                commandName: "remove", abstract: "Remove a checkpoint. The domain and its disks stay as they are.",
                discussion: ExitCodeHelp.changing)
            @Argument(help: "The checkpoint, as 'list' names it.") var checkpoint: String

            func run() async throws {
                try await reporting {
                    let name = try VolumeName(checkpoint)
                    for line in try await CheckpointCommand.manager().remove(name) { Console.result("removed \(line)") }
                    return .done
                }
            }
        }
    }
}

extension CheckpointSummary: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("NAME"), Table.Column("DOMAIN"), Table.Column("MADE"), Table.Column("IMAGE", .right),
            Table.Column("SNAPSHOTS", shrinks: true), Table.Column("IS", shrinks: true),
        ]
    }

    public var cells: [String] {
        [
            name.text, domain.text, Format.instant(milliseconds: created), image?.description ?? "-",
            snapshots.map { "\($0.group)/\($0.name), \($0.condition)" }.joined(separator: "; "),
            why.map { "\(stage.rawValue): \($0)" } ?? stage.rawValue,
        ]
    }
}

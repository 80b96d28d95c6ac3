import ArgumentParser
import HostModel
import Operations
import Reporting

struct MultipathCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "multipath", abstract: "See the paths to what is attached here.", subcommands: [List.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List every path of every attachment, and why one is down.",
            discussion: """
                A path is a portal of an iSCSI target, with the kernel's disk and multipathd's opinion of it, or an \
                interface on which the kernel uses an AoE target. Targets are asked as by 'xenlvs attachments'.

                \(ExitCodeHelp.reading)
                """)
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                try output.show(try await Attachments(host: try ThisHost.open()).paths())
                return .done
            }
        }
    }
}

extension AttachmentPath: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("NAME"), Table.Column("PROTOCOL"), Table.Column("PATH", shrinks: true), Table.Column("DISK"),
            Table.Column("STATE"), Table.Column("DEVICE", shrinks: true), Table.Column("WHY", shrinks: true),
        ]
    }

    public var cells: [String] {
        [name.text, networkProtocol, path, disk ?? "-", isUp ? "up" : "down", device ?? "-", why ?? ""]
    }
}

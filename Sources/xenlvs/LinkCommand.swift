import ArgumentParser
import HostModel
import Operations
import Reporting
import Storage

struct LinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link", abstract: "The links below /dev/xenlvs that guests are configured with.",
        subcommands: [Show.self, Set.self, Repair.self])

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Take an existing LV over as a volume and set its link.",
            discussion: """
                The LV is tagged 'xenlvs' and recorded; its data stay as they are. Refused while a migration or a replica \
                has the volume, or a domain has what the link leads to now.

                \(ExitCodeHelp.changing)
                """)
        @Argument(help: "The volume's name, which is the LV's.") var name: String
        @Argument(help: "The LV's device, such as /dev/vg0/web1.") var path: String

        func run() async throws {
            try await reporting {
                let name = try VolumeName(name)
                let host = try ThisHost.open()
                let volume = try await VolumeManager(host: host).adopt(name, path: path)
                Console.result("\(host.links.path(of: name)) → \(volume.place), \(volume.size)")
                return .done
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show where the links lead, and whether that is what is recorded.",
            discussion: ExitCodeHelp.reading)
        @Argument(help: "The volume's name; all of them by default.") var name: String?
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                let name = try name.map { try VolumeName($0) }
                try output.show(try await LinkKeeper(host: try ThisHost.open()).show(name))
                return .done
            }
        }
    }

    struct Repair: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "repair", abstract: "Put links back, as at boot, and say of each what was done.",
            discussion: """
                Volumes are activated, and files get their loop devices. A volume whose domain belongs to another host, \
                one that a migration is filling, and an old copy never get a link. A link that leads to another device \
                than the volume is left alone and told; named alone it is put right too, unless a domain has what it \
                leads to. The link of an attachment is made \
                only to a device that is what is recorded of its target.

                Exit codes: 0 all is right; 1 failed; 4 something is left for the operator, or the journal cannot be \
                read; 5 all is right but for volumes that another command has; 6 no such volume; 64 usage.
                """)
        @Argument(help: "The volume's or the attachment's name; all of them by default.") var name: String?
        @Flag(help: "All volumes and attachments, which is the default.") var all = false
        @Option(help: ArgumentHelp("How long to wait for attached targets, 0 to 600.", valueName: "seconds"))
        var wait = 5
        @OptionGroup var output: FormatOption

        func validate() throws {
            guard name == nil || !all else { throw ValidationError("Give a volume's name or --all, not both.") }
        }

        func run() async throws {
            try await reporting {
                let name = try name.map { try VolumeName($0) }
                let limit = try TimeArgument.limit(wait, in: 0...600)
                let keeper = LinkKeeper(host: try ThisHost.open())
                let rows =
                    if let name {
                        [try await keeper.repair(name, waitingForTarget: limit)]
                    } else {
                        try await keeper.repairAll(waitingForTargets: limit)
                    }
                try output.show(rows)
                return LinkRepairRow.exitStatus(of: rows)
            }
        }
    }
}

extension LinkFacts: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("NAME"), Table.Column("LINK"), Table.Column("LEADS TO"), Table.Column("RECORDED"),
            Table.Column("IS"), Table.Column("WHY", shrinks: true), Table.Column("WHAT TO DO", shrinks: true),
        ]
    }

    public var cells: [String] {
        [
            name.text, target ?? "-", [node, device].compactMap(\.self).joined(separator: " "), recorded ?? "-",
            verdict.rawValue, why ?? "", remedy ?? "",
        ]
    }
}

extension LinkRepairRow: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("NAME"), Table.Column("LINK"), Table.Column("RESULT"), Table.Column("WHY", shrinks: true),
            Table.Column("WHAT TO DO", shrinks: true),
        ]
    }

    public var cells: [String] { [name.text, target ?? "-", result.rawValue, why ?? "", remedy ?? ""] }
}

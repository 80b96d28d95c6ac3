import ArgumentParser
import HostModel
import Operations
import Reporting

struct AttachmentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attachments", abstract: "List what of other hosts is attached here, and how it stands.",
        discussion: """
            The states of AoE devices are the kernel's: up; down, where it has given the device up; closewait, down and \
            still open; absent. An iSCSI disk is up by every path, degraded where some are down, down where all are, or \
            absent. \
            TARGET says how what answers on the wire now stands to what is recorded: as-recorded, grown, shrunk, another \
            device, unusable, silent. The wire is asked for at most three seconds, each iSCSI portal for at most ten.

            --revalidate makes the kernel take over the size of a target that has grown, also while a guest uses it, whose \
            kernel then sees it within a second; growing the file system inside is the guest's affair. Refused for a target \
            that has become smaller or is another device.

            Exit codes: 0 done; 1 refused or failed; 4 the journal cannot be read; 5 another command is at work; 6 no such \
            attachment, or nobody answers; 64 usage.
            """)
    @Option(help: ArgumentHelp("Take over the new size of this one.", valueName: "name")) var revalidate: String?
    @OptionGroup var output: FormatOption

    func run() async throws {
        try await reporting {
            let name = try revalidate.map { try VolumeName($0) }
            let host = try ThisHost.open()
            if let name { try await takeOverSize(of: name, on: host) }
            try output.show(try await Attachments(host: host).list().filter { name == nil || $0.name == name })
            return .done
        }
    }

    private func takeOverSize(of name: VolumeName, on host: HostContext) async throws {
        let done = try await Attachments(host: host).revalidate(name, limit: .seconds(30))
        Console.say(
            done.size == done.former ? "\(name): \(done.size), as before" : "\(name): \(done.former) → \(done.size)")
        guard done.size != done.former else { return }
        for domain in done.domains {
            Console.say(
                "tell the guest \(domain): its kernel sees the new size within a second, but it has to grow its file "
                    + "system itself")
        }
    }
}

extension AttachmentRow: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("NAME"), Table.Column("ADDRESS", shrinks: true), Table.Column("STATE"),
            Table.Column("SIZE", .right), Table.Column("TARGET"), Table.Column("PATHS", shrinks: true),
            Table.Column("LINK"), Table.Column("USED BY", shrinks: true), Table.Column("WHY", shrinks: true),
            Table.Column("WHAT TO DO", shrinks: true),
        ]
    }

    public var cells: [String] {
        switch self {
        case .aoe(let row):
            Self.cells(
                row.name, row.address, row.state.rawValue, row.size, row.target,
                row.paths.map { "\($0.interface) \($0.mac)" }, row.link, row.uses, row.why, row.remedy)
        case .iscsi(let row):
            Self.cells(
                row.name, "\(row.address) LUN \(row.lun)", row.state.rawValue, row.size, row.target,
                row.paths.map {
                    "\($0.portal)\($0.interface.map { " \($0)" } ?? "") \($0.isUp ? $0.disk ?? "up" : "down")"
                },
                row.link, row.uses, row.why, row.remedy)
        }
    }

    private static func cells(
        _ name: VolumeName, _ address: String, _ state: String, _ size: ByteCount?, _ verdict: TargetVerdict,
        _ paths: [String], _ link: LinkFacts, _ uses: [VolumeUse], _ why: String?, _ remedy: String?
    ) -> [String] {
        [
            name.text, address, state, size?.description ?? "-", verdict.rawValue,
            paths.isEmpty ? "-" : paths.joined(separator: ", "), link.verdict.rawValue,
            uses.isEmpty ? "-" : uses.map(\.label).joined(separator: ", "), why ?? "", remedy ?? "",
        ]
    }
}

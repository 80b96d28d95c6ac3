import ArgumentParser
import Domains
import HostModel
import Operations
import Reporting

struct DomainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "domain",
        abstract: "Look at domains, define them, prepare their disks for swaps, and keep checkpoints.",
        subcommands: [List.self, Define.self, Prepare.self, CheckpointCommand.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the domains of this host, their disks, and whether each can be migrated.",
            discussion: ExitCodeHelp.reading)
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                try output.show(DomainList(domains: try await DomainCatalog(host: try ThisHost.open()).all()))
                return .done
            }
        }
    }
}

/// The domains, a line for each disk.
struct DomainList: Renderable {
    var domains: [DomainSummary]

    func encode(to encoder: any Encoder) throws { try domains.encode(to: encoder) }

    var table: Table {
        Table(
            columns: [
                Table.Column("NAME"), Table.Column("ID", .right), Table.Column("STATE"),
                Table.Column("MEMORY", .right), Table.Column("TYPE"), Table.Column("DISK"), Table.Column("VOLUME"),
                Table.Column("LEADS TO"), Table.Column("MIGRATABLE", shrinks: true),
            ],
            rows: domains.flatMap(rows))
    }

    private func rows(_ domain: DomainSummary) -> [[String]] {
        let head = [
            domain.name ?? "-", "\(domain.id)", domain.state.rawValue, domain.memory.description,
            domain.type?.rawValue ?? "-",
        ]
        let obstacle = domain.obstacles.first.map { "no: \($0)" }
        guard !domain.disks.isEmpty else { return [head + ["-", "-", "-", obstacle ?? "yes"]] }
        return domain.disks.map { disk in
            head + [
                disk.device, disk.volume?.text ?? disk.path ?? "empty", disk.leadsTo ?? "-",
                disk.isMigratable ? obstacle ?? "yes" : "no: \(disk.why ?? "it is on no volume")",
            ]
        }
    }
}

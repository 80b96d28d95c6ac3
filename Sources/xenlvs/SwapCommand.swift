import ArgumentParser
import HostModel
import Operations
import Reporting

struct SwapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swap", abstract: "Put a running guest's disks on replicas, or back on volumes, without a freeze.",
        discussion: """
            The disks need a switch ('xenlvs volume create --switch', 'xenlvs domain prepare'): its table is changed below \
            the guest, whose requests wait for some milliseconds. A replica made here is a DRBD device without a peer; a \
            restart of this host ends it, and the guest's data are on its volume all the time. Repeat a swap that was \
            interrupted, or go back with '--to volume'. Each disk is swapped wholly or not at all. Where no domain of the \
            name runs, a volume may be named instead.

            \(ExitCodeHelp.changing)
            """)
    @Argument(help: "The domain, or one of its disks: web1, web1:xvda.") var domain: String
    @Option(name: .customLong("to"), help: "What the disk is put on.") var place: Place
    @OptionGroup var output: FormatOption

    enum Place: String, ExpressibleByArgument, CaseIterable { case replica, volume }

    func run() async throws {
        try await reporting {
            let (name, device) = try GuestDiskArgument.parse(domain)
            let manager = SwapManager(worker: HostWorker(host: try ThisHost.open(), version: Version.text))
            var rows: [SwapRow] = []
            for disk in try await manager.disks(of: name, device: device) {
                do {
                    rows.append(
                        try await manager.swap(
                            disk.volume, device: disk.device, onto: place == .replica ? .replica : .volume,
                            say: Console.say))
                } catch {
                    // What was done for the disks before it is a result too.
                    if !rows.isEmpty { try output.show(rows) }
                    throw error
                }
            }
            try output.show(rows)
            return .done
        }
    }
}

/// `web1` or `web1:xvda`.
enum GuestDiskArgument {
    /// Throws a `.usage` failure.
    static func parse(_ text: String) throws -> (name: String, device: String?) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else {
            throw Failure(
                .usage, "'\(text.prefix(200))' is neither a domain nor a disk of one",
                remedy: "give DOMAIN or DOMAIN:xvda")
        }
        return (parts[0], parts.count == 2 ? parts[1] : nil)
    }
}

extension SwapRow: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("VOLUME"), Table.Column("DISK"), Table.Column("ON"), Table.Column("LEADS TO"),
            Table.Column("STOOD STILL", .right),
        ]
    }

    public var cells: [String] {
        [
            volume.text, device ?? "-", onto, leadsTo,
            stallMilliseconds.map { "\(($0 * 10).rounded() / 10) ms" } ?? "was there",
        ]
    }
}

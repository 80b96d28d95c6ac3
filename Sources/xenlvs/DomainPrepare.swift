import ArgumentParser
import HostModel
import Operations
import Reporting

extension DomainCommand {
    struct Prepare: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put switches between a domain's links and its LVs, for its next start.",
            discussion: """
                A guest that runs is not touched: it has its LVs open as before, and opens the switches when it is started the \
                next time ('xl shutdown' and 'xl create', or a reboot inside). From then on 'xenlvs swap' works. \
                Where no domain of the name runs, a volume may be named instead.

                \(ExitCodeHelp.changing)
                """)
        @Argument(help: "The domain, or one of its disks: web1, web1:xvda.") var domain: String
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                let (name, device) = try GuestDiskArgument.parse(domain)
                let worker = HostWorker(host: try ThisHost.open(), version: Version.text)
                var prepared: [PreparedDisk] = []
                for disk in try await SwapManager(worker: worker).disks(of: name, device: device) {
                    prepared.append(try await DomainPreparer(worker: worker).prepare(disk.volume, device: disk.device))
                }
                try output.show(prepared)
                if prepared.contains(where: \.takesEffectAtNextStart) {
                    Console.say("start the domain \(name) anew: until then it has its LVs open themselves")
                }
                return .done
            }
        }
    }
}

extension PreparedDisk: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("VOLUME"), Table.Column("DISK"), Table.Column("SWITCH"), Table.Column("RESULT"),
            Table.Column("IN USE"),
        ]
    }

    public var cells: [String] {
        [
            volume.text, device ?? "-", path, result.rawValue,
            takesEffectAtNextStart ? "from the next start of its domain" : "from now on",
        ]
    }
}

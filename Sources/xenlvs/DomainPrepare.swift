import ArgumentParser
import HostModel
import Operations
import Reporting

extension DomainCommand {
    struct Prepare: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "prepare", abstract: "Put switches between a domain's links and its LVs, for its next start.",
            discussion: """
                A guest that runs is not touched: it has its LVs open as before, and opens the switches when it is started the \
                next time ('xl shutdown' and 'xl create', or a reboot inside). From then on 'xenlvs swap' works. \
                With --live it has its switches at once and does not stand still: what it has open becomes the switch, and the \
                LV gets another UUID, by which LVM knows it. Only plain LVs can be taken so (linear or striped, no snapshots, no thin \
                pool in the group). With --now it is saved and restored once: it stands still for some seconds. \
                Where no domain of the name runs, a volume may be named instead.

                \(ExitCodeHelp.changing)
                """)
        @Argument(help: "The domain, or one of its disks: web1, web1:xvda.") var domain: String
        @Flag(help: "Save and restore the domain, so that it uses its switches from now on.") var now = false
        @Flag(help: "Make what the domain has open its switches, while it runs.") var live = false
        @OptionGroup var output: FormatOption

        func validate() throws {
            if now, live { throw ValidationError("--live does without what --now does: give one of them") }
        }

        func run() async throws {
            try await reporting {
                let (name, device) = try GuestDiskArgument.parse(domain)
                let worker = HostWorker(host: try ThisHost.open(), version: Version.text)
                let disks = try await GuestDiskArgument.disks(of: name, device, inBracket: now, worker).disks
                let preparer = DomainPreparer(worker: worker)
                var prepared: [PreparedDisk] = []
                for disk in disks {
                    guard live else {
                        prepared.append(try await preparer.prepare(disk.volume, device: disk.device))
                        continue
                    }
                    let (adopted, wasInterrupted) = try await finishing {
                        try await preparer.adopt(disk.volume, device: disk.device)
                    }
                    prepared.append(adopted)
                    if wasInterrupted, prepared.count < disks.count {
                        try output.show(prepared)
                        throw Failure(
                            .interrupted, "not all disks of '\(name)' have their switches", why: "it was interrupted",
                            remedy: "type the same again to go on")
                    }
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

import ArgumentParser
import HostModel
import Operations
import Reporting

struct SwapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swap",
        abstract: "Put a running guest's disks on replicas, on other storage, or back, without a freeze.",
        discussion: """
            The disks need a switch ('xenlvs volume create', 'xenlvs domain prepare', or --bracket): its table is changed below \
            the guest, whose requests wait for some milliseconds. Where no domain of the name runs, a volume may be named \
            instead. Each disk is swapped wholly or not at all. Repeat a swap that was interrupted, or go back with \
            '--to volume'.

            replica: a DRBD device without a peer. A restart of this host ends it, and the guest's data are on its volume \
            all the time.

            vg:VG, device:NAME: a new LV, or an attachment (iSCSI, over several paths as well, or AoE). With --copy the \
            guest writes to both from the beginning, until everything is copied and compared; then the new place is the \
            volume's. The kernel copies: it goes on where this command is ended (Ctrl-C), and after a restart of the host. \
            A larger place makes the guest's disk larger. The LV that is left is kept as NAME.old, read-only, \
            until 'xenlvs volume remove' removes it. On an attachment its link and the volume's lead to the same data: no \
            guest may have both.

            \(ExitCodeHelp.changing)
            """)
    @Argument(help: "The domain, or one of its disks: web1, web1:xvda.") var domain: String
    @Option(
        name: .customLong("to"),
        help: "What the disk is put on: replica, volume, vg:VG, or device:NAME as in 'xenlvs attachments'.")
    var place: String
    @Flag(help: "Copy to the new place first, while the guest runs.") var copy = false
    @Flag(
        name: .customLong("same-data"),
        help: "Copy nothing: the device is another way to the storage that the disk is on. It is compared nevertheless."
    )
    var hasSameData = false
    @Flag(help: "Copy also to a device that is not empty.") var overwrite = false
    @Flag(
        help:
            "Where a disk has no switch in use, put one there first: the domain is saved and restored once, and stands still."
    )
    var bracket = false
    @Option(help: "The most that may be copied, and compared, in a second, such as 50M.") var bandwidth: String?
    @OptionGroup var output: FormatOption

    func run() async throws {
        try await reporting {
            let (name, device) = try GuestDiskArgument.parse(domain)
            let target = try SwapTarget(parsing: place)
            let options = try options(target)
            let worker = HostWorker(host: try ThisHost.open(), version: Version.text)
            let manager = SwapManager(worker: worker)
            let (disks, wasInterrupted) = try await GuestDiskArgument.disks(
                of: name, device, inBracket: bracket, worker)
            if wasInterrupted {
                throw Failure(
                    .interrupted, "'\(domain)' was not swapped",
                    why: "it was interrupted; the guest has its switches by now",
                    remedy: "type the same again to go on")
            }
            var rows: [SwapRow] = []
            for disk in disks {
                do {
                    rows.append(try await swap(disk, target, options, manager))
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

    private func options(_ target: SwapTarget) throws -> MoveOptions {
        let options = MoveOptions(
            copies: copy, hasSameData: hasSameData, overwrites: overwrite,
            limit: try bandwidth.map(SizeArgument.bandwidth))
        switch target {
        case .group, .device: break
        case .volume, .replica:
            guard options == MoveOptions() else {
                throw Failure(.usage, "nothing is copied by a swap to \(place)")
            }
        }
        return options
    }

    private func swap(
        _ disk: (device: String?, volume: VolumeName), _ target: SwapTarget, _ options: MoveOptions,
        _ manager: SwapManager
    ) async throws -> SwapRow {
        guard let place = target.place(of: disk.volume) else {
            return try await manager.swap(
                disk.volume, device: disk.device, onto: target == .replica ? .replica : .volume, say: Console.say)
        }
        let display = CopyDisplay()
        defer { display.finish() }
        return try await manager.move(
            disk.volume, device: disk.device, to: place, options,
            MoveListener(say: display.say, progress: display.show))
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

    /// The disks that are meant. After a bracket they have switches, and how long the domain stood still for that is told.
    /// - Returns: also whether the operator has asked for the end in it.
    static func disks(
        of name: String, _ device: String?, inBracket: Bool, _ worker: HostWorker
    ) async throws -> (disks: [(device: String?, volume: VolumeName)], wasInterrupted: Bool) {
        guard inBracket else {
            return (try await SwapManager(worker: worker).disks(of: name, device: device), false)
        }
        let (prepared, wasInterrupted) = try await finishing {
            try await DomainBracket(worker: worker).prepare(name, device: device)
        }
        if let time = prepared.stoodStill {
            Console.say("the domain \(name) stood still for \(Format.duration(time))")
        }
        return (prepared.disks, wasInterrupted)
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

import ArgumentParser
import HostModel
import Operations
import Reporting
import Storage

/// All volumes, each followed by its snapshots.
struct VolumeList: Renderable {
    var volumes: [VolumeSummary]

    func encode(to encoder: any Encoder) throws { try volumes.encode(to: encoder) }

    var table: Table {
        Table(
            columns: [
                Table.Column("NAME"), Table.Column("SIZE", .right), Table.Column("PLACE"), Table.Column("STATE"),
                Table.Column("LINK", shrinks: true), Table.Column("USED BY", shrinks: true),
            ],
            rows: volumes.flatMap { [row($0)] + $0.snapshots.map(row) })
    }

    private func row(_ volume: VolumeSummary) -> [String] {
        [
            volume.name.text, volume.size.description, volume.place, volume.problem ?? state(volume),
            volume.link.target ?? "-", volume.uses.isEmpty ? "-" : volume.uses.map(\.label).joined(separator: ", "),
        ]
    }

    /// A switch is spoken of where it is not simply on its volume.
    private func state(_ volume: VolumeSummary) -> String {
        guard let found = volume.deviceSwitch else { return volume.state }
        if found.verdict != .right { return "\(volume.state), switch \(found.verdict.rawValue)" }
        return found.goal == "replica" ? "\(volume.state), on a replica" : volume.state
    }

    private func row(_ snapshot: Snapshot) -> [String] {
        [
            snapshot.name.text, snapshot.size.description, "\(snapshot.group)/\(snapshot.name)",
            "snapshot of \(snapshot.origin), \(snapshot.condition)", "-", "-",
        ]
    }
}

/// One volume, a line for each thing that is known of it.
struct VolumeDetail: Renderable {
    var volume: VolumeSummary

    func encode(to encoder: any Encoder) throws { try volume.encode(to: encoder) }

    var table: Table {
        var rows = [
            ["name", volume.name.text], ["size", "\(volume.size) (\(volume.size.bytes) bytes)"],
            ["place", volume.place],
            ["device", volume.device ?? "none: it is not active"],
            ["state", [volume.state, volume.stateDetail].compactMap(\.self).joined(separator: ": ")],
            ["link", [volume.link.path, volume.link.target].compactMap(\.self).joined(separator: " → ")],
            ["link is", volume.link.verdict.rawValue],
        ]
        if let found = volume.deviceSwitch {
            rows.append(["switch", "\(found.path) → \(found.leadsTo ?? "nothing"), \(found.goal)"])
            rows.append(["switch is", found.verdict.rawValue])
            if let why = found.why { rows.append(["", why]) }
            if let remedy = found.remedy { rows.append(["", remedy]) }
        }
        if let why = volume.link.why { rows.append(["", why]) }
        if let remedy = volume.link.remedy { rows.append(["", remedy]) }
        if let uuid = volume.logicalVolumeUUID { rows.append(["LV UUID", uuid]) }
        if let problem = volume.problem { rows.append(["problem", problem]) }
        rows += volume.uses.map { ["used by", $0.label] }
        rows += volume.snapshots.map { ["snapshot", "\($0.name), \($0.size), \($0.condition)"] }
        return Table(columns: [Table.Column("VOLUME"), Table.Column("")], rows: rows)
    }
}

extension VolumeUse {
    /// `domain web1`, for a column.
    var label: String { "\(kind.rawValue) \(name)" }
}

extension VolumeCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the volumes of this host with their links, users and snapshots.",
            discussion: """
                LVM is asked only where the kernel does not have every volume as it is recorded. A physical volume that is \
                missing is told by 'xenlvs volume show' and 'xenlvs doctor', which always ask it.

                \(ExitCodeHelp.reading)
                """)
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                try output.show(
                    VolumeList(volumes: try await VolumeCatalog(host: try ThisHost.open()).all(asksLVM: false)))
                return .done
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show everything that is known of a volume.",
            discussion: ExitCodeHelp.reading)
        @Argument(help: "The volume's name.") var name: String
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                let name = try VolumeName(name)
                try output.show(VolumeDetail(volume: try await VolumeCatalog(host: try ThisHost.open()).volume(name)))
                return .done
            }
        }
    }
}

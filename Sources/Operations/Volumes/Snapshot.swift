import FoundationEssentials
import HostModel
import Storage

/// A copy-on-write snapshot of an LV, as LVM reports it.
public struct Snapshot: Sendable, Codable, Equatable {
    public var group: VolumeGroupName
    public var name: LogicalVolumeName
    /// The LV whose former content it shows.
    public var origin: LogicalVolumeName
    /// The room for what has changed since.
    public var size: ByteCount
    /// How much of that room is used, from 0 to 100; nil where LVM does not say.
    public var percentUsed: Double?
    /// It ran full, and its content is lost.
    public var isInvalid: Bool

    var reference: LogicalVolumeReference { LogicalVolumeReference(group: group, name: name) }

    /// What an operator has to know of its state: `12 % full`.
    public var condition: String {
        if isInvalid { return "lost, it ran full" }
        return percentUsed.map { "\(Int($0.rounded())) % full" } ?? "not active"
    }
}

extension [Snapshot] {
    /// Those of an LV, of whatever kind and whoever made them.
    func of(_ reference: LogicalVolumeReference) -> [Snapshot] {
        filter { $0.group == reference.group && $0.origin == reference.name }
    }
}

extension CommandRunner {
    /// All snapshots of this host, whoever made them.
    func snapshots() async throws -> [Snapshot] {
        try SnapshotCommands.parse(try await run(SnapshotCommands.list()).output)
    }
}

/// The LVM commands for snapshots, as values, and LVM's report of them.
enum SnapshotCommands {
    /// Marks a snapshot that xenlvs made, with the volume it is of.
    static func tag(_ volume: VolumeName) -> LogicalVolumeTag {
        LogicalVolumeTag(unchecked: "xenlvs.snapshot=\(volume)")
    }

    /// Makes a snapshot with `size` for what changes from now on. LVM suspends the origin for a moment; a running guest's
    /// snapshot shows what a power cut would have left. Nobody watches how full it gets: `--ignoremonitoring` keeps LVM
    /// from starting a daemon for it.
    /// - Throws: `.refused` where the group has no room for it.
    static func create(
        _ name: VolumeName, of volume: VolumeName, origin: LogicalVolumeReference, size: ByteCount,
        in group: VolumeGroup
    ) throws(Failure) -> Command {
        let lv = LogicalVolumeName(of: name)
        try group.checkRoom(for: size, named: lv)
        return .mutation(
            .lvm, "lvcreate", "--snapshot", "--ignoremonitoring", "--size", "\(size.bytes)b", "--name", lv.text,
            "--addtag", LogicalVolumeTag.ours.text, "--addtag", tag(volume).text, origin.description)
    }

    private static let fields = ["vg_name", "lv_name", "origin", "lv_size", "data_percent", "lv_attr"]

    /// Lists every LV with what it is a snapshot of. Read with `parse`.
    static func list() -> Command {
        .query(
            .lvm, "lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "--options",
            fields.joined(separator: ","), "--select", "origin!=\"\"")
    }

    /// Reads the output of `list`. Throws `.inconsistent` where it is not that.
    static func parse(_ output: String) throws(Failure) -> [Snapshot] {
        guard let first = output.firstIndex(of: "{"), let last = output.lastIndex(of: "}"), first < last,
            let report = try? JSONDecoder().decode(Report.self, from: Data(output[first...last].utf8))
        else {
            throw Failure(
                .inconsistent, "cannot read LVM's list of snapshots", why: "it is '\(output.prefix(200))'",
                remedy: "see that 'lvs --reportformat json' works on this host")
        }
        return report.report.flatMap { $0["lv"] ?? [] }.compactMap(snapshot)
    }

    private struct Report: Decodable { var report: [[String: [[String: String]]]] }

    private static func snapshot(_ row: [String: String]) -> Snapshot? {
        guard let group = row["vg_name"].flatMap({ try? VolumeGroupName($0) }),
            let name = row["lv_name"].flatMap({ try? LogicalVolumeName($0) }),
            let origin = row["origin"].flatMap({ try? LogicalVolumeName($0) }),
            let size = row["lv_size"].flatMap({ Int64($0) }), let attributes = row["lv_attr"].map(Array.init),
            attributes.count == 10
        else { return nil }
        // lvs(8), lv_attr, fifth character: I and S are a snapshot that is invalid.
        return Snapshot(
            group: group, name: name, origin: origin, size: ByteCount(size),
            percentUsed: row["data_percent"].flatMap { Double($0) }, isInvalid: "IS".contains(attributes[4]))
    }
}

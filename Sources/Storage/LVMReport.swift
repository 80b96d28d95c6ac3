import FoundationEssentials
import HostModel

/// Reads the JSON reports of `lvs` and `vgs` (lvmreport(7); recorded from LVM 2.03.16 of Debian 12).
///
/// Every value is a string. Text around the report, as LVM prints it to stdout for some settings of `lvm.conf`, is
/// passed over. Rows with names that xenlvs cannot use (a VG name longer than its bound) are left out.
public enum LVMReport {
    /// What is asked of an LV. `segtype` is left out on purpose: it makes `lvs` print one row for each segment.
    enum VolumeField: String, CaseIterable {
        case group = "vg_name"
        case name = "lv_name"
        case uuid = "lv_uuid"
        case size = "lv_size"
        case attributes = "lv_attr"
        case tags = "lv_tags"
        case layout = "lv_layout"
        case role = "lv_role"
        case health = "lv_health_status"
        case open = "lv_device_open"
        case major = "lv_kernel_major"
        case minor = "lv_kernel_minor"
    }

    /// What is asked of a volume group.
    enum GroupField: String, CaseIterable {
        case name = "vg_name"
        case uuid = "vg_uuid"
        case size = "vg_size"
        case free = "vg_free"
        case extentSize = "vg_extent_size"
        case attributes = "vg_attr"
        case missing = "vg_missing_pv_count"
    }

    /// Reads a report of `LVMCommands.listVolumes` or `findVolume`. Throws `.inconsistent` where it is not one.
    public static func volumes(_ output: String) throws(Failure) -> [LogicalVolume] {
        var volumes: [LogicalVolume] = []
        for values in try rows("lv", output) {
            if let volume = try volume(LVMRow<VolumeField>(values)) { volumes.append(volume) }
        }
        return volumes
    }

    /// Reads a report of `LVMCommands.listGroups` or `group`. Throws `.inconsistent` where it is not one.
    public static func groups(_ output: String) throws(Failure) -> [VolumeGroup] {
        var groups: [VolumeGroup] = []
        for values in try rows("vg", output) {
            if let group = try group(LVMRow<GroupField>(values)) { groups.append(group) }
        }
        return groups
    }

    /// Reads a report of `LVMCommands.listPhysicalVolumes`; those whose device is missing are left out. Throws
    /// `.inconsistent` where it is not one.
    public static func physicalVolumes(_ output: String) throws(Failure) -> [PhysicalVolume] {
        var volumes: [PhysicalVolume] = []
        for values in try rows("pv", output) {
            guard let name = values["pv_name"] else { throw Failure.unreadableReport("pv_name is missing", output) }
            if name.hasPrefix("/") { volumes.append(PhysicalVolume(path: name, group: values["vg_name"] ?? "")) }
        }
        return volumes
    }

    private struct Report: Decodable {
        var report: [[String: [[String: String]]]]
    }

    /// The rows of the report's sections that are named `section`.
    private static func rows(_ section: String, _ output: String) throws(Failure) -> [[String: String]] {
        guard let first = output.firstIndex(of: "{"), let last = output.lastIndex(of: "}"), first < last else {
            throw Failure.unreadableReport("it holds no JSON object", output)
        }
        do {
            let report = try JSONDecoder().decode(Report.self, from: Data(output[first...last].utf8)).report
            return report.flatMap { $0[section] ?? [] }
        } catch {
            throw Failure.unreadableReport(String(describing: error), output)
        }
    }

    private static func volume(_ row: LVMRow<VolumeField>) throws(Failure) -> LogicalVolume? {
        guard let group = try? VolumeGroupName(row[.group]), let name = try? LogicalVolumeName(row[.name]) else {
            return nil
        }
        let attributes = Array(try row[.attributes])
        guard attributes.count == 10 else { throw row.malformed(.attributes) }
        let activation = activation(attributes[4])
        let health = try row[.health]
        return LogicalVolume(
            reference: LogicalVolumeReference(group: group, name: name), uuid: try row[.uuid],
            size: ByteCount(try row.number(.size)), tags: try row.words(.tags), activation: activation,
            isReadOnly: attributes[1] == "r" || attributes[1] == "R", isOpen: isOpen(try row[.open], activation),
            layout: try row.words(.layout), role: try row.words(.role), health: health.isEmpty ? nil : health,
            device: device(try row[.major], try row[.minor]))
    }

    private static func group(_ row: LVMRow<GroupField>) throws(Failure) -> VolumeGroup? {
        guard let name = try? VolumeGroupName(row[.name]) else { return nil }
        let attributes = Array(try row[.attributes])
        guard attributes.count == 6 else { throw row.malformed(.attributes) }
        let extentSize = ByteCount(try row.number(.extentSize))
        guard extentSize.bytes > 0 else { throw row.malformed(.extentSize) }
        return VolumeGroup(
            name: name, uuid: try row[.uuid], size: ByteCount(try row.number(.size)),
            free: ByteCount(try row.number(.free)), extentSize: extentSize,
            missingPhysicalVolumes: Int(try row.number(.missing)), isWriteable: attributes[0] == "w",
            isExported: attributes[2] == "x")
    }

    /// The fifth character of `lv_attr` (lvs(8)).
    private static func activation(_ letter: Character) -> LogicalVolume.Activation {
        switch letter {
        case "-": .inactive
        case "a": .active
        case "s": .suspended
        case "X": .unknown
        default: .other(letter)
        }
    }

    /// LVM says `unknown` of every LV without a device too, where nothing can be open.
    private static func isOpen(_ word: String, _ activation: LogicalVolume.Activation) -> Bool? {
        switch word {
        case "open": true
        case "": false
        default: activation == .inactive ? false : nil
        }
    }

    /// LVM prints -1 for both numbers of an LV without a device.
    private static func device(_ major: String, _ minor: String) -> BlockDeviceNumber? {
        guard let major = UInt32(major), let minor = UInt32(minor) else { return nil }
        return BlockDeviceNumber(major: major, minor: minor)
    }
}

/// One row of a report, by field.
private struct LVMRow<Field: RawRepresentable<String>> {
    private let values: [String: String]

    init(_ values: [String: String]) { self.values = values }

    subscript(field: Field) -> String {
        get throws(Failure) {
            guard let value = values[field.rawValue] else { throw malformed(field) }
            return value
        }
    }

    func number(_ field: Field) throws(Failure) -> Int64 {
        guard let number = Int64(try self[field]) else { throw malformed(field) }
        return number
    }

    func words(_ field: Field) throws(Failure) -> Set<String> {
        Set(try self[field].split(separator: ",").map(String.init))
    }

    func malformed(_ field: Field) -> Failure {
        let text = values.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: " ")
        return Failure.unreadableReport("\(field.rawValue) is missing or malformed", text)
    }
}

extension Failure {
    fileprivate static func unreadableReport(_ why: String, _ text: String) -> Failure {
        Failure(
            .inconsistent, "cannot read LVM's report", why: "\(why) in '\(text.prefix(200))'",
            remedy: "see that 'lvs --reportformat json' works on this host")
    }
}

/// A device on which LVM keeps a volume group.
public struct PhysicalVolume: Sendable, Hashable {
    /// The name that LVM prefers: `/dev/sdb`.
    public var path: String
    /// Empty where it belongs to none yet.
    public var group: String
}

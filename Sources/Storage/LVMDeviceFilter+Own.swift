import HostModel

extension LVMDeviceFilter {
    /// What keeps LVM off everything that a guest writes to by another name than its LV: DRBD's devices, AoE's, switches and
    /// maps of xenlvs's, the disks of iSCSI sessions by the names that udev gives them, and multipathd's maps. As in
    /// conf/lvmlocal.conf.
    public static let ownPatterns = [
        "r|^/dev/drbd|", "r|^/dev/etherd/|", "r|^/dev/mapper/xenlvs-|", "r|^/dev/disk/by-path/ip-.*-iscsi-|",
        "r|^/dev/disk/by-id/dm-uuid-mpath-|",
    ]

    /// `global_filter = [ … ]`, as it stands in LVM's configuration.
    public static func line(_ patterns: [String]) -> String {
        "global_filter = [ " + patterns.map { "\"\($0)\"" }.joined(separator: ", ") + " ]"
    }

    /// Says whether what stands in the files is a configuration at all; it fails where it is not.
    public static func validation() -> Command { .query(.lvm, "lvmconfig", "--validate") }

    /// Asks for what somebody has set in the files; it ends with 5 where nobody has. Read with `init(parsing:)`.
    public static func settingQuery() -> Command {
        Command(
            .lvm, ["lvmconfig", "--typeconfig", "current", "devices/global_filter"], .query, acceptedExitCodes: [0, 5])
    }

    /// The patterns of the first setting, as they stand there: `r|^/dev/drbd|`.
    public var patterns: [String] { settings.first.map { $0.map(\.text) } ?? [] }

    /// Asks whether LVM has a list of the devices that it looks at. Read with `devicesFile(parsing:)`.
    public static func devicesFileQuery() -> Command {
        .query(.lvm, "lvmconfig", "--typeconfig", "full", "devices/use_devicesfile", "devices/devicesfile")
    }

    /// The name of the file with that list, in `/etc/lvm/devices`; nil where LVM does not use one. Throws `.inconsistent`.
    public static func devicesFile(parsing output: String) throws(Failure) -> String? {
        var values: [String: String] = [:]
        for line in output.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[String(parts[0])] = parts[1].filter { $0 != "\"" } }
        }
        switch values["use_devicesfile"] {
        case "0": return nil
        case "1":
            guard let name = values["devicesfile"], !name.isEmpty, !name.contains("/") else { throw unreadable(output) }
            return name
        default: throw unreadable(output)
        }
    }
}

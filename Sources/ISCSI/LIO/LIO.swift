import HostModel

/// The places of LIO, the kernel's target (Documentation/target/tcm_mod_builder.rst; target_core_configfs.c,
/// target_core_fabric_configfs.c and iscsi_target_configfs.c of Linux 6.1).
enum LIO {
    static let core = "core"
    static let fabric = "iscsi"
    static let discovery = "iscsi/discovery_auth"

    /// The host bus adapters that xenlvs makes its devices on, one for each device: targetcli and what restores its
    /// configuration expect that. Numbers of their own, because targetcli gives out the lowest that is free.
    static let adapters = 3260...19_259
    /// The one portal group of a target.
    static let group = "tpgt_1"

    static func adapter(_ number: Int) -> String { "\(core)/iblock_\(number)" }

    /// The number of an adapter of xenlvs's; nil for any other path.
    static func number(ofAdapter path: some StringProtocol) -> Int? {
        guard path.hasPrefix("\(core)/iblock_"), let number = Int(path.dropFirst("\(core)/iblock_".count)),
            adapters.contains(number), adapter(number) == path
        else { return nil }
        return number
    }

    /// The name of a device on one of xenlvs's adapters; nil for any other path.
    static func name(ofDevice path: String) -> Substring? {
        guard let slash = path.lastIndex(of: "/"), number(ofAdapter: path[..<slash]) != nil else { return nil }
        return path[slash...].dropFirst()
    }

    static func target(_ name: some CustomStringConvertible) -> String { "\(fabric)/\(name)" }

    /// Longest value of `udev_path` (`SE_UDEV_PATH_LEN`, target_core_base.h), less its NUL.
    static let longestDevicePath = 511

    /// A portal group's attributes and parameters as an export has them, in the order in which they are written. What is
    /// new is read-only until it is said to be otherwise (`prod_mode_write_protect`): there is no moment in which an
    /// initiator that must not write could.
    static func settings(of export: ResolvedExport) -> [(path: String, value: String)] {
        [
            ("attrib/authentication", export.credentials.isEmpty ? "0" : "1"),
            ("attrib/generate_node_acls", "0"),
            ("attrib/cache_dynamic_acls", "0"),
            ("attrib/demo_mode_discovery", "0"),
            ("attrib/demo_mode_write_protect", "1"),
            ("attrib/prod_mode_write_protect", "1"),
            ("param/HeaderDigest", export.export.headerDigest.words),
            ("param/DataDigest", export.export.dataDigest.words),
        ]
    }

    static let settingPaths = [
        "attrib/authentication", "attrib/generate_node_acls", "attrib/cache_dynamic_acls",
        "attrib/demo_mode_discovery", "attrib/demo_mode_write_protect", "attrib/prod_mode_write_protect",
        "param/HeaderDigest", "param/DataDigest",
    ]
}

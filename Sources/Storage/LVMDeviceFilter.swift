import HostModel

/// Which devices LVM scans on this host (lvm.conf, `devices/global_filter` and `devices/filter`).
///
/// Every LVM command opens each device that it scans. Where DRBD's are among them, a command at the wrong moment keeps
/// DRBD from becoming Secondary (`held open by someone`, -12; seen with LVM's default filter), and volume groups inside
/// of guests show up on the host. `doctor` asks with this type.
public struct LVMDeviceFilter: Sendable, Equatable {
    struct Rule: Sendable, Equatable {
        var accepts: Bool
        var pattern: String
        /// As it stands in the configuration: `r|^/dev/drbd|`.
        var text: String
    }

    /// The rules of each setting; a device must pass them all.
    let settings: [[Rule]]

    /// Asks for the settings. Read with `init(parsing:)`.
    public static func query() -> Command {
        .query(.lvm, "lvmconfig", "--typeconfig", "full", "devices/filter", "devices/global_filter")
    }

    /// What the operator does where `accepts("/dev/drbd0")`. A closing `a|.*|` must not follow: LVM accepts a device of
    /// which it accepts any one name.
    public static let remedy =
        #"run 'xenlvs doctor --set-lvm-filter' there, or put "r|^/dev/drbd|" in front of devices/global_filter by hand"#

    /// The same where it accepts a switch (`/dev/mapper/xenlvs-…`).
    public static let switchRemedy =
        #"run 'xenlvs doctor --set-lvm-filter', or put "r|^/dev/mapper/xenlvs-|" in front of devices/global_filter by hand"#

    /// Reads lines like `filter=["a|^/dev/sd|","r|.*|"]`. Throws `.inconsistent` for anything else.
    public init(parsing output: String) throws(Failure) {
        var settings: [[Rule]] = []
        for line in output.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { throw Self.unreadable(line) }
            settings.append(try Self.rules(line[equals...].dropFirst()))
        }
        guard !settings.isEmpty else { throw Self.unreadable(output) }
        self.settings = settings
    }

    /// Whether LVM would scan the device of this name: in each setting the first rule that matches decides, and a name
    /// that none matches passes (`lib/filters/filter-regex.c`). Throws `.inconsistent` for a pattern that is no regular
    /// expression.
    public func accepts(_ path: String) throws(Failure) -> Bool { try accepts(anyOf: [path]) }

    /// Whether LVM would scan a device with all these names: one that is accepted by name wins over those that are rejected
    /// (`_accept_p`, lib/filters/filter-regex.c). Throws as `accepts`.
    public func accepts(anyOf names: [String]) throws(Failure) -> Bool {
        for rules in settings {
            var verdicts: [Bool] = []
            for name in names {
                for rule in rules {
                    guard let expression = try? Regex(rule.pattern) else { throw Self.unreadable(rule.pattern) }
                    guard name.contains(expression) else { continue }
                    verdicts.append(rule.accepts)
                    break
                }
            }
            if !verdicts.isEmpty, !verdicts.contains(true) { return false }
        }
        return true
    }

    /// Asks whether LVM looks for volume groups within logical volumes (`devices/scan_lvs`). Read with `scansVolumes`.
    public static func volumeScanQuery() -> Command {
        .query(.lvm, "lvmconfig", "--typeconfig", "full", "devices/scan_lvs")
    }

    /// Throws `.inconsistent` for what is neither `scan_lvs=0` nor `scan_lvs=1`.
    public static func scansVolumes(parsing output: String) throws(Failure) -> Bool {
        switch output.split(whereSeparator: \.isWhitespace).first {
        case "scan_lvs=0": false
        case "scan_lvs=1": true
        default: throw unreadable(output)
        }
    }

    /// What keeps LVM off the disks of iSCSI sessions, by the names that udev gives them, and off the maps over them,
    /// multipathd's and xenlvs's.
    public static let remedyForISCSI =
        #"run 'xenlvs doctor --set-lvm-filter', or put "r|^/dev/disk/by-path/ip-.*-iscsi-|", "#
        + #""r|^/dev/disk/by-id/dm-uuid-mpath-|", "r|^/dev/mapper/xenlvs-|" into devices/global_filter by hand, "#
        + "and nothing behind it that accepts them under another name, such as a|^/dev/sd|"

    /// The strings of a list, or one string alone. LVM's text has no commas between quotes other than the patterns'.
    private static func rules(_ value: Substring) throws(Failure) -> [Rule] {
        let parts = value.split(separator: "\"", omittingEmptySubsequences: false)
        guard parts.count % 2 == 1 else { throw unreadable(value) }
        var rules: [Rule] = []
        for index in stride(from: 1, to: parts.count, by: 2) { rules.append(try rule(parts[index])) }
        return rules
    }

    /// `a` or `r`, then the pattern between two marks of the operator's choice; brackets count as a pair.
    private static func rule(_ text: Substring) throws(Failure) -> Rule {
        let closing: [Character: Character] = ["(": ")", "[": "]", "{": "}"]
        let body = text.dropFirst()
        guard let kind = text.first, "ar".contains(kind), let mark = body.first, body.count > 2,
            body.last == closing[mark] ?? mark
        else { throw unreadable(text) }
        return Rule(accepts: kind == "a", pattern: String(body.dropFirst().dropLast()), text: String(text))
    }

    static func unreadable(_ text: some StringProtocol) -> Failure {
        Failure(.inconsistent, "cannot read LVM's device filter", why: "'\(text.prefix(200))' is not understood")
    }
}

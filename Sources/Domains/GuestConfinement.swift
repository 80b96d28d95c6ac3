import FoundationEssentials
import HostModel

/// Whether a guest's configuration reaches into the host beyond its disks' paths, its memory, its CPUs and bridges.
///
/// A list of what is known to be harmless, by the names of `tools/libs/light/libxl_types.idl` of Xen 4.17, and not of what is
/// known to be dangerous: programs (`device_model_override`, `bootloader`, `script`), files (`serial`, `p9s`, `bios`), memory,
/// ports and devices of the host are so left out, and what later versions bring.
public enum GuestConfinement {
    /// Why the configuration is not confined, or nil.
    /// - Throws: `.inconsistent` for what is not JSON.
    public static func objection(to json: [UInt8]) throws(Failure) -> String? {
        let tree: ConfigurationTree
        do { tree = try JSONDecoder().decode(ConfigurationTree.self, from: Data(json)) } catch {
            throw Failure(.inconsistent, "cannot read the configuration in the saved image", why: "it is not JSON")
        }
        // Of two fields of one name libxl could take the one that was not looked at.
        guard tree.fields == colons(in: json) else { return "its configuration names a field twice" }
        return objection(tree, at: "", top)
    }

    private indirect enum Rule: Sendable {
        case anything
        case object([String: Rule])
        case list(Rule)
        case text(@Sendable (String) -> Bool)
    }

    private static let top = Rule.object([
        "c_info": .object([
            "type": .text { ["pv", "pvh"].contains($0) }, "name": .anything, "domid": .anything, "uuid": .anything,
            "hap": .anything, "oos": .anything, "run_hotplug_scripts": .anything,
            "passthrough": .text { $0 == "disabled" },
        ]),
        "b_info": .object(build.merging(variants) { first, _ in first }),
        "disks": .list(.object(disk)), "nics": .list(.object(interface)),
        "on_poweroff": .anything, "on_reboot": .anything, "on_watchdog": .anything, "on_crash": .anything,
        "on_soft_reset": .anything,
    ])

    private static let build: [String: Rule] = Dictionary(
        uniqueKeysWithValues: [
            "max_vcpus", "avail_vcpus", "cpumap", "nodemap", "vcpu_hard_affinity", "vcpu_soft_affinity",
            "numa_placement", "tsc_mode", "max_memkb", "target_memkb", "video_memkb", "shadow_memkb", "rtc_timeoffset",
            "localtime", "disable_migrate", "cpuid", "sched_params", "claim_mode", "event_channels", "kernel",
            "cmdline", "ramdisk", "max_grant_frames", "max_maptrack_frames", "max_grant_version", "nested_hvm", "apic",
        ].map { ($0, Rule.anything) })

    private static let variants: [String: Rule] = [
        "type.pv": .object(["slack_memkb": .anything, "features": .anything]), "type.pvh": .object([:]),
        "arch_arm": .object([:]), "arch_x86": .object(["msr_relaxed": .text { $0 == "False" }]),
    ]

    private static let disk: [String: Rule] = [
        "pdev_path": .anything, "vdev": .anything, "backend": .text { ["unknown", "phy"].contains($0) },
        "format": .text { $0 == "raw" }, "readwrite": .anything, "removable": .anything, "discard_enable": .anything,
        "direct_io_safe": .anything, "colo_enable": .text { $0 == "False" },
        "colo_restore_enable": .text { $0 == "False" },
    ]

    private static let interface: [String: Rule] = [
        "devid": .anything, "mtu": .anything, "mac": .anything, "nictype": .text { $0 == "vif" },
        "rate_bytes_per_interval": .anything, "rate_interval_usecs": .anything, "trusted": .anything,
        // These reach a shell script.
        "bridge": .text { $0.isPlain("._-") }, "ifname": .text { $0.isPlain("._-") },
        "ip": .text { $0.isPlain(".:/ ") },
        "script": .text { $0.hasPrefix("/etc/xen/scripts/") && String($0.dropFirst(17)).isPlain("-_") },
    ]

    private static func objection(_ tree: ConfigurationTree, at path: String, _ rule: Rule) -> String? {
        switch (rule, tree) {
        case (.anything, _): return nil
        case (.object(let rules), .object(let fields)):
            for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
                let place = path.isEmpty ? name : "\(path).\(name)"
                guard let inner = rules[name] else { return "its configuration has '\(place)'" }
                if let why = objection(value, at: place, inner) { return why }
            }
            return nil
        case (.list(let inner), .list(let values)):
            return values.lazy.compactMap { objection($0, at: path, inner) }.first
        case (.text(let isGood), .text(let text)):
            return isGood(text) ? nil : "its configuration has '\(text)' for '\(path)'"
        case (.object, _), (.list, _), (.text, _): return "its configuration has something odd for '\(path)'"
        }
    }

    /// Colons outside of strings: as many as there are fields, in what is JSON.
    private static func colons(in json: [UInt8]) -> Int {
        var (count, isInside, isEscaped) = (0, false, false)
        for byte in json {
            if isEscaped {
                isEscaped = false
            } else if isInside, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInside.toggle()
            } else if !isInside, byte == UInt8(ascii: ":") {
                count += 1
            }
        }
        return count
    }
}

/// JSON of any form, as far as it matters here.
private indirect enum ConfigurationTree: Decodable {
    case object([String: ConfigurationTree])
    case list([ConfigurationTree])
    case text(String)
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let fields = try? container.decode([String: ConfigurationTree].self) {
            self = .object(fields)
        } else if let values = try? container.decode([ConfigurationTree].self) {
            self = .list(values)
        } else {
            self = .other
        }
    }

    /// How many fields there are in it.
    var fields: Int {
        switch self {
        case .object(let fields): fields.values.reduce(fields.count) { $0 + $1.fields }
        case .list(let values): values.reduce(0) { $0 + $1.fields }
        case .text, .other: 0
        }
    }
}

import HostModel

@testable import ISCSI

/// The kernel's directory of targets, with the kernel's rules: what must be there before what, what is refused while
/// something else holds on to it (target_core_configfs.c, target_core_fabric_configfs.c, iscsi_target_configfs.c, and
/// fs/configfs/dir.c for what rmdir refuses).
struct SimulatedTarget: TargetFileSystem {
    enum Node: Equatable {
        case directory
        case file(String)
        case link(String)
    }

    private(set) var nodes: [String: Node] = ["core": .directory, "core/alua": .directory]
    private var options: [String: [String: String]] = [:]
    /// Devices that are there, with their numbers.
    var blockDevices: [String: String] = [:]

    // MARK: Reading

    func directories(in path: String) throws(Failure) -> [String] {
        children(of: path).filter { nodes["\(path)/\($0)"] == .directory }
    }

    func links(in path: String) throws(Failure) -> [String: String] {
        var links: [String: String] = [:]
        for name in children(of: path) {
            if case .link(let target)? = nodes["\(path)/\(name)"] { links[name] = target }
        }
        return links
    }

    func text(_ path: String) throws(Failure) -> String? {
        if case .file(let text)? = nodes[path] { return text }
        return nil
    }

    private func children(of path: String) -> [String] {
        nodes.keys.filter { $0.hasPrefix(path + "/") && !$0.dropFirst(path.count + 1).contains("/") }
            .map { String($0.dropFirst(path.count + 1)) }.sorted()
    }

    // MARK: Writing

    mutating func perform(_ write: KernelWrite) throws(Failure) {
        let parts = write.path.split(separator: "/").map(String.init)
        switch write {
        case .makeDirectory(let path): try make(path, parts)
        case .write(let value, let path): try store(value, path, parts)
        case .writeSecret(let secret, let path): try store(secret.text, path, parts)
        case .link(let path, let target): try link(path, target, parts)
        case .unlink(let path):
            guard case .link? = nodes[path] else { throw Self.refusal(write, "ENOENT") }
            nodes[path] = nil
        case .removeDirectory(let path): try remove(path, parts)
        }
    }

    private static func refusal(_ subject: some CustomStringConvertible, _ why: String) -> Failure {
        Failure(.failed, "\(subject)", why: why)
    }

    private mutating func make(_ path: String, _ parts: [String]) throws(Failure) {
        guard nodes[path] == nil else { throw Self.refusal(path, "mkdir: EEXIST") }
        let parent = parts.dropLast().joined(separator: "/")
        guard parts.count == 1 || nodes[parent] == .directory else { throw Self.refusal(path, "mkdir: ENOENT") }
        switch (parts.first, parts.count) {
        case ("iscsi", 1):
            addFiles(["userid", "password", "userid_mutual", "password_mutual"], below: "iscsi/discovery_auth")
            nodes["iscsi/discovery_auth/enforce_discovery_auth"] = .file("0")
        case ("iscsi", 2), ("core", 2): break
        case ("core", 3): makeDevice(path)
        case ("iscsi", 3): makeGroup(path)
        case ("iscsi", 5) where ["np", "lun", "acls"].contains(parts[3]):
            if parts[3] == "np", !portalIsFree(parts) { throw Self.refusal(path, "mkdir: EEXIST") }
            if parts[3] == "acls" {
                addFiles(["userid", "password", "userid_mutual", "password_mutual"], below: "\(path)/auth")
                nodes["\(path)/info"] = .file("No active iSCSI Session for Initiator Endpoint: \(parts[4])")
            }
        case ("iscsi", 6) where parts[3] == "acls" && parts[5].hasPrefix("lun_"):
            nodes["\(path)/write_protect"] = .file("0")
        default: throw Self.refusal(path, "mkdir: EPERM")
        }
        nodes[path] = .directory
    }

    private mutating func addFiles(_ names: [String], below path: String) {
        nodes[path] = .directory
        for name in names { nodes["\(path)/\(name)"] = .file("") }
    }

    private mutating func makeDevice(_ path: String) {
        for file in ["control", "udev_path"] { nodes["\(path)/\(file)"] = .file("") }
        nodes["\(path)/enable"] = .file("0")
        nodes["\(path)/info"] = .file("Status: DEACTIVATED")
        for group in ["wwn", "attrib", "alua"] { nodes["\(path)/\(group)"] = .directory }
        nodes["\(path)/wwn/vpd_unit_serial"] = .file("T10 VPD Unit Serial Number: ")
        nodes["\(path)/attrib/emulate_tpu"] = .file("0")
        options[path] = [:]
    }

    private mutating func makeGroup(_ path: String) {
        for group in ["np", "lun", "acls", "attrib", "param"] { nodes["\(path)/\(group)"] = .directory }
        nodes["\(path)/enable"] = .file("0")
        let defaults = [
            "attrib/authentication": "1", "attrib/generate_node_acls": "0", "attrib/cache_dynamic_acls": "0",
            "attrib/demo_mode_discovery": "1", "attrib/demo_mode_write_protect": "1",
            "attrib/prod_mode_write_protect": "0", "param/HeaderDigest": "CRC32C,None",
            "param/DataDigest": "CRC32C,None", "param/AuthMethod": "CHAP,None",
        ]
        for (file, value) in defaults { nodes["\(path)/\(file)"] = .file(value) }
    }

    /// A portal stands on one group of a target only (iscsi_target_tpg.c, iscsit_tpg_check_network_portal).
    private func portalIsFree(_ parts: [String]) -> Bool {
        let target = parts[0...1].joined(separator: "/") + "/"
        return !nodes.keys.contains { $0.hasPrefix(target) && $0.hasSuffix("/np/\(parts[4])") }
    }

    private mutating func store(_ value: String, _ path: String, _ parts: [String]) throws(Failure) {
        guard case .file(let old)? = nodes[path] else { throw Self.refusal(path, "open: ENOENT") }
        let object = parts.dropLast().joined(separator: "/")
        if parts[0] == "core" { return try storeDevice(value, path, parts) }
        if parts.last == "enable" {
            // Disabling ends all sessions; doing either twice is refused.
            guard old != value else { throw Self.refusal(path, "write: EINVAL") }
            if value == "0" { endSessions(below: object + "/acls/") }
        }
        nodes[path] = .file(value)
    }

    private mutating func storeDevice(_ value: String, _ path: String, _ parts: [String]) throws(Failure) {
        let device = parts[0...2].joined(separator: "/")
        let isEnabled = nodes["\(device)/enable"] == .file("1")
        switch parts.last {
        case "control":
            guard !isEnabled else { throw Self.refusal(path, "write: EEXIST") }
            let option = value.split(separator: "=", maxSplits: 1).map(String.init)
            options[device, default: [:]][option[0]] = option[1]
            return
        case "enable":
            guard !isEnabled else { throw Self.refusal(path, "write: EEXIST") }
            let name = options[device]?["udev_path"] ?? ""
            guard let number = blockDevices[name] else { throw Self.refusal(path, "write: ENOENT \(name)") }
            let isHeld = nodes.keys.contains {
                $0.hasSuffix("/enable") && $0.hasPrefix("core/") && nodes[$0] == .file("1")
                    && options[String($0.dropLast(7))]?["udev_path"] == name
            }
            guard !isHeld else { throw Self.refusal(path, "write: EBUSY") }
            let words = number.split(separator: ":")
            nodes["\(device)/info"] = .file(
                "Status: ACTIVATED\n iBlock device: dm-0 UDEV PATH: \(name) readonly: "
                    + "\(options[device]?["readonly"] ?? "0")\n Major: \(words[0]) Minor: \(words[1]) CLAIMED: IBLOCK")
        case "vpd_unit_serial":
            guard !isLinkedTo(device) else { throw Self.refusal(path, "write: EINVAL") }
            nodes[path] = .file("T10 VPD Unit Serial Number: \(value)")
            return
        case "emulate_tpu":
            guard isEnabled else { throw Self.refusal(path, "write: ENOSYS") }
        default: break
        }
        nodes[path] = .file(value)
    }

    private mutating func link(_ path: String, _ target: String, _ parts: [String]) throws(Failure) {
        guard nodes[path] == nil else { throw Self.refusal(path, "symlink: EEXIST") }
        let parent = parts.dropLast().joined(separator: "/")
        guard nodes[parent] == .directory, nodes[target] == .directory else {
            throw Self.refusal(path, "symlink: ENOENT")
        }
        guard try links(in: parent).isEmpty else { throw Self.refusal(path, "symlink: EEXIST") }
        switch parts.count {
        case 6:
            guard target.hasPrefix("core/"), nodes["\(target)/enable"] == .file("1") else {
                throw Self.refusal(path, "symlink: ENODEV")
            }
        case 7:
            let group = parts[0...2].joined(separator: "/")
            guard target.hasPrefix(group + "/lun/"), try !links(in: target).isEmpty else {
                throw Self.refusal(path, "symlink: EINVAL")
            }
            nodes["\(parent)/write_protect"] = nodes["\(group)/attrib/prod_mode_write_protect"]
        default: throw Self.refusal(path, "symlink: EPERM")
        }
        nodes[path] = .link(target)
    }

    private func isLinkedTo(_ path: String) -> Bool { nodes.values.contains(.link(path)) }

    private mutating func remove(_ path: String, _ parts: [String]) throws(Failure) {
        guard nodes[path] == .directory else { throw Self.refusal(path, "rmdir: ENOENT") }
        guard !isLinkedTo(path) else { throw Self.refusal(path, "rmdir: EBUSY") }
        // Directories that came with it go with it; those that were made in them, and links, stand in the way.
        let made = nodes.keys.filter { key in
            guard key.hasPrefix(path + "/") else { return false }
            if case .link? = nodes[key] { return true }
            let depth = key.split(separator: "/").count
            guard nodes[key] == .directory else { return false }
            let names = key.split(separator: "/")
            switch (parts[0], parts.count) {
            case ("iscsi", 2): return depth == 3
            case ("core", 2): return depth == 3
            case ("iscsi", 3): return depth == 5
            case ("iscsi", 5): return depth == 6 && names[5].hasPrefix("lun_")
            default: return false
            }
        }
        guard made.isEmpty else { throw Self.refusal(path, "rmdir: ENOTEMPTY") }
        for key in nodes.keys where key == path || key.hasPrefix(path + "/") { nodes[key] = nil }
        options[path] = nil
    }

    // MARK: Initiators

    mutating func login(_ initiator: String, to target: String) {
        nodes["iscsi/\(target)/tpgt_1/acls/\(initiator)/info"] = .file(
            """
            InitiatorName: \(initiator)
            LIO Session ID: 1   ISID: 0x00023d000001  TSIH: 1  SessionType: Normal
            CID: 0  Connection State: TARG_CONN_STATE_LOGGED_IN
               Address 10.0.0.2 TCP  StatSN: 0x00000001
            """)
    }

    private mutating func endSessions(below path: String) {
        for key in nodes.keys where key.hasPrefix(path) && key.hasSuffix("/info") {
            nodes[key] = .file("No active iSCSI Session for Initiator Endpoint: ")
        }
    }
}

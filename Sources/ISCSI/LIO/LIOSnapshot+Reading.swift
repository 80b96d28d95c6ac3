import HostModel

extension LIOSnapshot {
    /// Looks at everything that the kernel serves over iSCSI, and at all backstores. Changes nothing.
    public init(reading files: some TargetFileSystem) throws(Failure) {
        self.init()
        for adapter in try files.directories(in: LIO.core) where adapter != "alua" {
            let path = "\(LIO.core)/\(adapter)"
            adapters.insert(path)
            for name in try files.directories(in: path) {
                devices["\(path)/\(name)"] = try LIODevice(reading: files, at: "\(path)/\(name)")
            }
        }
        guard let enforcement = try files.text("\(LIO.discovery)/enforce_discovery_auth") else { return }
        hasFabric = true
        enforcesDiscovery = enforcement == "1"
        discovery = try LIOAuthentication(reading: files, at: LIO.discovery)
        for name in try files.directories(in: LIO.fabric) where name != "discovery_auth" {
            targets[name] = try LIOTarget(reading: files, at: LIO.target(name))
        }
    }
}

extension LIODevice {
    fileprivate init(reading files: some TargetFileSystem, at path: String) throws(Failure) {
        self.init()
        isEnabled = try files.text("\(path)/enable") == "1"
        devicePath = try files.text("\(path)/udev_path") ?? ""
        isThin = try files.text("\(path)/attrib/emulate_tpu") == "1"
        // `T10 VPD Unit Serial Number: …` (target_core_configfs.c, target_wwn_vpd_unit_serial_show).
        let line = try files.text("\(path)/wwn/vpd_unit_serial") ?? ""
        serial = line.split(separator: ":", maxSplits: 1).last.map { $0.trimmingBlanks } ?? ""
        let words = (try files.text("\(path)/info") ?? "").split { $0.isWhitespace }.map(String.init)
        // `iBlock device: dm-0 UDEV PATH: … readonly: 0` and `Major: 253 Minor: 3` (target_core_iblock.c,
        // iblock_show_configfs_dev_params).
        isReadOnly = Self.value(after: "readonly:", in: words).map { $0 == "1" }
        if let major = Self.value(after: "Major:", in: words), let minor = Self.value(after: "Minor:", in: words) {
            deviceNumber = "\(major):\(minor)"
        }
    }

    private static func value(after word: String, in words: [String]) -> String? {
        guard let index = words.lastIndex(of: word), index + 1 < words.count else { return nil }
        return words[index + 1]
    }
}

extension LIOTarget {
    fileprivate init(reading files: some TargetFileSystem, at path: String) throws(Failure) {
        self.init()
        // Beside its groups a target has `fabric_statistics`.
        for name in try files.directories(in: path) where name.hasPrefix("tpgt_") {
            groups[name] = try LIOPortalGroup(reading: files, at: "\(path)/\(name)")
        }
    }
}

extension LIOPortalGroup {
    fileprivate init(reading files: some TargetFileSystem, at path: String) throws(Failure) {
        self.init()
        isEnabled = try files.text("\(path)/enable") == "1"
        for setting in LIO.settingPaths { settings[setting] = try files.text("\(path)/\(setting)") }
        portals = Set(try files.directories(in: "\(path)/np"))
        for lun in try files.directories(in: "\(path)/lun") {
            luns[lun] = try files.links(in: "\(path)/lun/\(lun)")
        }
        for name in try files.directories(in: "\(path)/acls") {
            initiators[name] = try LIOInitiator(reading: files, at: "\(path)/acls/\(name)", name: name)
        }
    }
}

extension LIOInitiator {
    fileprivate init(reading files: some TargetFileSystem, at path: String, name: String) throws(Failure) {
        self.init()
        authentication = try LIOAuthentication(reading: files, at: "\(path)/auth")
        for lun in try files.directories(in: path) where lun.hasPrefix("lun_") {
            var mapped = LIOMappedLUN()
            mapped.links = try files.links(in: "\(path)/\(lun)")
            mapped.isWriteProtected = try files.text("\(path)/\(lun)/write_protect") == "1"
            luns[lun] = mapped
        }
        session = TargetSession(info: try files.text("\(path)/info") ?? "", initiator: name)
    }
}

extension LIOAuthentication {
    fileprivate init(reading files: some TargetFileSystem, at path: String) throws(Failure) {
        self.init()
        for file in Self.files { take(try files.text("\(path)/\(file)"), from: file) }
    }
}

extension TargetSession {
    /// Reads what the kernel tells of an initiator (iscsi_target_configfs.c, lio_target_nacl_info_show). Nil where it is
    /// not logged in.
    init?(info: String, initiator: String) {
        let lines = info.split(separator: "\n").map(\.trimmingBlanks)
        guard lines.contains(where: { $0.hasPrefix("InitiatorName:") }) else { return nil }
        self.init(
            initiator: initiator,
            addresses: lines.compactMap { line in
                line.dropping("Address ").map { String($0.prefix { !$0.isWhitespace }) }
            })
    }
}

extension StringProtocol {
    /// The text without blanks at either end.
    fileprivate var trimmingBlanks: String {
        let start = drop(while: \.isWhitespace)
        guard let end = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...end])
    }
}

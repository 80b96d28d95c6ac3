import FoundationEssentials
import HostModel

extension DomainDescription {
    /// Parses the output of ``XLCommands/describe(_:)``, Domain-0 included.
    public static func parse(listing text: String) throws(Failure) -> [DomainDescription] {
        try decode([LibxlListEntry].self, Array(text.utf8), "'xl list -l'").map { entry throws(Failure) in
            try entry.config.described(id: DomainID(entry.domid))
        }
    }

    /// Parses the configuration in a saved image's header: the same object, without a number.
    public static func parse(configuration json: [UInt8]) throws(Failure) -> DomainDescription {
        try decode(LibxlConfig.self, json, "the configuration in the saved image").described(id: nil)
    }

    private static func decode<Value: Decodable>(
        _ type: Value.Type, _ json: [UInt8], _ source: String
    ) throws(Failure) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(json))
        } catch {
            throw Failure(
                .inconsistent, "cannot read \(source)", why: "not the JSON that libxl writes (\(error))",
                remedy: "see what it looks like and report it")
        }
    }
}

/// One element of `xl list -l` (`printf_info_one_json` in `tools/xl/xl_info.c`).
private struct LibxlListEntry: Decodable {
    var domid: UInt32
    var config: LibxlConfig
}

/// `libxl_domain_config` of `tools/libs/light/libxl_types.idl`. libxl leaves out every field that has its default
/// value; numbers are 0 then, and truth values (`libxl_defbool`) are the strings `True` and `False`.
private struct LibxlConfig: Decodable {
    struct Creation: Decodable {
        var type: String
        var name: String?
        var uuid: String?
        var hap: String?
    }
    struct Build: Decodable {
        var maxVCPUs: Int?
        var maxMemory: Int64?
        var targetMemory: Int64?
        var shadowMemory: Int64?
        var disableMigrate: String?
        var vnumaNodes: [Ignored]?
        var kernel: String?
        var ramdisk: String?
        var bootloader: String?

        enum CodingKeys: String, CodingKey {
            case maxVCPUs = "max_vcpus"
            case maxMemory = "max_memkb"
            case targetMemory = "target_memkb"
            case shadowMemory = "shadow_memkb"
            case disableMigrate = "disable_migrate"
            case vnumaNodes = "vnuma_nodes"
            case kernel, ramdisk, bootloader
        }
    }
    struct Disk: Decodable {
        var vdev: String
        var path: String?
        var format: String?
        var backend: String?
        var readwrite: Int?
        var removable: Int?
        var isCDROM: Int?
        var script: String?
        var backendID: UInt32?
        var backendName: String?

        enum CodingKeys: String, CodingKey {
            case path = "pdev_path"
            case isCDROM = "is_cdrom"
            case backendID = "backend_domid"
            case backendName = "backend_domname"
            case vdev, format, backend, readwrite, removable, script
        }
    }
    struct Interface: Decodable {
        var mac: String?
        var bridge: String?
    }
    struct Ignored: Decodable {}

    var creation: Creation
    var build: Build
    var disks: [Disk]?
    var interfaces: [Interface]?
    var pciDevices: [Ignored]?
    var usbDevices: [Ignored]?
    var treeDevices: [Ignored]?

    enum CodingKeys: String, CodingKey {
        case creation = "c_info"
        case build = "b_info"
        case interfaces = "nics"
        case pciDevices = "pcidevs"
        case usbDevices = "usbdevs"
        case treeDevices = "dtdevs"
        case disks
    }

    func described(id: DomainID?) throws(Failure) -> DomainDescription {
        let name = creation.name ?? "(unnamed)"
        func refuse(_ why: String) -> Failure {
            Failure(.inconsistent, "cannot read the configuration of domain \(name)", why: why)
        }
        func memory(_ kibibytes: Int64?) throws(Failure) -> ByteCount {
            guard let kibibytes, (0..<1 << 42).contains(kibibytes) else { throw refuse("it states no memory size") }
            return .kibibytes(kibibytes)
        }
        guard let type = DomainType(rawValue: creation.type) else { throw refuse("its type is '\(creation.type)'") }
        return DomainDescription(
            id: id, name: name, uuid: creation.uuid, type: type, maximumMemory: try memory(build.maxMemory),
            targetMemory: try memory(build.targetMemory), pagingMemory: try build.shadowMemory.map(memory),
            usesHardwarePaging: creation.hap != "False", virtualCPUs: build.maxVCPUs ?? 1,
            bootFiles: [build.kernel, build.ramdisk].compactMap(\.self),
            disks: (disks ?? []).map(\.described),
            interfaces: (interfaces ?? []).map { DomainInterface(mac: $0.mac, bridge: $0.bridge) },
            obstacles: obstacles(type))
    }

    private func obstacles(_ type: DomainType) -> [String] {
        var obstacles: [String] = []
        if type == .hvm {
            obstacles.append("it is an HVM guest: the state of its device model makes a held-back restore unsafe")
        }
        if pciDevices?.isEmpty == false || usbDevices?.isEmpty == false || treeDevices?.isEmpty == false {
            obstacles.append("it holds a device of this host")
        }
        if build.disableMigrate == "True" { obstacles.append("its configuration says 'nomigrate'") }
        if build.vnumaNodes?.isEmpty == false {
            obstacles.append("Xen cannot save a guest that has virtual NUMA nodes")
        }
        return obstacles
    }
}

extension LibxlConfig.Disk {
    fileprivate var described: DomainDisk {
        DomainDisk(
            device: vdev, path: path.flatMap { $0.isEmpty ? nil : $0 }, format: format, backend: backend,
            writable: (readwrite ?? 0) != 0, removable: (removable ?? 0) != 0, isCDROM: (isCDROM ?? 0) != 0,
            script: script, backendDomain: backendName ?? backendID.flatMap { $0 == 0 ? nil : String($0) })
    }
}

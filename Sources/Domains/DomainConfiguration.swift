import HostModel

/// A guest to be defined: rendered as a configuration file for `xl create` (xl.cfg(5)).
public struct DomainConfiguration: Sendable, Equatable {
    public struct Disk: Sendable, Equatable {
        public var volume: VolumeName
        /// The device in the guest: `xvda`.
        public var device: String
        public var writable: Bool

        public init(volume: VolumeName, device: String, writable: Bool = true) {
            self.volume = volume
            self.device = device
            self.writable = writable
        }
    }

    public var name: DomainName
    public var type: DomainType
    public var kernel: String
    public var ramdisk: String?
    /// The kernel's command line.
    public var commandLine: String
    /// Whole MiB.
    public var memory: ByteCount
    public var virtualCPUs: Int
    public var disks: [Disk]
    public var interfaces: [DomainInterface]

    public init(
        name: DomainName, type: DomainType, kernel: String, ramdisk: String? = nil, commandLine: String = "",
        memory: ByteCount, virtualCPUs: Int = 1, disks: [Disk], interfaces: [DomainInterface] = []
    ) {
        self.name = name
        self.type = type
        self.kernel = kernel
        self.ramdisk = ramdisk
        self.commandLine = commandLine
        self.memory = memory
        self.virtualCPUs = virtualCPUs
        self.disks = disks
        self.interfaces = interfaces
    }

    /// The file's text. Throws a `.usage` failure for a value that no configuration can hold.
    ///
    /// Disks name their links. `backendtype=phy` is pinned: without it libxl would serve a link that leads to a plain
    /// file through QEMU instead of refusing it.
    public func rendered() throws(Failure) -> String {
        guard memory.bytes > 0, memory.bytes % (1 << 20) == 0 else {
            throw refusal("its memory of \(memory) is not a whole number of MiB")
        }
        guard (1...512).contains(virtualCPUs) else { throw refusal("it cannot have \(virtualCPUs) virtual CPUs") }
        var lines = [
            "name = \(try quoted(name.text))", "type = \(try quoted(type.rawValue))",
            "kernel = \(try quoted(kernel))",
        ]
        if let ramdisk { lines.append("ramdisk = \(try quoted(ramdisk))") }
        if !commandLine.isEmpty { lines.append("cmdline = \(try quoted(commandLine))") }
        lines.append("memory = \(memory.bytes >> 20)")
        lines.append("vcpus = \(virtualCPUs)")
        lines.append("disk = [ \(try disks.map(diskSpecification).joined(separator: ", ")) ]")
        if !interfaces.isEmpty {
            lines.append("vif = [ \(try interfaces.map(interfaceSpecification).joined(separator: ", ")) ]")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// xl-disk-configuration(5): `target` comes last because it takes the rest of the string.
    private func diskSpecification(_ disk: Disk) throws(Failure) -> String {
        guard VirtualDevice.number(disk.device) != nil else { throw refusal("'\(disk.device)' is no disk of a guest") }
        guard disks.count(where: { $0.device == disk.device }) == 1 else {
            throw refusal("it has two disks \(disk.device)")
        }
        return try quoted(
            "format=raw,vdev=\(disk.device),access=\(disk.writable ? "rw" : "ro"),backendtype=phy,"
                + "target=\(DiskCheck.link(disk.volume))")
    }

    private func interfaceSpecification(_ interface: DomainInterface) throws(Failure) -> String {
        var fields: [String] = []
        if let mac = interface.mac {
            let octets = mac.split(separator: ":", omittingEmptySubsequences: false)
            guard octets.count == 6, octets.allSatisfy({ $0.utf8.count == 2 && $0.allSatisfy(\.isHexDigit) }) else {
                throw refusal("'\(mac)' is not a MAC address")
            }
            fields.append("mac=\(mac)")
        }
        if let bridge = interface.bridge {
            guard (1...15).contains(bridge.utf8.count), DomainName.objection(to: bridge) == nil else {
                throw refusal("'\(bridge)' is not the name of a bridge")
            }
            fields.append("bridge=\(bridge)")
        }
        return try quoted(fields.joined(separator: ","))
    }

    /// A string as the configuration's scanner reads it (`libxlu_cfg_l.l`): in double quotes, with a backslash before
    /// quotes and backslashes. A line end would end the string; other control characters have no use in any of the
    /// values.
    private func quoted(_ text: String) throws(Failure) -> String {
        guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw refusal("a value has a line end or another control character in it")
        }
        return "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    private func refusal(_ why: String) -> Failure {
        Failure(.usage, "cannot write a configuration for domain \(name)", why: why)
    }
}

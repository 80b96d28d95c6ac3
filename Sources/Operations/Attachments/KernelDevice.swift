import AoE
import FoundationEssentials
import HostModel
import Storage

/// The places where the kernel shows devices. Tests put them below a directory.
struct DeviceTree: Sendable, Equatable {
    var devices = "/dev"
    var sysfs = "/sys"
    var processes = "/proc"
    /// What stands before the paths of configuration files; nothing on a real host.
    var root = ""
    /// Who must own the directory of links.
    var owner: UInt32 = 0
}

/// How a device of the AoE initiator stands (`aoedisk_show_state`, drivers/block/aoe/aoeblk.c).
public enum AttachmentState: String, Sendable, Codable, CaseIterable {
    case up
    /// The kernel has given it up: every request fails.
    case down
    /// Down, and still open: it can come back only once it was closed.
    case closewait
    /// The kernel does not have it.
    case absent

    /// Reads the file `state`: `up`, `down` or `down,closewait`; `,kickme` says that frames wait for buffers.
    init(parsing text: String) {
        let words = text.split(whereSeparator: { $0.isWhitespace || $0 == "," })
        switch words.first {
        case "up": self = .up
        case "down" where words.contains("closewait"): self = .closewait
        default: self = .down
        }
    }
}

/// A device of Linux's AoE initiator, as sysfs shows it. Reading this never opens the device.
struct KernelDevice: Sendable, Equatable {
    var address: AoEAddress
    var state: AttachmentState
    /// What users of the device see; zero while it is down.
    var size: ByteCount
    /// Where the kernel has heard the target.
    var interfaces: [InterfaceName]
    /// The first MAC address that the kernel has for it.
    var mac: String?
    /// `152:0`.
    var number: String?
    /// The kernel's names of its partitions: `etherd!e1.0p1`.
    var partitions: [String]

    /// `etherd!e1.0`: a slash in a device's name is a '!' in sysfs.
    static func sysfsName(_ address: AoEAddress) -> String { "etherd!\(address)" }

    /// The device of `address`, or nil where the kernel has none.
    static func read(_ address: AoEAddress, in tree: DeviceTree) -> KernelDevice? {
        let directory = "\(tree.sysfs)/block/\(sysfsName(address))"
        guard let state = KernelFile.read("\(directory)/state") else { return nil }
        func text(_ name: String) -> String? {
            KernelFile.read("\(directory)/\(name)").map { $0.filter { !$0.isWhitespace } }
        }
        let sectors = text("size").flatMap { Int64($0) } ?? 0
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let prefix = sysfsName(address) + "p"
        return KernelDevice(
            address: address, state: AttachmentState(parsing: state),
            size: (0..<Int64(1) << 48).contains(sectors) ? .sectors(sectors) : ByteCount(0),
            interfaces: (text("netif") ?? "").split(separator: ",").compactMap { try? InterfaceName(String($0)) },
            mac: text("mac").flatMap { $0 == "none" ? nil : $0 }, number: text("dev"),
            partitions: names.filter { $0.hasPrefix(prefix) && $0.dropFirst(prefix.count).allSatisfy(\.isNumber) }
                .sorted())
    }

    /// The addresses of every device that the kernel has.
    static func all(in tree: DeviceTree) -> [AoEAddress] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(tree.sysfs)/block")) ?? []
        return names.filter { $0.hasPrefix("etherd!") }.compactMap {
            try? AoEAddress(String($0.dropFirst("etherd!".count)))
        }.sorted()
    }

    /// The list of interfaces in the kernel; nil where the module is not loaded.
    static func interfaceList(in tree: DeviceTree) -> InterfaceList? {
        KernelFile.read("\(tree.sysfs)/module/aoe/parameters/aoe_iflist").map(InterfaceList.init(parameter:))
    }

    /// `/dev/etherd/e1.0`.
    static func path(_ address: AoEAddress, in tree: DeviceTree) -> String { "\(tree.devices)/etherd/\(address)" }

    /// The device and its partitions as block devices; those whose node is not there (yet) are left out.
    /// A node that leads to another device than sysfs names is not this device's.
    func blockDevices(in tree: DeviceTree) -> [BlockDevice] {
        let paths =
            [Self.path(address, in: tree)]
            + partitions.map { "\(tree.devices)/\($0.replacing("!", with: "/"))" }
        return paths.enumerated().compactMap { index, path in
            guard let device = try? BlockDevice(at: path, sysfs: tree.sysfs) else { return nil }
            return index > 0 || device.number.description == number ? device : nil
        }
    }

    /// The whole device, once its node is there.
    func blockDevice(in tree: DeviceTree) -> BlockDevice? {
        blockDevices(in: tree).first { $0.path == Self.path(address, in: tree) }
    }
}

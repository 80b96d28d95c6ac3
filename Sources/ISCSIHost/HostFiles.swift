import DeviceMapper
import Glibc
import HostModel
import ISCSI
import Storage

/// The addresses of this host's interfaces.
struct LocalAddresses {
    /// In the spelling of `Portal`.
    private let addresses: Set<String>

    /// Asks the kernel.
    init() throws(Failure) {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { throw Failure.system("cannot list this host's addresses") }
        defer { freeifaddrs(first) }
        var addresses: Set<String> = []
        for item in sequence(first: first, next: { $0?.pointee.ifa_next }) {
            guard let address = item?.pointee.ifa_addr else { continue }
            let length: Int
            switch Int32(address.pointee.sa_family) {
            case AF_INET: length = MemoryLayout<sockaddr_in>.size
            case AF_INET6: length = MemoryLayout<sockaddr_in6>.size
            default: continue
            }
            var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let result = getnameinfo(
                address, socklen_t(length), &buffer, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
            guard result == 0 else { continue }
            let text = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            // A link-local address has its interface behind a '%'.
            if let portal = try? Portal(String(text.prefix { $0 != "%" })) { addresses.insert(portal.address) }
        }
        self.addresses = addresses
    }

    /// Throws `.refused` where a portal's address is not on this host: the kernel would take it without a word.
    func check(_ portals: [Portal], doing what: String) throws(Failure) {
        guard let portal = portals.first(where: { !addresses.contains($0.address) }) else { return }
        throw Failure(
            .refused, what, why: "\(portal.address) is not an address of this host", remedy: "see 'ip address'")
    }
}

/// What is exported, as the host shows it.
struct ExportedDevice {
    var path: String
    var number: BlockDeviceNumber
    var identity: DeviceIdentity
}

extension ExportedDevice {
    /// Looks at the device that a volume's link leads to.
    /// - Throws: `.refused` where it is not the volume's own LV, or cannot take blocks back and has to.
    init(at path: String, of export: ISCSIExport) throws(Failure) {
        let what = "cannot export '\(export.volume)' over iSCSI"
        let device = try BlockDevice(at: path)
        guard let mapping = try Self.mapping(of: device, export.volume) else {
            throw Failure(
                .refused, what, why: "\(path) leads to \(device.node), which is no logical volume",
                remedy: "volumes in files have no UUID that a disk's identity could follow from: use an LV; if a "
                    + "replica is in between, see 'xenlvs replica status'")
        }
        let identity: DeviceIdentity
        do throws(Failure) { identity = try DeviceIdentity(mapping: mapping.uuid) } catch {
            throw Failure(.refused, what, why: error.why, causes: [error])
        }
        if export.isThin, !Self.takesBlocksBack(device.number) {
            throw Failure(
                .refused, "\(what) as thin", why: "its device cannot take blocks back",
                remedy: "leave 'thin' out, or put the volume on storage that supports discard: see 'lsblk -D'")
        }
        self.init(path: path, number: device.number, identity: identity)
    }

    /// The mapping of the volume's LV. A switch is no part of its identity: the LV below it counts, which stays the same when the
    /// switch is taken away, or was the LV's own device once (docs/switch.md).
    private static func mapping(
        of device: BlockDevice, _ volume: VolumeName
    ) throws(Failure) -> (name: String, uuid: String)? {
        let own = try device.mapping()
        guard own?.name == MappedIdentity.switchName(of: volume) else { return own }
        let below = try device.slaves()
        guard let name = below.first, below.count == 1 else {
            throw Failure(
                .inconsistent, "cannot tell the LV of '\(volume)'",
                why: "its switch is built on \(below.isEmpty ? "nothing" : below.joined(separator: ", "))")
        }
        return try BlockDevice(at: "/dev/\(name)").mapping()
    }

    /// Documentation/ABI/stable/sysfs-block: 0 stands for a device without discard.
    private static func takesBlocksBack(_ number: BlockDeviceNumber) -> Bool {
        let descriptor = open("/sys/dev/block/\(number)/queue/discard_max_bytes", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        return read(descriptor, &byte, 1) == 1 && byte != UInt8(ascii: "0")
    }
}

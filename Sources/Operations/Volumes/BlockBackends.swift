import Domains
import FoundationEssentials
import HostModel
import Storage

/// A device that the kernel's block backend has open for a guest.
struct BlockBackend: Sendable, Equatable {
    var domain: DomainID
    var device: BlockDeviceNumber
    /// The disk's number in the guest (``VirtualDevice``); nil where it cannot be read.
    var disk: Int?

    init(domain: DomainID, device: BlockDeviceNumber, disk: Int? = nil) {
        self.domain = domain
        self.device = device
        self.disk = disk
    }

    /// Reads an entry of `/sys/bus/xen-backend/devices`: `vbd-DOMID-NUMBER`, and in it `physical_device`, which is
    /// `MAJOR:MINOR` in hexadecimal (`xenvbd_sysfs_addif`, drivers/block/xen-blkback/xenbus.c). Nil for anything else: an
    /// interface that is no disk, or one whose device is not open yet.
    init?(entry: String, physicalDevice: String) {
        let words = entry.split(separator: "-")
        let numbers = physicalDevice.filter { !$0.isWhitespace }.split(separator: ":").compactMap {
            UInt32($0, radix: 16)
        }
        guard words.count == 3, words[0] == "vbd", let domain = DomainID(parsing: words[1]), numbers.count == 2,
            numbers != [0, 0]
        else { return nil }
        self.init(
            domain: domain, device: BlockDeviceNumber(major: numbers[0], minor: numbers[1]), disk: Int(words[2]))
    }

    /// Whether the guest was told that its disk can be flushed (xen/include/public/io/blkif.h), for xenstore-read: `1`.
    var flushQuery: Command? {
        disk.map {
            let path = "/local/domain/0/backend/vbd/\(domain)/\($0)/feature-flush-cache"
            return Command(.xenstoreRead, [path], .query, acceptedExitCodes: [0, 1])
        }
    }

    /// What the backend has open for one disk of a guest, by its number (`VirtualDevice`); nil where it has nothing open.
    static func device(
        of domain: DomainID, number: Int, in directory: String = "/sys/bus/xen-backend/devices"
    ) -> BlockDeviceNumber? {
        let entry = "vbd-\(domain)-\(number)"
        return KernelFile.read("\(directory)/\(entry)/physical_device").flatMap {
            BlockBackend(entry: entry, physicalDevice: $0)
        }?.device
    }

    /// Every guest's open disks on this host; none where the host does not run under Xen.
    static func all(in directory: String = "/sys/bus/xen-backend/devices") -> [BlockBackend] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return entries.sorted().compactMap { entry in
            KernelFile.read("\(directory)/\(entry)/physical_device").flatMap {
                BlockBackend(entry: entry, physicalDevice: $0)
            }
        }
    }
}

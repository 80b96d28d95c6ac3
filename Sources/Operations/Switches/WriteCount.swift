import HostModel
import Storage

/// How much had been written to a device at one moment of this boot, by the kernel's own count.
///
/// A saved guest knows its disks as they were when it was stopped. The count says whether they still are, whoever has
/// written to them since, and without anybody's having had to note it down.
struct WriteCount: Sendable, Equatable, Codable {
    var device: BlockDeviceNumber
    /// The kernel's number for this very device: one that is made anew as `device` has another. Nil before Linux 5.15.
    var sequence: UInt64?
    /// Sectors written or discarded.
    var sectors: UInt64

    /// Throws `.notFound` where there is no such device.
    init(of device: BlockDeviceNumber, in tree: DeviceTree) throws(Failure) {
        let numbers = try Self.statistics(of: device, in: tree)
        self.device = device
        // Documentation/block/stat.rst; discards are counted since Linux 4.18.
        sectors = numbers[6] &+ (numbers.count > 13 ? numbers[13] : 0)
        sequence = KernelFile.read("\(Self.place(device, tree))/diskseq").flatMap { UInt64($0.filter(\.isNumber)) }
    }

    /// Whether anything was written since.
    /// - Throws: `.inconsistent` where the device is another one by now, `.notFound` where there is none.
    func hasGrown(in tree: DeviceTree) throws(Failure) -> Bool {
        let now = try WriteCount(of: device, in: tree)
        guard now.sequence == sequence, now.sectors >= sectors else {
            throw Failure(.inconsistent, "the device \(device) is another one than before")
        }
        return now.sectors > sectors
    }

    /// Throws `.refused` where the kernel does not count what is done to a device. That is seen by a read: before Linux 6.3
    /// `queue/iostats` says no for every device of device-mapper's, and they are counted nevertheless. Blocks.
    static func require(_ device: BlockDevice, in tree: DeviceTree) throws(Failure) {
        let before = try statistics(of: device.number, in: tree)[2]
        let reader = try ComparedDevice(device.node, isDirect: true)
        try reader.read(0, ComparedDevice.block)
        guard try statistics(of: device.number, in: tree)[2] > before else {
            throw Failure(
                .refused, "it could not be told later whether anything was written to \(device.path)",
                why: "the kernel keeps no count of it",
                remedy: "echo 1 > \(place(device.number, tree))/queue/iostats")
        }
    }

    private static func statistics(of device: BlockDeviceNumber, in tree: DeviceTree) throws(Failure) -> [UInt64] {
        let path = "\(place(device, tree))/stat"
        guard let text = KernelFile.read(path) else {
            throw Failure(.notFound, "cannot see what is written to the device \(device)", why: "it is not there")
        }
        let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) }
        guard numbers.count > 6 else {
            throw Failure(.inconsistent, "cannot read \(path)", why: "the kernel says '\(text.prefix(200))'")
        }
        return numbers
    }

    private static func place(_ device: BlockDeviceNumber, _ tree: DeviceTree) -> String {
        "\(tree.sysfs)/dev/block/\(device)"
    }
}

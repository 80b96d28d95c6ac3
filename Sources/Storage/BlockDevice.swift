import Glibc
import HostModel

/// The numbers by which the kernel knows a block device: `253:3`.
public struct BlockDeviceNumber: Hashable, Sendable, Codable, CustomStringConvertible {
    public var major: UInt32
    public var minor: UInt32

    public init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    init(_ device: dev_t) {
        // The layout of glibc's dev_t (bits/sysmacros.h), whose macros Swift cannot import.
        major = UInt32((device >> 8) & 0xfff) | UInt32((device >> 32) & 0xffff_f000)
        minor = UInt32(device & 0xff) | UInt32((device >> 12) & 0xffff_ff00)
    }

    public var description: String { "\(major):\(minor)" }
}

/// A block device as the kernel shows it. The device itself is opened only by `measureSize` and `isClaimed`.
public struct BlockDevice: Sendable, Equatable {
    /// The path it was asked for under.
    public let path: String
    /// The device node that the path leads to, links followed: `/dev/dm-3`.
    public let node: String
    public let number: BlockDeviceNumber
    private let sysfs: String

    /// Follows `path` to a block device. Throws `.notFound` where nothing is there, `.refused` for anything else.
    public init(at path: String, sysfs: String = "/sys") throws(Failure) {
        let what = "cannot use \(path) as a block device"
        guard let node = resolvedPath(path) else { throw Failure.system(what) }
        var status = stat()
        guard stat(node, &status) == 0 else { throw Failure.system(what) }
        let kind = FileKind(mode: status.st_mode)
        guard kind == .blockDevice else { throw Failure(.refused, what, why: "it is \(kind.rawValue)") }
        self.path = path
        self.node = node
        self.number = BlockDeviceNumber(status.st_rdev)
        self.sysfs = sysfs
    }

    private var attributes: String { "\(sysfs)/dev/block/\(number)" }

    /// The size that the kernel has for the device, without opening it (Documentation/ABI/stable/sysfs-block: `size` is
    /// in sectors of 512 bytes whatever the device's own are).
    public func size() throws(Failure) -> ByteCount {
        let what = "cannot read the size of \(path)"
        let text = try TextFile.read("\(attributes)/size", doing: what)
        guard let sectors = Int64(text.trimmingNewline) else {
            throw Failure(.inconsistent, what, why: "the kernel says '\(text)'")
        }
        return ByteCount.sectors(sectors)
    }

    /// The writes that the device has taken and not answered yet: the second number of `inflight`
    /// (Documentation/ABI/stable/sysfs-block), after that of the reads.
    public func writesUnderWay() throws(Failure) -> Int {
        let what = "cannot see what is under way on \(path)"
        let text = try TextFile.read("\(attributes)/inflight", doing: what)
        let numbers = text.split(whereSeparator: \.isWhitespace).map { Int($0) }
        guard numbers.count == 2, let writes = numbers[1] else {
            throw Failure(.inconsistent, what, why: "the kernel says '\(text)'")
        }
        return writes
    }

    /// The smallest piece, in bytes, that the device reads and writes (Documentation/ABI/stable/sysfs-block).
    public func logicalBlockSize() throws(Failure) -> Int {
        let what = "cannot read the block size of \(path)"
        let text = try queueAttribute("logical_block_size", doing: what)
        guard let size = Int(text) else {
            throw Failure(.inconsistent, what, why: "the kernel says '\(text)'")
        }
        return size
    }

    /// Whether it may lose what it was given with a power cut, until it was told to flush.
    public func hasVolatileCache() throws(Failure) -> Bool {
        try queueAttribute("write_cache", doing: "cannot see whether \(path) has a cache") == "write back"
    }

    /// A partition has the queue of its disk, in whose directory its own is (block/partitions/core.c).
    private func queueAttribute(_ name: String, doing what: String) throws(Failure) -> String {
        do { return try TextFile.read("\(attributes)/queue/\(name)", doing: what).trimmingNewline } catch {
            guard error.code == .notFound else { throw error }
            return try TextFile.read("\(attributes)/../queue/\(name)", doing: what).trimmingNewline
        }
    }

    /// Has the device put what it was given to where a power cut does not take it. Opens it read-only.
    public func flush() throws(Failure) {
        let what = "cannot flush \(path)"
        let descriptor = try FileDescriptor(opening: node, flags: O_RDONLY | O_NONBLOCK, doing: what)
        try descriptor.synchronise(doing: what)
    }

    /// The size that an opener of the device is told (BLKGETSIZE64). Opens it read-only.
    public func measureSize() throws(Failure) -> ByteCount {
        let what = "cannot measure \(path)"
        let descriptor = try FileDescriptor(opening: node, flags: O_RDONLY | O_NONBLOCK, doing: what)
        var bytes: UInt64 = 0
        guard ioctl(descriptor.number, Self.getSize64, &bytes) == 0 else { throw Failure.system(what) }
        return ByteCount(Int64(clamping: bytes))
    }

    // linux/fs.h: BLKGETSIZE64 is _IOR(0x12, 114, size_t); Swift does not import function-like macros.
    private static let getSize64: UInt = 0x8008_1272

    /// Whether the kernel or a program has claimed the device for itself: a mount, a device-mapper table, DRBD, another
    /// `O_EXCL` opener. Says nothing of shared openers, among them Xen's disk backend. Opens it for a moment.
    public func isClaimed() throws(Failure) -> Bool {
        do {
            _ = try FileDescriptor(
                opening: node, flags: O_RDONLY | O_NONBLOCK | O_EXCL, doing: "cannot see whether \(path) is claimed")
            return false
        } catch {
            guard error.code == .busy else { throw error }
            return true
        }
    }

    /// The kernel's names of the devices that are built on this one (`dm-4`, `drbd0`), sorted.
    public func holders() throws(Failure) -> [String] {
        try TextFile.names(in: "\(attributes)/holders", doing: "cannot read the holders of \(path)").sorted()
    }

    /// The kernel's names of the devices that this one is built on, sorted.
    public func slaves() throws(Failure) -> [String] {
        try TextFile.names(in: "\(attributes)/slaves", doing: "cannot read what \(path) is built on").sorted()
    }

    /// device-mapper's name and UUID of the device; nil where it is none of device-mapper's.
    public func mapping() throws(Failure) -> (name: String, uuid: String)? {
        let what = "cannot read the mapping of \(path)"
        do {
            let name = try TextFile.read("\(attributes)/dm/name", doing: what)
            let uuid = try TextFile.read("\(attributes)/dm/uuid", doing: what)
            return (name.trimmingNewline, uuid.trimmingNewline)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// Where the device is mounted, in this mount namespace.
    public func mountPoints() throws(Failure) -> [String] {
        try MountTable.current(doing: "cannot see whether \(path) is mounted").mountPoints(of: number)
    }
}

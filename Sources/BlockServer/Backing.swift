import CLinux
import Glibc
import HostModel

/// How a backing is read and written.
public enum CachePolicy: String, Sendable, Codable {
    /// Around the page cache (O_DIRECT) where the backing can, through it where it cannot.
    case automatic
    /// Around the page cache, or not at all.
    case direct
    /// Through the page cache.
    case buffered
}

/// An open file or block device that is served, and what it can do.
///
/// It is held exclusively for as long as the value lives, also where it is only read: a block device by O_EXCL, which
/// mounts and device-mapper respect, a file by flock(2), which another server respects.
public struct Backing: ~Copyable, Sendable {
    public let path: String
    /// A multiple of 512 bytes.
    public private(set) var size: ByteCount
    public let isReadOnly: Bool
    /// Whether requests go around the page cache.
    public let isDirect: Bool
    /// What offsets and lengths must be multiples of, in bytes; a power of two of at least 512.
    public let blockSize: Int
    /// The device's own sector in bytes, for clients; at least `blockSize`.
    public let physicalBlockSize: Int
    /// Whether space can be given back.
    public let trims: Bool
    /// What a device discards multiples of, in bytes, also where it is read and written through the page cache.
    private let logicalBlockSize: Int64
    /// The largest `blockSize`.
    static let largestBlock = 4096
    let isBlockDevice: Bool
    let descriptor: Int32

    /// Opens `path`. Throws `.notFound`; `.busy` where it is mounted, claimed or served already, or a loop device has the
    /// file; `.refused` for what is no file or block device, has a size that is no multiple of 512, cannot be written
    /// though it is to be, or cannot do what `policy` demands.
    public init(opening path: String, readOnly: Bool, policy: CachePolicy) throws(Failure) {
        let what = "cannot serve \(path)"
        let kind = try Self.kind(of: path, what)
        let descriptor = try Self.open(path, kind, readOnly, what)
        var isComplete = false
        defer { if !isComplete { close(descriptor) } }

        switch kind {
        case .file:
            try Self.lock(descriptor, what)
            try Self.requireNoLoopDevice(descriptor, what)
        case .device: if !readOnly { try Self.requireWritable(descriptor, path, what) }
        }
        let size = try Self.measure(descriptor, what)
        guard size > 0, size % 512 == 0 else {
            throw Failure(
                .refused, what, why: "its size is \(size) bytes, which is no multiple of 512 above 0",
                remedy: "make it a whole number of sectors, for example with 'truncate --size=%512 \(path)'")
        }
        var logical: Int32 = 512
        var physical: UInt32 = 512
        if kind == .device {
            _ = ioctl(descriptor, Request.logicalBlockSize, &logical)
            _ = ioctl(descriptor, Request.physicalBlockSize, &physical)
        }
        let direct = try Self.directBlockSize(descriptor, kind, size: size, policy, what)

        self.path = path
        self.size = ByteCount(size)
        isReadOnly = readOnly
        isDirect = direct != nil
        blockSize = direct ?? 512
        physicalBlockSize = max(blockSize, Int(logical), Int(physical))
        logicalBlockSize = Int64(max(512, logical))
        isBlockDevice = kind == .device
        trims = !readOnly && (kind == .file ? Self.punchesHoles(descriptor, size) : Self.discards(descriptor))
        self.descriptor = descriptor
        isComplete = true
    }

    deinit {
        // A child that is being started has the descriptor until its exec, and with it the lock, unless that is given up.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Takes the present size where it is larger. Throws `.refused` for one that is not made of whole blocks.
    mutating func grow() throws(Failure) -> Bool {
        let what = "cannot serve what has been added to \(path)"
        let present = try Self.measure(descriptor, what)
        guard present > size.bytes else { return false }
        guard present % Int64(blockSize) == 0 else {
            throw Failure(
                .refused, what, why: "its size is \(present) bytes, which is no multiple of \(blockSize)",
                remedy: "make it a whole number of blocks")
        }
        size = ByteCount(present)
        return true
    }

    /// Whether a file is as long as it was; a device's end is watched by the kernel.
    var isWhole: Bool {
        // Costs less than fstat, and no transfer here goes by the descriptor's place in the file.
        isBlockDevice || lseek(descriptor, 0, SEEK_END) >= size.bytes
    }

    /// Gives the space of a range back; of a device that of its whole blocks, as it takes no others
    /// (blkdev_issue_discard, block/blk-lib.c). That is enough: no client is told that it reads zeros afterwards. Blocks
    /// until the file system or device has done so.
    /// - Returns: 0, or the error of the system call.
    borrowing func trim(_ range: TrimRange) -> Int32 {
        if isBlockDevice {
            let whole = range.wholeBlocks(of: logicalBlockSize)
            if whole.length == 0 { return 0 }
            var bytes = (UInt64(whole.offset), UInt64(whole.length))
            return ioctl(descriptor, Request.discard, &bytes) == 0 ? 0 : errno
        }
        let mode = Int32(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
        return xenlvs_fallocate(descriptor, mode, off_t(range.offset), off_t(range.length)) == 0 ? 0 : errno
    }

    private enum Kind { case file, device }

    /// linux/fs.h, as numbers because Swift does not import function-like macros.
    private enum Request {
        static let size64: UInt = 0x8008_1272  // BLKGETSIZE64
        static let logicalBlockSize: UInt = 0x1268  // BLKSSZGET
        static let physicalBlockSize: UInt = 0x127b  // BLKPBSZGET
        static let discard: UInt = 0x1277  // BLKDISCARD
        static let readOnly: UInt = 0x125e  // BLKROGET
    }

    private static func kind(of path: String, _ what: String) throws(Failure) -> Kind {
        var status = stat()
        guard stat(path, &status) == 0 else { throw Failure.system(what) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFBLK: return .device
        default: throw Failure(.refused, what, why: "it is neither a file nor a block device")
        }
    }

    private static func open(_ path: String, _ kind: Kind, _ readOnly: Bool, _ what: String) throws(Failure) -> Int32 {
        let exclusive = kind == .device ? O_EXCL : 0
        let descriptor = Glibc.open(path, (readOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | exclusive)
        if descriptor >= 0 { return descriptor }
        switch errno {
        case EBUSY:
            throw Failure(
                .busy, what, why: "it is mounted, or another program or device-mapper has claimed it",
                remedy: "unmount it, or end what uses it ('lsblk \(path)' shows what is built on it)")
        case EROFS, EACCES, EPERM:
            throw Failure.system(what, remedy: "serve it with --read-only, or make it writable")
        default: throw Failure.system(what)
        }
    }

    /// open(2) lets a device that the kernel has read-only be opened for writing; each write fails then (block/fops.c).
    private static func requireWritable(_ descriptor: Int32, _ path: String, _ what: String) throws(Failure) {
        var isReadOnly: Int32 = 0
        guard ioctl(descriptor, Request.readOnly, &isReadOnly) == 0, isReadOnly != 0 else { return }
        throw Failure(
            .refused, what, why: "the device is read-only",
            remedy: "serve it with --read-only, or make it writable ('blockdev --getro \(path)' shows how it is)")
    }

    private static func lock(_ descriptor: Int32, _ what: String) throws(Failure) {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
        // NFS locks a file that is open only for reading for readers alone (flock(2)).
        if errno == EBADF, flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return }
        guard errno == EWOULDBLOCK else { throw Failure.system(what) }
        throw Failure(
            .busy, what, why: "another process has locked it, probably because it serves it",
            remedy: "end that process first ('fuser -v' names it)")
    }

    /// A loop device does not look at locks.
    private static func requireNoLoopDevice(_ descriptor: Int32, _ what: String) throws(Failure) {
        guard let device = LoopDevices.first(over: descriptor) else { return }
        throw Failure(
            .busy, what, why: "the loop device \(device) has it, and with that perhaps a mount",
            remedy: "unmount it and 'losetup --detach \(device)' first, or serve \(device) itself")
    }

    private static func measure(_ descriptor: Int32, _ what: String) throws(Failure) -> Int64 {
        var bytes: UInt64 = 0
        if ioctl(descriptor, Request.size64, &bytes) == 0 { return Int64(clamping: bytes) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Failure.system(what) }
        return Int64(status.st_size)
    }

    /// Whether the file system can give back a part of a file. It is asked for a part behind the file's end, where there
    /// is nothing.
    private static func punchesHoles(_ descriptor: Int32, _ size: Int64) -> Bool {
        let mode = Int32(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
        let block: Int64 = 4096
        return xenlvs_fallocate(descriptor, mode, off_t((size + block - 1) / block * block), off_t(block)) == 0
    }

    private static func discards(_ descriptor: Int32) -> Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        let (major, minor) = (status.st_rdev >> 8 & 0xfff, status.st_rdev & 0xff | status.st_rdev >> 12 & 0xfff00)
        // A partition has no queue of its own; the disk's lies one directory up.
        for place in ["", "/.."] {
            let text = SmallFile.read("/sys/dev/block/\(major):\(minor)\(place)/queue/discard_max_bytes")
            if let text { return text != "0" }
        }
        return false
    }

    /// Turns O_DIRECT on and finds by trial which block size it takes; nil, with O_DIRECT off, for the page cache.
    private static func directBlockSize(
        _ descriptor: Int32, _ kind: Kind, size: Int64, _ policy: CachePolicy, _ what: String
    ) throws(Failure) -> Int? {
        if policy == .buffered { return nil }
        let flags = fcntl(descriptor, F_GETFL)
        // tmpfs takes the flag on newer kernels and copies all the same: there is nothing to go around.
        if !isMemory(descriptor, kind), fcntl(descriptor, F_SETFL, flags | xenlvs_o_direct) == 0 {
            let block = [512, largestBlock].first { size % Int64($0) == 0 && reads(descriptor, $0) }
            if let block { return block }
            _ = fcntl(descriptor, F_SETFL, flags)
        }
        guard policy == .automatic else {
            throw Failure(
                .refused, what, why: "direct I/O of whole sectors does not work on it",
                remedy: "serve it with --buffered")
        }
        return nil
    }

    private static func isMemory(_ descriptor: Int32, _ kind: Kind) -> Bool {
        var facts = statfs()
        // linux/magic.h: TMPFS_MAGIC, RAMFS_MAGIC. A device's node lies on such a file system too.
        return kind == .file && fstatfs(descriptor, &facts) == 0
            && [0x0102_1994, 0x8584_58f6].contains(UInt32(truncatingIfNeeded: facts.f_type))
    }

    private static func reads(_ descriptor: Int32, _ length: Int) -> Bool {
        // Direct I/O wants aligned memory.
        let memory = UnsafeMutableRawPointer.allocate(byteCount: length, alignment: 4096)
        defer { memory.deallocate() }
        return pread(descriptor, memory, length, 0) == length
    }
}

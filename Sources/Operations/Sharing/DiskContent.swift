import CLinux
import Glibc
import HostModel

/// What a disk begins with, as far as it decides whether several guests may write to it.
enum DiskContent: Equatable {
    /// Made for several writers.
    case cluster(String)
    /// For one host alone: what two write into it at the same time is lost, and so is the rest.
    case local(String)
    /// Nothing that is known here: an empty disk, a partition table, a volume group.
    case unknown

    /// So much of a disk is looked at: the last of the marks is btrfs's.
    private static let length = 72 << 10

    /// Places and marks are those of the file systems' own headers: ext4's `s_magic` (ext4.h), `XFSB` (xfs_format.h), btrfs's
    /// superblock at 64 KiB (btrfs_tree.h), `F2FS_SUPER_MAGIC` at 1 KiB (f2fs_fs.h), the swap header's end of a page
    /// (swap.h), the boot sectors of NTFS and FAT, `OCFSV2` in the third block of 512 to 4096 bytes (ocfs2_fs.h), and
    /// `GFS2_MAGIC` at 64 KiB (gfs2_ondisk.h).
    private static let locals: [(name: String, place: Int, mark: [UInt8])] = [
        ("ext", 0x438, [0x53, 0xef]), ("XFS", 0, Array("XFSB".utf8)), ("btrfs", 0x10040, Array("_BHRfS_M".utf8)),
        ("F2FS", 1024, [0x10, 0x20, 0xf5, 0xf2]), ("swap", 4086, Array("SWAPSPACE2".utf8)),
        ("NTFS", 3, Array("NTFS    ".utf8)), ("FAT", 0x36, Array("FAT1".utf8)), ("FAT", 0x52, Array("FAT32".utf8)),
    ]
    private static let clusters: [(name: String, place: Int, mark: [UInt8])] =
        [1024, 2048, 4096, 8192].map { ("OCFS2", $0, Array("OCFSV2".utf8)) }
        + [("GFS2", 0x10000, [0x01, 0x16, 0x19, 0x70])]

    init(_ bytes: some Collection<UInt8>) {
        func has(_ entry: (name: String, place: Int, mark: [UInt8])) -> Bool {
            bytes.dropFirst(entry.place).prefix(entry.mark.count).elementsEqual(entry.mark)
        }
        if let found = Self.clusters.first(where: has) {
            self = .cluster(found.name)
        } else if let found = Self.locals.first(where: has) {
            self = .local(found.name)
        } else {
            self = .unknown
        }
    }

    /// Looks past the page cache.
    static func read(_ path: String) throws(Failure) -> DiskContent {
        let what = "cannot read \(path)"
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | xenlvs_o_direct)
        guard descriptor >= 0 else { throw Failure.system(what) }
        defer { close(descriptor) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 4096)
        defer { buffer.deallocate() }
        let count = Glibc.read(descriptor, buffer.baseAddress, length)
        guard count >= 0 else { throw Failure.system(what) }
        return DiskContent(buffer[..<count])
    }

    /// Throws `.refused` for what one host alone may write to.
    func checkSuitsCluster(_ volume: VolumeName) throws(Failure) {
        guard case .local(let name) = self else { return }
        throw Failure(
            .refused, "cannot share '\(volume)' with several guests that write",
            why: "it has a file system (\(name)) for one host alone, which two guests destroy",
            remedy: "make a cluster file system in it first, or leave --cluster-file-system out")
    }
}

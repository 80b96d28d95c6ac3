import Glibc
import HostModel
import Testing

@testable import Storage

@Suite("Directory pools")
struct FilePoolTests {
    @Test("A volume's file has its exact size, allocated blocks and mode 600, and appears under its name only")
    func create() throws {
        try withTemporaryDirectory { path in
            let pool = try FilePool(path)
            let former = umask(0)
            defer { umask(former) }
            #expect(try pool.size(of: web1) == nil)
            try pool.create(web1, size: .mebibytes(3))
            try pool.create(web1, .metadata, size: .mebibytes(1))
            #expect(try pool.size(of: web1) == .mebibytes(3))
            #expect(try pool.size(of: web1, .metadata) == .mebibytes(1))
            var status = stat()
            #expect(stat(pool.path(of: web1), &status) == 0)
            #expect(status.st_mode & 0o7777 == 0o600)
            #expect(status.st_blocks * 512 >= 3 << 20)
            #expect(try TextFile.names(in: path, doing: "test").sorted() == ["web1.drbdmd", "web1.img"])
            #expect(try pool.freeSpace() > .mebibytes(1))
        }
    }

    @Test("A file that is there is not touched")
    func taken() throws {
        try withTemporaryDirectory { path in
            let pool = try FilePool(path)
            try pool.create(web1, size: .mebibytes(1))
            #expect(failure { try pool.create(web1, size: .mebibytes(2)) }?.code == .refused)
            #expect(try pool.size(of: web1) == .mebibytes(1))
        }
    }

    @Test("A size that no device can have is refused", arguments: [0, -512, 513])
    func sizes(_ bytes: Int64) throws {
        try withTemporaryDirectory { path in
            let pool = try FilePool(path)
            #expect(failure { try pool.create(web1, size: ByteCount(bytes)) }?.code == .refused)
            #expect(try TextFile.names(in: path, doing: "test").isEmpty)
        }
    }

    @Test("When the space runs out nothing is left")
    func full() throws {
        try withTemporaryDirectory { path in
            let pool = try FilePool(path)
            let found = failure { try pool.create(web1, size: .gibibytes(1 << 20)) }
            #expect(found?.code == .failed)
            #expect(found?.text.contains("df \(path)") == true)
            #expect(try TextFile.names(in: path, doing: "test").isEmpty)
        }
    }

    @Test("What a killed run left does not hinder the next one")
    func leftOver() throws {
        try withTemporaryDirectory { path in
            let pool = try FilePool(path)
            close(creat(path + "/.web1.img.xenlvs-new", 0o600))
            try pool.create(web1, size: .mebibytes(1))
            #expect(try TextFile.names(in: path, doing: "test") == ["web1.img"])
        }
    }

    @Test("A file is removed once; a second removal finds nothing to do")
    func remove() throws {
        try withTemporaryDirectory { path in
            let pool = try FilePool(path)
            try pool.create(web1, size: .mebibytes(1))
            #expect(try pool.remove(web1))
            #expect(try pool.remove(web1) == false)
            symlink("/etc/passwd", pool.path(of: web1))
            #expect(failure { try pool.remove(web1) }?.code == .refused)
            #expect(failure { _ = try pool.size(of: web1) }?.code == .refused)
        }
    }

    @Test("A pool must be a real directory that not everybody can write to")
    func unusable() throws {
        try withTemporaryDirectory { path in
            func code(_ pool: String) -> Failure.Code? { failure { _ = try FilePool(pool) }?.code }
            #expect(code("srv/pool") == .usage)
            #expect(code(path + "/../x") == .usage)
            #expect(code(path + "/") == .usage)
            #expect(code("") == .usage)
            #expect(code(path + "/none") == .notFound)
            symlink(path, path + "/link")
            #expect(code(path + "/link") == .refused)
            chmod(path, 0o777)
            #expect(code(path) == .refused)
            chmod(path, 0o700)
            #expect(code(path) == nil)
        }
    }
}

@Suite("Loop devices")
struct LoopDeviceTests {
    @Test("The list tells direct, closing and partial devices apart, and leaves out those without a file")
    func parse() throws {
        let devices = try LoopDevices.parse(Recorded.loopDevices)
        #expect(
            devices == [
                LoopDevice(
                    path: "/dev/loop1", file: "/srv/pool/web1.img", isReadOnly: false, isDirect: true, isClosing: false,
                    isWhole: true),
                LoopDevice(
                    path: "/dev/loop0", file: "/srv/pool/old.img (deleted)", isReadOnly: true, isDirect: false,
                    isClosing: true, isWhole: false),
            ])
        #expect(try LoopDevices.parse("\n").isEmpty)
        #expect(failure { _ = try LoopDevices.parse("{") }?.code == .inconsistent)
    }

    @Test("The answer to an attachment is a loop device's path or an error")
    func attached() throws {
        #expect(try LoopDevices.parseAttached("/dev/loop12\n") == "/dev/loop12")
        for text in ["", "/dev/loop\n", "/dev/loop1x", "/dev/sda", "/dev/loop1\n/dev/loop2\n"] {
            #expect(failure { _ = try LoopDevices.parseAttached(text) }?.code == .inconsistent)
        }
    }

    @Test("Attaching asks for direct I/O and for no second device over the same file")
    func commands() {
        #expect(
            LoopDevices.attach("/srv/web1.img").description
                == "losetup --find --show --nooverlap --direct-io=on /srv/web1.img")
        #expect(LoopDevices.attach("/f", readOnly: true).arguments.contains("--read-only"))
        #expect(LoopDevices.attach("/f", partitions: true).arguments.contains("--partscan"))
        #expect(LoopDevices.detach("/dev/loop1").description == "losetup --detach /dev/loop1")
        #expect(LoopDevices.find("/f").arguments.suffix(2) == ["--associated", "/f"])
        #expect(LoopDevices.list().effect == .query)
    }
}

@Suite("Block devices")
struct BlockDeviceTests {
    @Test(
        "A pool's file becomes a block device of its exact size, found again by losetup, and seen to be claimed",
        .enabled(if: canUseLoopDevices, "loop devices need root and /dev/loop-control"))
    func loopDevice() throws {
        try withTemporaryDirectory { path in
            let pool = try FilePool(path)
            try pool.create(web1, size: ByteCount(3 * 1_048_576 + 512))
            let path = try LoopDevices.parseAttached(shell(LoopDevices.attach(pool.path(of: web1)).description).output)
            defer { _ = try? shell(LoopDevices.detach(path).description) }
            let again = try shell(LoopDevices.attach(pool.path(of: web1)).description)
            #expect(try LoopDevices.parseAttached(again.output) == path)
            let listed = try LoopDevices.parse(shell(LoopDevices.find(pool.path(of: web1)).description).output)
            #expect(listed.map(\.path) == [path] && listed.map(\.file) == [pool.path(of: web1)])

            let device = try BlockDevice(at: path)
            #expect(device.number.major == 7)
            #expect(try device.size() == ByteCount(3 * 1_048_576 + 512))
            #expect(try device.measureSize() == ByteCount(3 * 1_048_576 + 512))
            #expect(try device.holders().isEmpty)
            #expect(try device.mapping() == nil)
            #expect(try device.mountPoints().isEmpty)
            #expect(try device.isClaimed() == false)
            let claim = open(path, O_RDONLY | O_EXCL)
            #expect(try device.isClaimed())
            close(claim)
        }
    }

    @Test("What is missing or no block device says so")
    func notADevice() {
        #expect(failure { _ = try BlockDevice(at: "/dev/null") }?.text.contains("a character device") == true)
        #expect(failure { _ = try BlockDevice(at: "/dev/no-such-device") }?.code == .notFound)
    }

    @Test("The kernel's size, holders and mapping are read below /sys", .enabled(if: canMakeNodes, "needs CAP_MKNOD"))
    func sysfs() throws {
        try withTemporaryDirectory { root in
            mknod(root + "/dm-3", S_IFBLK | 0o600, dev_t(253 << 8 | 3))
            let attributes = root + "/sys/dev/block/253:3"
            try shell("mkdir -p \(attributes)/holders/dm-9 \(attributes)/holders/dm-4 \(attributes)/dm")
            try shell("echo 8192 > \(attributes)/size; echo vg0-web1 > \(attributes)/dm/name")
            try shell("echo LVM-abc > \(attributes)/dm/uuid")
            let device = try BlockDevice(at: root + "/dm-3", sysfs: root + "/sys")
            #expect(try device.size() == .mebibytes(4))
            #expect(try device.holders() == ["dm-4", "dm-9"])
            #expect(try device.mapping()?.name == "vg0-web1")
            #expect(try device.mapping()?.uuid == "LVM-abc")
            try shell("echo many > \(attributes)/size")
            #expect(failure { _ = try device.size() }?.code == .inconsistent)
        }
    }

    @Test("A partition has its disk's cache and blocks", .enabled(if: canMakeNodes, "needs CAP_MKNOD"))
    func partition() throws {
        try withTemporaryDirectory { root in
            mknod(root + "/sda3", S_IFBLK | 0o600, dev_t(8 << 8 | 3))
            try shell("mkdir -p \(root)/sys/dev/block \(root)/sys/block/sda/sda3 \(root)/sys/block/sda/queue")
            try shell("ln -s ../../block/sda/sda3 \(root)/sys/dev/block/8:3")
            try shell("echo 4096 > \(root)/sys/block/sda/queue/logical_block_size")
            let device = try BlockDevice(at: root + "/sda3", sysfs: root + "/sys")
            for (word, hasCache) in [("write back", true), ("write through", false)] {
                try shell("echo '\(word)' > \(root)/sys/block/sda/queue/write_cache")
                #expect(try device.hasVolatileCache() == hasCache)
            }
            #expect(try device.logicalBlockSize() == 4096)
        }
    }

    @Test("Minor numbers above 255 are taken apart as glibc does")
    func numbers() {
        #expect(BlockDeviceNumber(0x12345_f_ffff_ffff).description == "1196031:1174405119")
        #expect(BlockDeviceNumber(dev_t(259 << 8 | 7)).description == "259:7")
        #expect(BlockDeviceNumber(dev_t(0x1_00a0_fd34)).description == "253:1051188")
    }

    @Test("Mount points are found by number, with their blanks restored")
    func mounts() {
        let table = """
            22 27 0:21 / /proc rw,relatime shared:14 - proc proc rw
            27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            90 27 254:0 /srv /mnt/two\\040words rw,relatime - ext4 /dev/vda rw
            91 27 254:01 / /mnt/other rw - ext4 /dev/vdb rw
            odd line

            """
        let device = BlockDeviceNumber(major: 254, minor: 0)
        #expect(MountTable(table).mountPoints(of: device) == ["/", "/mnt/two words"])
    }
}

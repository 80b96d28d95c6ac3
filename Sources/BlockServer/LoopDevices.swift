import CLinux
import Glibc

/// Loop devices, as /sys shows them (drivers/block/loop.c).
enum LoopDevices {
    /// A loop device that shows the open file or a part of it, such as `/dev/loop1`; nil where none does.
    static func first(over descriptor: Int32) -> String? {
        var file = stat()
        guard fstat(descriptor, &file) == 0, let name = fileName(descriptor), let directory = opendir("/sys/block")
        else { return nil }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let device = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            // The present path of its file, by the kernel's own knowledge.
            guard device.hasPrefix("loop"), let path = SmallFile.read("/sys/block/\(device)/loop/backing_file"),
                // Only files of the same name are looked at: others may lie on file systems that hang.
                lastPart(path) == name
            else { continue }
            var other = stat()
            if stat(path, &other) == 0, other.st_dev == file.st_dev, other.st_ino == file.st_ino {
                return "/dev/\(device)"
            }
        }
        return nil
    }

    private static func fileName(_ descriptor: Int32) -> String? {
        guard let path = realpath("/proc/self/fd/\(descriptor)", nil) else { return nil }
        defer { free(path) }
        return lastPart(String(cString: path))
    }

    private static func lastPart(_ path: String) -> String? { path.split(separator: "/").last.map { String($0) } }
}

/// The number under which xenstore keeps a virtual disk (docs/man/xen-vbd-interface.7;
/// `libxl__device_disk_dev_number`).
public enum VirtualDevice {
    /// The number of `xvda`, `xvdb3`, `sda1`, `hdc`; nil for a name that Xen does not know.
    public static func number(_ name: String) -> Int? {
        if let (disk, partition) = split(name, after: "xvd", disks: 1 << 20, partitions: 256) {
            return disk < 16 && partition < 16
                ? 202 << 8 | disk << 4 | partition : 1 << 28 | disk << 8 | partition
        }
        if let (disk, partition) = split(name, after: "hd", disks: 4, partitions: 64) {
            return (disk < 2 ? 3 : 22) << 8 | (disk & 1) << 6 | partition
        }
        if let (disk, partition) = split(name, after: "sd", disks: 16, partitions: 16) {
            return 8 << 8 | disk << 4 | partition
        }
        return nil
    }

    private static func split(
        _ name: String, after prefix: String, disks: Int, partitions: Int
    ) -> (disk: Int, partition: Int)? {
        guard name.hasPrefix(prefix) else { return nil }
        let rest = name.dropFirst(prefix.count)
        let letters = rest.prefix { ("a"..."z").contains($0) }
        let digits = rest[letters.endIndex...]
        // Counted in bytes: a letter with marks on it is one character of any length.
        guard !letters.isEmpty, letters.utf8.count <= 5 else { return nil }
        let disk = letters.utf8.reduce(0) { $0 * 26 + Int($1 - UInt8(ascii: "a")) + 1 } - 1
        guard disk < disks else { return nil }
        if digits.isEmpty { return (disk, 0) }
        guard digits.first != "0", digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let partition = Int(digits), partition < partitions
        else { return nil }
        return (disk, partition)
    }
}

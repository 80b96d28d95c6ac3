/// Reads the kernel's list of mounts (Documentation/filesystems/proc.rst, section 3.5: `/proc/<pid>/mountinfo`).
enum MountTable {
    /// The mount points of the device in `table`, in order. Lines that are not understood are passed over.
    static func mountPoints(of device: BlockDeviceNumber, in table: String) -> [String] {
        table.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 4, fields[2] == device.description else { return nil }
            return unescaped(fields[4])
        }
    }

    /// Blank, tab, newline and backslash stand as three octal digits after a backslash.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = field.utf8[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, let code = UInt8(Substring(digits), radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

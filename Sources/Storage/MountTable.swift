import HostModel

/// The kernel's list of mounts at a moment, in this mount namespace (Documentation/filesystems/proc.rst, section 3.5:
/// `/proc/<pid>/mountinfo`). Lines that are not understood are passed over.
public struct MountTable: Sendable {
    /// In the list's order.
    private var points: [BlockDeviceNumber: [String]] = [:]

    /// Nothing is mounted.
    public init() {}

    /// Reads the list.
    public static func current(doing what: String) throws(Failure) -> MountTable {
        MountTable(try TextFile.read("/proc/self/mountinfo", doing: what))
    }

    init(_ text: String) {
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
            guard fields.count > 4, let number = Self.number(fields[2]) else { continue }
            points[number, default: []].append(Self.unescaped(fields[4]))
        }
    }

    /// Where the device is mounted.
    public func mountPoints(of device: BlockDeviceNumber) -> [String] { points[device] ?? [] }

    /// `253:3`.
    private static func number(_ field: Substring.UTF8View) -> BlockDeviceNumber? {
        let parts = field.split(separator: UInt8(ascii: ":")).map { UInt32(Substring($0)) }
        guard parts.count == 2, let major = parts[0], let minor = parts[1] else { return nil }
        return BlockDeviceNumber(major: major, minor: minor)
    }

    /// Blank, tab, newline and backslash stand as three octal digits after a backslash.
    private static func unescaped(_ field: Substring.UTF8View) -> String {
        var bytes: [UInt8] = []
        var rest = field
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

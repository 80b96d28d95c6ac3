import FoundationEssentials
import HostModel

/// What tells a served file or device from all others, across restarts.
public enum DeviceSerial {
    /// Twenty characters from this machine's identity and the path, made absolute. Links are not followed: what
    /// `/dev/vg0/web1` leads to has another number after a restart.
    public static func text(of path: String) -> String { text(forSubject: absolute(path)) }

    /// The same for a volume, whose name stays while what it leads to changes.
    public static func text(ofVolume name: VolumeName) -> String { text(forSubject: "volume \(name)") }

    /// The same for a name that stays.
    public static func text(forSubject name: String) -> String {
        let machine = (try? String(contentsOfFile: "/etc/machine-id", encoding: .utf8)) ?? ""
        let subject = machine + name
        // FNV-1a, 64 bits: the same in every run, which Hasher is not.
        let hash = subject.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16, uppercase: true)
        return "XLVS" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The path from the root on, by its letters alone.
    private static func absolute(_ path: String) -> String {
        let whole = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
        var parts: [Substring] = []
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}

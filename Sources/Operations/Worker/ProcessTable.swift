import Domains
import FoundationEssentials
import HostModel

/// The processes of this host, as /proc shows them.
enum ProcessTable {
    /// Whether an `xl save` is at work on a domain. A coordinator that died leaves its save running, and that must be waited
    /// for, never repeated.
    static func isSaving(_ id: DomainID) throws -> Bool {
        try hasXL("save") { $0 == id.description }
    }

    /// Whether there is an `xl restore` from one of these images: one that is at work, or the watcher that it leaves behind for
    /// as long as the domain lives.
    static func isRestoring(_ images: [String]) throws -> Bool {
        try hasXL("restore") { images.contains(String($0)) }
    }

    private static func hasXL(_ verb: String, with isMeant: (Substring) -> Bool) throws -> Bool {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").contains { entry in
            guard entry.allSatisfy(\.isNumber), let line = KernelFile.read("/proc/\(entry)/cmdline") else {
                return false
            }
            let words = line.split(separator: "\0")
            return words.count >= 3 && (words[0] == "xl" || words[0].hasSuffix("/xl")) && words[1] == verb[...]
                && words.contains(where: isMeant)
        }
    }
}

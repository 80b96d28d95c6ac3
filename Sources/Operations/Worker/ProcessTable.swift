import Domains
import FoundationEssentials
import HostModel

/// The processes of this host, as /proc shows them.
enum ProcessTable {
    /// Whether an `xl save` is at work on a domain. A coordinator that died leaves its save running, and that must be waited
    /// for, never repeated.
    static func isSaving(_ id: DomainID) throws -> Bool {
        try hasXL(["save"]) { $0 == id.description }
    }

    /// Whether an `xl migrate` is at work on a domain. Without its stream it comes to its end.
    static func isMigrating(_ id: DomainID) throws -> Bool {
        try hasXL(["migrate"]) { $0 == id.description }
    }

    /// Whether either of them is, by one look.
    static func isSavingOrMigrating(_ id: DomainID) throws -> Bool {
        try hasXL(["save", "migrate"]) { $0 == id.description }
    }

    /// Whether there is an `xl restore` from one of these images: one that is at work, or the watcher that it leaves behind for
    /// as long as the domain lives.
    static func isRestoring(_ images: [String]) throws -> Bool {
        try hasXL(["restore"]) { images.contains(String($0)) }
    }

    /// Whether LVM is making what this file holds a group's metadata: a command of ours, which outlives whoever has begun it.
    static func isTakingMetadata(from file: String) throws -> Bool {
        try has { words in words.contains("vgcfgrestore") && words.contains { $0 == file } }
    }

    private static func hasXL(_ verbs: [Substring], with isMeant: (Substring) -> Bool) throws -> Bool {
        try has { words in
            guard words.count >= 3, words[0] == "xl" || words[0].hasSuffix("/xl") else { return false }
            guard let verb = words.dropFirst().first(where: { !$0.hasPrefix("-") }), verbs.contains(verb) else {
                return false
            }
            return words.contains(where: isMeant)
        }
    }

    /// Whether there is a process whose command line is meant. One that has ended, and was not waited for yet, has none.
    private static func has(_ isMeant: ([Substring]) -> Bool) throws -> Bool {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").contains { entry in
            guard entry.allSatisfy(\.isNumber), let line = KernelFile.read("/proc/\(entry)/cmdline") else {
                return false
            }
            return isMeant(line.split(separator: "\0"))
        }
    }
}

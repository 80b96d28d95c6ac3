import HostModel

/// A volume group's metadata as `vgcfgbackup` writes them (lvm2, lib/format_text/export.c), for the one change that no LVM
/// command makes: another UUID for an LV. Pure.
public struct LVMMetadataText: Sendable, Equatable {
    public private(set) var text: String

    public init(_ text: String) { self.text = text }

    /// The number that every change of the metadata raises; nil where it cannot be read.
    public var sequence: Int? {
        lines.compactMap { Self.value("seqno", in: $0).flatMap { Int($0) } }.first
    }

    private var lines: [Substring] { text.split(separator: "\n") }

    /// `NAME = VALUE`, with or without quotation marks.
    private static func value(_ name: String, in line: Substring) -> String? {
        let words = line.split(separator: "=", maxSplits: 1).map { $0.filter { !$0.isWhitespace } }
        guard words.count == 2, words[0] == name else { return nil }
        return words[1].split(separator: "#").first.map { $0.filter { $0 != "\"" } }
    }

    /// Gives the LV another UUID.
    /// - Throws: `.refused` where the group is shared between hosts, or holds thin pools, whose groups `vgcfgrestore` does not
    ///   take; `.inconsistent` where the LV is not there exactly once, under the name and with the UUID.
    public mutating func renew(
        _ volume: LogicalVolumeReference, from former: String, to next: String
    ) throws(Failure) {
        let what = "cannot give \(volume) another UUID"
        for line in lines {
            if let kind = Self.value("lock_type", in: line), !["", "none"].contains(kind) {
                throw Failure(.refused, what, why: "the volume group is shared with other hosts (\(kind))")
            }
            if let kind = Self.value("type", in: line), kind.hasPrefix("thin") {
                throw Failure(
                    .refused, what, why: "the volume group has a thin pool, and LVM does not read its metadata back")
            }
        }
        let mark = "id = \"\(former)\""
        let parts = text.split(separator: mark, omittingEmptySubsequences: false)
        // What is opened last before the UUID is the LV's own section.
        let section = parts[0].split(separator: "\n").last { $0.contains("{") }?
            .split(whereSeparator: \.isWhitespace).first.map(String.init)
        guard parts.count == 2, section == volume.name.text, !text.contains(next) else {
            throw Failure(
                .inconsistent, what, why: "its group's metadata do not have it once, with the UUID \(former)",
                remedy: "see 'lvs -o +lv_uuid \(volume)'")
        }
        text = parts[0] + "id = \"\(next)\"" + parts[1]
    }
}

/// UUIDs as LVM makes them (lvm2, lib/uuid/uuid.c): 32 of its characters, in groups of 6, 4, 4, 4, 4, 4 and 6.
public enum LVMIdentifier {
    private static let characters = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

    public static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        return [6, 4, 4, 4, 4, 4, 6].map { length in
            String((0..<length).map { _ in characters.randomElement(using: &generator) ?? "0" })
        }.joined(separator: "-")
    }
}

/// Where LVM keeps its locks.
public struct LVMLockPlace: Sendable, Equatable {
    public var directory: String

    /// Reads the answer to `LVMCommands.lockQuery`.
    /// - Throws: `.refused` where a daemon does the locking.
    public init(parsing output: String) throws(Failure) {
        var settings: [Substring: String] = [:]
        for line in output.split(separator: "\n") {
            let words = line.split(separator: "=", maxSplits: 1)
            guard words.count == 2 else { continue }
            settings[words[0]] = words[1].filter { $0 != "\"" && !$0.isWhitespace }
        }
        let what = "cannot keep LVM from changing a volume group"
        guard settings["use_lvmlockd"] == "0" else {
            throw Failure(.refused, what, why: "its locks are kept by lvmlockd, for several hosts")
        }
        guard let directory = settings["locking_dir"], directory.hasPrefix("/") else {
            throw Failure(
                .inconsistent, what, why: "LVM does not say where its locks are: '\(output.prefix(200))'",
                remedy: "see 'lvmconfig --typeconfig full global/locking_dir'")
        }
        self.directory = directory
    }

    /// The file whose lock every command that reads or changes the group takes (lvm2, lib/locking/file_locking.c).
    public func file(of group: VolumeGroupName) -> String { "\(directory)/V_\(group)" }
}

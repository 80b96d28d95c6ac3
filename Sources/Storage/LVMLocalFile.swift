import HostModel

/// The part of `/etc/lvm/lvmlocal.conf` that is xenlvs's, between two marks.
///
/// LVM reads that file after `lvm.conf`, what stands in it counts, and a section may come several times (lvm.conf(5); tried
/// with 2.03.16 of Debian 12). LVM has no directory for drop-ins, and a profile cannot have a filter.
public struct LVMLocalFile: Sendable, Equatable {
    /// The file's text; empty where there is none.
    public let text: String

    private static let begin = "# begin of what 'xenlvs doctor --set-lvm-filter' has set"
    private static let end = "# end of what 'xenlvs doctor --set-lvm-filter' has set"

    public init(_ text: String) { self.text = text }

    /// The lines of xenlvs's part, marks included; nil where it has none. Throws `.inconsistent` where a mark is alone, or
    /// comes twice.
    private func part(of lines: [Substring]) throws(Failure) -> ClosedRange<Int>? {
        let begins = lines.indices.filter { lines[$0] == Self.begin }
        let ends = lines.indices.filter { lines[$0] == Self.end }
        if begins.isEmpty, ends.isEmpty { return nil }
        guard begins.count == 1, ends.count == 1, begins[0] < ends[0] else {
            throw Failure(
                .inconsistent, "cannot tell which part of lvmlocal.conf is xenlvs's",
                why: "it has \(begins.count) lines '\(Self.begin)' and \(ends.count) lines '\(Self.end)'",
                remedy: "leave one of each, with the global_filter between them, or remove all of that")
        }
        return begins[0]...ends[0]
    }

    private var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    public var hasPart: Bool { get throws(Failure) { try part(of: lines) != nil } }

    /// The same file with the filter, in the place of one that is there, else at the end. Throws as `hasPart`.
    public func setting(_ patterns: [String]) throws(Failure) -> LVMLocalFile {
        let part = """
            \(Self.begin)
            devices {
                \(LVMDeviceFilter.line(patterns))
            }
            \(Self.end)
            """
        var lines = lines
        if let place = try self.part(of: lines) {
            lines.replaceSubrange(place, with: [part[...]])
            return LVMLocalFile(lines.joined(separator: "\n"))
        }
        let before = text.isEmpty || text.hasSuffix("\n") ? text : text + "\n"
        return LVMLocalFile(before + part + "\n")
    }

    /// The same file without it. Throws as `hasPart`.
    public func removing() throws(Failure) -> LVMLocalFile {
        var lines = lines
        guard let place = try part(of: lines) else { return self }
        lines.removeSubrange(place)
        return LVMLocalFile(lines.joined(separator: "\n"))
    }
}

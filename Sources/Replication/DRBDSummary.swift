import HostModel

/// What DRBD 8.4 shows in `/proc/drbd`, which is read without starting a program.
///
/// Two lines for each minor (`drbd_seq_show`, drbd_proc.c): ` 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----`
/// and, indented, counters such as `ns:0 nr:0 … oos:0`, the last in KiB. DRBD 9 shows only its version there.
public enum DRBDSummary {
    public static let file = "/proc/drbd"

    /// Whether the device is connected and at rest, and both copies are UpToDate with nothing out of sync.
    /// - Returns: nil where the text does not say so of this minor, or is not understood.
    public static func isInStep(_ minor: Int, in text: String) -> Bool? {
        let lines = text.split(whereSeparator: \.isNewline).map { $0.split(separator: " ") }
        guard let index = lines.firstIndex(where: { $0.first == "\(minor):" }) else { return nil }
        func value(_ key: String, in words: [Substring]) -> Substring? {
            words.first { $0.hasPrefix(key) }?.dropFirst(key.count)
        }
        guard let connection = value("cs:", in: lines[index]), let disks = value("ds:", in: lines[index]),
            lines.indices.contains(index + 1), let missing = value("oos:", in: lines[index + 1])
        else { return nil }
        return connection == "Connected" && disks == "UpToDate/UpToDate" && missing == "0"
    }
}

import HostModel

/// What `/proc/drbd` of DRBD 8.4 says of a running resync or verification. `events2` tells a resync's progress by what
/// is out of sync, but nothing of a verification's on 8.4.
public struct ResyncReport: Sendable, Codable, Equatable {
    public enum Operation: String, Sendable, Codable { case resync, verification }

    public var minor: Int
    public var operation: Operation
    /// What is left, and of how much. Rounded down to MiB above 4 GiB.
    public var left: ByteCount
    public var total: ByteCount

    /// Reads `/proc/drbd`: a line `MINOR: cs:STATE ...` for each device and, while one is being worked on, a line with
    /// `sync'ed: 11.8% (61896/65536)K` or `verified: ...` (`drbd_syncer_progress`, drbd_proc.c; left / total, K or M).
    public static func parse(procDRBD text: String) -> [ResyncReport] {
        var reports: [ResyncReport] = []
        var minor: Int?
        for line in text.split(whereSeparator: \.isNewline) {
            if let colon = line.firstRange(of: ": cs:"), let number = Int(line[..<colon.lowerBound].drop { $0 == " " })
            {
                minor = number
            } else if let minor, let report = ResyncReport(minor: minor, progress: line) {
                reports.append(report)
            }
        }
        return reports
    }

    private init?(minor: Int, progress line: Substring) {
        if line.contains("] sync'ed:") {
            operation = .resync
        } else if line.contains("] verified:") {
            operation = .verification
        } else {
            return nil
        }
        guard let opening = line.firstIndex(of: "("), let closing = line.firstIndex(of: ")"), opening < closing else {
            return nil
        }
        let numbers = line[line.index(after: opening)..<closing].split(separator: "/").compactMap { Int64($0) }
        let shift: Int64
        switch line[line.index(after: closing)...].first {
        case "K": shift = 10
        case "M": shift = 20
        default: return nil
        }
        guard numbers.count == 2, numbers.allSatisfy({ (0...(Int64.max >> 20)).contains($0) }) else { return nil }
        self.minor = minor
        left = ByteCount(numbers[0] << shift)
        total = ByteCount(numbers[1] << shift)
    }
}

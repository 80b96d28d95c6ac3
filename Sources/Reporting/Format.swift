import FoundationEssentials
import HostModel

/// How durations, rates, ratios and points in time are written for people, everywhere in xenlvs. Sizes are written by
/// `ByteCount.description`.
public enum Format {
    /// `45 ms`, `4.21 s`, `24.3 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`: two figures that matter, rounded.
    public static func duration(milliseconds: Int64) -> String {
        let value = max(0, milliseconds)
        if value < 100 { return "\(value) ms" }
        if value < 9_995 { return fixed(value, per: 1_000, decimals: 2) + " s" }
        if value < 59_950 { return fixed(value, per: 1_000, decimals: 1) + " s" }
        let seconds = (value + 500) / 1_000
        if seconds < 3_600 { return "\(seconds / 60) min \(seconds % 60) s" }
        let minutes = (seconds + 30) / 60
        if minutes < 1_440 { return "\(minutes / 60) h \(minutes % 60) min" }
        let hours = (minutes + 30) / 60
        return "\(hours / 24) d \(hours % 24) h"
    }

    public static func duration(_ duration: Duration) -> String {
        self.duration(milliseconds: duration.wholeMilliseconds)
    }

    /// A time that is guessed, so without fractions: `48 s`, `1 min 48 s`, `2 h 5 min`.
    public static func estimate(_ duration: Duration) -> String {
        let seconds = (max(0, duration.wholeMilliseconds) + 500) / 1_000
        return seconds < 60 ? "\(seconds) s" : self.duration(milliseconds: seconds * 1_000)
    }

    /// A time since a beginning, to the second, for axes and columns: `0:07`, `12:40`, `3:12:05`.
    public static func clock(milliseconds: Int64) -> String {
        let seconds = max(0, milliseconds) / 1_000
        let minutes = seconds / 60
        return minutes < 60
            ? "\(minutes):\(twoDigits(seconds % 60))"
            : "\(minutes / 60):\(twoDigits(minutes % 60)):\(twoDigits(seconds % 60))"
    }

    /// `36.4 MiB/s`.
    public static func rate(bytesPerSecond: Int64) -> String { "\(ByteCount(bytesPerSecond))/s" }

    /// Bytes per second; nil for a transfer that took no measurable time.
    public static func bytesPerSecond(bytes: Int64, milliseconds: Int64) -> Int64? {
        milliseconds > 0 ? Int64(min(Double(bytes) * 1_000 / Double(milliseconds), 0x1p62)) : nil
    }

    /// A share of 1 in per cent: `2.3 %`, from ten per cent on whole numbers.
    public static func percent(_ share: Double) -> String {
        guard share.isFinite else { return "–" }
        let thousandths = Int64((share * 1_000).rounded())
        return abs(thousandths) < 100
            ? fixed(thousandths, per: 10, decimals: 1) + " %" : "\(Int64((share * 100).rounded())) %"
    }

    /// How much smaller something became: `6.1 : 1`.
    public static func ratio(_ value: Double) -> String {
        value.isFinite ? fixed(Int64((value * 100).rounded()), per: 100, decimals: 1) + " : 1" : "–"
    }

    /// `2026-11-21 09:14:05 UTC`, from milliseconds since 1970.
    public static func instant(milliseconds: Int64) -> String {
        let text = Date(timeIntervalSince1970: Double(milliseconds / 1_000)).formatted(.iso8601)
        return text.replacing("T", with: " ").replacing("Z", with: " UTC")
    }

    /// `once`, `twice`, `three times`, `7 times`.
    public static func times(_ count: Int) -> String {
        let words = ["never", "once", "twice", "three times", "four times"]
        return words.indices.contains(count) ? words[count] : "\(count) times"
    }

    /// `value / divisor` with a fixed number of decimals, rounded half up.
    static func fixed(_ value: Int64, per divisor: Int64, decimals: Int) -> String {
        let scale = (0..<decimals).reduce(Int64(1)) { power, _ in power * 10 }
        let scaled = (value.magnitude * UInt64(scale) + UInt64(divisor) / 2) / UInt64(divisor)
        let fraction = String(scaled % UInt64(scale))
        let zeros = String(repeating: "0", count: decimals - fraction.count)
        return "\(value < 0 ? "-" : "")\(scaled / UInt64(scale)).\(zeros)\(fraction)"
    }

    private static func twoDigits(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
}

extension Duration {
    /// Whole milliseconds, rounded down.
    var wholeMilliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}

import HostModel
import Testing

@testable import Reporting

@Suite struct FormatTests {
    @Test(
        "A duration is written in two figures that matter",
        arguments: [
            (0, "0 ms"), (45, "45 ms"), (99, "99 ms"), (100, "0.10 s"), (4_211, "4.21 s"), (9_994, "9.99 s"),
            (9_995, "10.0 s"), (24_340, "24.3 s"), (59_949, "59.9 s"), (59_950, "1 min 0 s"), (192_400, "3 min 12 s"),
            (3_599_499, "59 min 59 s"), (3_599_500, "1 h 0 min"), (7_500_000, "2 h 5 min"),
            (86_399_000, "1 d 0 h"), (273_600_000, "3 d 4 h"), (-5, "0 ms"),
        ] as [(Int64, String)])
    func durations(milliseconds: Int64, text: String) {
        #expect(Format.duration(milliseconds: milliseconds) == text)
    }

    @Test("A time that is guessed has no fractions")
    func estimates() {
        #expect(Format.estimate(.milliseconds(47_600)) == "48 s")
        #expect(Format.estimate(.milliseconds(59_700)) == "1 min 0 s")
        #expect(Format.estimate(.seconds(7_500)) == "2 h 5 min")
    }

    @Test("A rate has binary units")
    func rates() {
        #expect(Format.rate(bytesPerSecond: 38_168_166) == "36.4 MiB/s")
        #expect(Format.rate(bytesPerSecond: 1_048_576) == "1 MiB/s")
        #expect(Format.bytesPerSecond(bytes: 268_435_456, milliseconds: 7_000) == 38_347_922)
        #expect(Format.bytesPerSecond(bytes: 5, milliseconds: 0) == nil)
    }

    @Test("A clock shows hours only where there are any")
    func clocks() {
        #expect(Format.clock(milliseconds: 7_999) == "0:07")
        #expect(Format.clock(milliseconds: 760_000) == "12:40")
        #expect(Format.clock(milliseconds: 11_525_000) == "3:12:05")
    }

    @Test("Shares, ratios and points in time are rounded, not cut")
    func others() {
        #expect(Format.percent(0.0229) == "2.3 %")
        #expect(Format.percent(0.9996) == "100 %")
        #expect(Format.ratio(6.121) == "6.1 : 1")
        #expect(Format.ratio(.infinity) == "–")
        #expect(Format.instant(milliseconds: Histories.beginning) == "2026-11-21 09:14:05 UTC")
    }
}

@Suite struct DisplayTextTests {
    @Test("Text is measured in columns: combining characters take none, wide ones two")
    func widths() {
        #expect(DisplayText.width("web1") == 4)
        #expect(DisplayText.width("e\u{301}") == 1)
        #expect(DisplayText.width("仮想") == 4)
        #expect(DisplayText.width("█░▏✔…") == 5)
    }

    @Test("Text that is cut never exceeds its columns, not by half a wide character either")
    func truncation() {
        #expect(DisplayText.truncated("web1-root", to: 6) == "web1-…")
        #expect(DisplayText.truncated("仮想仮想", to: 6) == "仮想…")
        #expect(DisplayText.truncated("web1", to: 4) == "web1")
        #expect(DisplayText.truncated("web1", to: 0) == "")
    }

    @Test("Text from outside cannot steer a terminal nor turn the reading direction")
    func sanitising() {
        #expect(DisplayText.sanitised("a\u{1B}[31mb\u{7}\u{9B}") == "a\u{FFFD}[31mb\u{FFFD}\u{FFFD}")
        #expect(DisplayText.sanitised("c\nd\u{202E}e") == "c d\u{FFFD}e")
    }

    @Test("Wrapped text keeps every word, and breaks one that is too long")
    func wrapping() {
        #expect(DisplayText.wrapped("one two three", to: 8) == ["one two", "three"])
        #expect(DisplayText.wrapped("/dev/xenlvs/web1 is", to: 10) == ["/dev/xenlv", "s/web1 is"])
        #expect(DisplayText.wrapped("", to: 10) == [])
    }
}

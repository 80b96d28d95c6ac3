import HostModel
import Migration
import Synchronization
import Testing

@testable import Reporting

/// A reporter with a clock and a screen of the test's own.
final class Stage: Sendable {
    private let state: Mutex<(time: Duration, columns: Int, text: String)>
    let style: TerminalStyle

    init(_ style: TerminalStyle, columns: Int = 80) {
        self.style = style
        state = Mutex((.zero, columns, ""))
    }

    func reporter() -> ProgressReporter {
        ProgressReporter(
            style: style, width: { self.state.withLock { $0.columns } },
            write: { text in self.state.withLock { $0.text += text } }, now: { self.state.withLock { $0.time } })
    }

    func pass(_ milliseconds: Int) { state.withLock { $0.time += .milliseconds(milliseconds) } }
    func resize(_ columns: Int) { state.withLock { $0.columns = columns } }
    var written: String { state.withLock { $0.text } }

    func screen(_ columns: Int) -> ScreenEmulator {
        var screen = ScreenEmulator(columns: columns)
        screen.write(written)
        return screen
    }
}

private func synced(_ mebibytes: Int64, of total: Int64 = 1_024, _ name: String = "web1-root") -> ProgressUpdate {
    .sync(
        volume: VolumeName(unchecked: name), done: .mebibytes(mebibytes), total: .mebibytes(total),
        rate: ByteCount(38_168_166), timeLeft: .seconds((total - mebibytes) / 36))
}

extension Stage {
    /// Prepare and substitute, then synchronising up to `mebibytes`.
    func runUntilSync(_ reporter: ProgressReporter, mebibytes: Int64) {
        reporter.update(.stepBegan(.reserveTarget))
        pass(3_200)
        reporter.update(.stepEnded(.reserveTarget))
        reporter.update(.stepBegan(.saveForReplica))
        reporter.update(.freezeBegan(number: 1))
        pass(5_100)
        reporter.update(.freezeEnded(number: 1, milliseconds: 5_100))
        reporter.update(.stepEnded(.saveForReplica))
        reporter.update(.stepBegan(.synchronise))
        for done in stride(from: 0, through: mebibytes, by: 36) {
            reporter.update(synced(done))
            pass(1_000)
        }
        reporter.tick()
    }
}

@Suite struct TerminalProgressTests {
    let style = TerminalStyle(isTerminal: true, color: true)

    @Test("A phase under way has a live line and a bar with rate and time left; ended ones have a check mark")
    func live() {
        let stage = Stage(style)
        stage.runUntilSync(stage.reporter(), mebibytes: 360)
        let screen = stage.screen(80)
        #expect(
            screen.text == [
                "✔ prepare         3.20 s", "✔ substitute      5.10 s   freeze 1 5.10 s", "⠸ synchronise       0:11",
                "    web1-root  █████▋░░░░░░░░░░   35 %  360 MiB of 1 GiB  36.4 MiB/s  18 s left",
            ])
        #expect(screen.wraps == 0)
        #expect(screen.isCursorVisible == false)
        #expect(screen.unknown.isEmpty)
    }

    @Test("At the end nothing live is left and the cursor is back")
    func finish() {
        let stage = Stage(style)
        let reporter = stage.reporter()
        stage.runUntilSync(reporter, mebibytes: 360)
        reporter.update(.stepEnded(.synchronise))
        reporter.finish()
        reporter.update(.note("too late"))
        reporter.finish()
        let screen = stage.screen(80)
        #expect(
            screen.text == [
                "✔ prepare         3.20 s", "✔ substitute      5.10 s   freeze 1 5.10 s", "✔ synchronise     11.0 s",
                "",
            ])
        #expect(screen.isCursorVisible)
    }

    @Test("No line ever wraps, at any width", arguments: [21, 30, 50, 64, 80, 132])
    func widths(columns: Int) {
        let stage = Stage(style, columns: columns)
        let reporter = stage.reporter()
        stage.runUntilSync(reporter, mebibytes: 360)
        reporter.update(synced(12, of: 40_960, "a-volume-with-a-name-of-the-greatest-length-that-is-legal-01"))
        stage.pass(1_000)
        let word = String(repeating: "x", count: 90)
        reporter.update(.note("仮想マシン, and words that go on and on until the line is full: \(word)"))
        reporter.update(.stepBegan(.transferImage))
        reporter.update(.freezeBegan(number: 2))
        stage.pass(1_000)
        reporter.update(.image(read: .mebibytes(48), total: .mebibytes(96), sent: .mebibytes(8)))
        stage.pass(1_000)
        reporter.update(.image(read: .mebibytes(96), total: .mebibytes(96), sent: .mebibytes(16)))
        reporter.update(.freezeEnded(number: 2, milliseconds: 4_200))
        reporter.update(.stepFailed(.transferImage, Histories.restoreFailed))
        reporter.finish()
        let screen = stage.screen(columns)
        #expect(screen.wraps == 0)
        #expect(screen.unknown.isEmpty)
        #expect(screen.text.contains { $0.hasPrefix("✘ hand over") })
        #expect(screen.text.joined().contains("4.20 s"))
    }

    @Test("At 50 columns a bar keeps its share and time left, and gives up the rest")
    func narrow() {
        let stage = Stage(style, columns: 50)
        stage.runUntilSync(stage.reporter(), mebibytes: 360)
        #expect(stage.screen(50).text.last == "    web1-root  █████▋░░░░░░░░░░   35 %  18 s left")
    }

    @Test("A terminal made narrower loses none of the lines that were to stay")
    func resize() {
        let stage = Stage(style)
        let reporter = stage.reporter()
        stage.runUntilSync(reporter, mebibytes: 360)
        let before = stage.written
        stage.resize(40)
        for _ in 0..<4 {
            reporter.update(synced(400))
            stage.pass(80)
        }
        // While the width may still be changing nothing is drawn.
        #expect(stage.written == before)
        stage.pass(300)
        reporter.update(synced(500))
        let added = String(stage.written.dropFirst(before.count))
        // What follows begins on a line of its own: it cannot reach up into lines that the terminal has wrapped.
        #expect(added.hasPrefix("\r\n"))
        #expect(!added.contains("A"))
        #expect(stage.screen(80).text.contains("✔ substitute      5.10 s   freeze 1 5.10 s"))
    }

    @Test("A frozen domain shows for how long, and the phase's line keeps the freeze's length")
    func freeze() throws {
        let stage = Stage(style)
        let reporter = stage.reporter()
        reporter.update(.stepBegan(.saveForVolume))
        reporter.update(.freezeBegan(number: 3))
        stage.pass(1_230)
        reporter.tick()
        #expect(
            stage.screen(80).text == ["⠹ settle            0:01   frozen for 1.23 s   save the domain on the target"])
        reporter.update(.freezeEnded(number: 3, milliseconds: 5_300))
        stage.pass(100)
        reporter.tick()
        #expect(stage.screen(80).text == ["⠸ settle            0:01   freeze 3 5.30 s   save the domain on the target"])
    }

    @Test("The image's bar tells rate and time left from the calls alone, and what was sent stays")
    func image() {
        let stage = Stage(style)
        let reporter = stage.reporter()
        reporter.update(.stepBegan(.transferImage))
        reporter.update(.image(read: ByteCount(0), total: .mebibytes(96), sent: ByteCount(0)))
        stage.pass(1_000)
        reporter.update(.image(read: .mebibytes(24), total: .mebibytes(96), sent: .mebibytes(4)))
        let live = stage.screen(80).text.last ?? ""
        #expect(live.hasPrefix("    image  "))
        #expect(live.hasSuffix(" 25 %  24 MiB of 96 MiB  24 MiB/s  3 s left"))
        reporter.update(.stepEnded(.transferImage))
        reporter.finish()
        #expect(stage.screen(80).text.first == "✔ hand over       1.00 s   image 24 MiB sent as 4 MiB")
    }

    @Test("A flood of updates is drawn a few times a second only")
    func flood() {
        let stage = Stage(style)
        let reporter = stage.reporter()
        reporter.update(.stepBegan(.synchronise))
        for done in 0..<1_000 {
            reporter.update(synced(Int64(done)))
            stage.pass(1)
        }
        #expect(stage.written.split(separator: ANSI.clearBelow).count < 16)
    }

    @Test("Many volumes fill no screen: the rest is summed up")
    func manyVolumes() {
        let stage = Stage(style)
        let reporter = stage.reporter()
        reporter.update(.stepBegan(.synchronise))
        for index in 1...9 { reporter.update(synced(index == 9 ? 1_024 : 12, "disk\(index)")) }
        stage.pass(1_000)
        reporter.tick()
        let screen = stage.screen(80).text
        #expect(screen.count == 8)
        #expect(screen.last == "    and 3 more volumes, 1 of them done")
    }
}

@Suite struct PlainProgressTests {
    @Test("What is piped has no escape sequence and one line for each phase and freeze")
    func plain() {
        let stage = Stage(TerminalStyle(isTerminal: false, color: true))
        let reporter = stage.reporter()
        stage.runUntilSync(reporter, mebibytes: 360)
        reporter.update(.note("the peer is \u{1B}[31mslow"))
        reporter.update(.stepFailed(.synchronise, Histories.connectionLost))
        reporter.finish()
        #expect(
            stage.written == """
                ✔ prepare         3.20 s
                  freeze 1        5.10 s
                ✔ substitute      5.10 s
                  web1-root: synchronised 17 % of 1 GiB, 36.4 MiB/s, 23 s left
                  web1-root: synchronised 35 % of 1 GiB, 36.4 MiB/s, 18 s left
                  the peer is \u{FFFD}[31mslow
                ✘ synchronise     11.0 s
                  nodeb: the connection to nodeb was lost: ssh ended with exit code 255
                  what to do: xenlvs migration resume web1-20261121-3f9a

                """)
    }

    @Test("A transfer is spoken of at most every five seconds, and at least every minute while it goes on")
    func pace() {
        let stage = Stage(TerminalStyle(isTerminal: false, color: false))
        let reporter = stage.reporter()
        reporter.update(.stepBegan(.synchronise))
        // Two hours at a thousandth of a per cent each half second.
        for done in 0..<14_400 {
            reporter.update(synced(Int64(done), of: 1_440_000))
            stage.pass(500)
        }
        #expect(stage.written.split(separator: "\n").count == 119)
        let fast = Stage(TerminalStyle(isTerminal: false, color: false))
        let quick = fast.reporter()
        quick.update(.stepBegan(.synchronise))
        for done in 0..<40 {
            quick.update(synced(Int64(done) * 25))
            fast.pass(100)
        }
        #expect(fast.written.isEmpty)
    }

    @Test("A display closed in the middle of a step says in which")
    func leftOff() {
        let stage = Stage(TerminalStyle(isTerminal: false, color: false, unicode: false))
        let reporter = stage.reporter()
        reporter.update(.stepBegan(.transferImage))
        stage.pass(2_000)
        reporter.finish()
        #expect(stage.written == "# hand over       2.00 s\n  left off in: save the domain and send its image\n")
    }
}

@Suite struct TerminalStyleTests {
    @Test("The environment decides: NO_COLOR, TERM=dumb and the locale")
    func detection() {
        let utf8 = ["TERM": "xterm-256color", "LANG": "de_DE.UTF-8"]
        func style(_ changes: [String: String], isTerminal: Bool = true) -> TerminalStyle {
            .detect(isTerminal: isTerminal, environment: utf8.merging(changes) { $1 })
        }
        #expect(style([:]) == TerminalStyle(isTerminal: true, color: true, unicode: true))
        #expect(style(["NO_COLOR": "1"]) == TerminalStyle(isTerminal: true, color: false, unicode: true))
        #expect(style(["NO_COLOR": ""]).color)
        #expect(style(["TERM": "dumb"]) == TerminalStyle(isTerminal: false, color: false, unicode: true))
        #expect(style(["LC_ALL": "C"]).unicode == false)
        #expect(style(["LC_ALL": ""]).unicode)
        #expect(style(["LC_ALL": "C"], isTerminal: false) == TerminalStyle(isTerminal: false, color: false))
        #expect(TerminalStyle.detect(isTerminal: true, environment: [:]).isTerminal == false)
    }
}

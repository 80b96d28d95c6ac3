import HostModel
import Operations
import Reporting
import Synchronization

/// Tells on standard error how far a copy has come: on one line that is written over on a terminal, else now and then on a
/// line of its own.
final class CopyDisplay: Sendable {
    private struct State {
        var said: (phase: MoveProgress.Phase, share: Int, at: ContinuousClock.Instant)?
        var isLineOpen = false
    }

    private let state = Mutex(State())
    private let isTerminal = Terminal.errors.isTerminal

    /// Without a terminal a line is written after this time, where as many percent have been gained, or after a minute.
    private static let quiet = Duration.seconds(5)
    private static let gain = 10

    func say(_ text: String) {
        state.withLock { closeLine(&$0) }
        Console.say(text)
    }

    func show(_ news: MoveProgress) {
        let share = news.percent
        state.withLock { state in
            if isTerminal {
                Console.write("\r" + Self.line(news, share) + "\u{1b}[K", to: 2)
                state.isLineOpen = true
            } else if isDue(news.phase, share, &state) {
                Console.say(Self.line(news, share))
            }
        }
    }

    func finish() { state.withLock { closeLine(&$0) } }

    private func closeLine(_ state: inout State) {
        if state.isLineOpen { Console.write("\n", to: 2) }
        state.isLineOpen = false
    }

    private func isDue(_ phase: MoveProgress.Phase, _ share: Int, _ state: inout State) -> Bool {
        if let said = state.said, said.phase == phase {
            let waited = ContinuousClock.now - said.at
            guard waited >= .seconds(60) || (waited >= Self.quiet && share - said.share >= Self.gain) else {
                return false
            }
        }
        state.said = (phase, share, .now)
        return true
    }

    private static func line(_ news: MoveProgress, _ share: Int) -> String {
        let word = news.phase == .copying ? "copied" : "compared"
        var line = "\(news.volume): \(word) \(share) % of \(news.total)"
        if let rate = news.rate { line += ", " + Format.rate(bytesPerSecond: rate.bytes) }
        if let left = news.timeLeft, share < 100 { line += ", " + Format.estimate(left) + " left" }
        return line
    }
}

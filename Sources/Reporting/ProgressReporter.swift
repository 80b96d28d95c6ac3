import HostModel
import Migration
import Synchronization

/// Shows a migration's progress: redrawn in place on a terminal, as plain lines elsewhere. Safe from any thread; what
/// is written is written in order.
public final class ProgressReporter: Sendable {
    private enum Display {
        case terminal(TerminalProgress)
        case plain(PlainProgress)
    }

    private struct State {
        var model = ProgressModel()
        var display: Display
        var lastDrawn: Duration?
        var restingSince: (columns: Int, at: Duration)?
        var isFinished = false
    }

    private let state: Mutex<State>
    private let width: @Sendable () -> Int
    private let write: @Sendable (String) -> Void
    private let now: @Sendable () -> Duration

    /// Live lines are drawn at most this often, so that a flood of updates costs nothing.
    static let frame = Duration.milliseconds(80)
    /// How long a terminal's new width must stay before live lines that it has wrapped are drawn anew.
    static let rest = Duration.milliseconds(300)

    /// - Parameters:
    ///   - width: the terminal's columns, asked for at each drawing.
    ///   - write: takes text as it is to be written, to stderr as a rule.
    ///   - now: a clock that only goes forward; replaced in tests.
    public init(
        style: TerminalStyle, width: @escaping @Sendable () -> Int, write: @escaping @Sendable (String) -> Void,
        now: @escaping @Sendable () -> Duration = ProgressReporter.uptime()
    ) {
        let display: Display =
            style.isTerminal ? .terminal(TerminalProgress(style: style)) : .plain(PlainProgress(style: style))
        state = Mutex(State(display: display))
        self.width = width
        self.write = write
        self.now = now
    }

    public convenience init(
        terminal: Bool, width: @escaping @Sendable () -> Int, color: Bool,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.init(style: TerminalStyle(isTerminal: terminal, color: color), width: width, write: write)
    }

    public func update(_ update: ProgressUpdate) {
        let time = now()
        state.withLock { state in
            guard !state.isFinished else { return }
            let changes = state.model.apply(update, at: time)
            show(changes, &state, time)
        }
    }

    /// Keeps clocks and the spinner moving while nothing is reported; to be called a few times a second.
    public func tick() {
        let time = now()
        state.withLock { state in
            if !state.isFinished { show([], &state, time) }
        }
    }

    /// Ends the display and gives the cursor back. Later calls do nothing.
    public func finish() {
        let time = now()
        state.withLock { state in
            guard !state.isFinished else { return }
            state.isFinished = true
            let changes = state.model.close(at: time)
            switch state.display {
            case .terminal(var terminal): emit(terminal.close(changes, columns: width()))
            case .plain(var plain): emit(plain.lines(changes, at: time))
            }
        }
    }

    private func show(_ changes: [ProgressModel.Change], _ state: inout State, _ time: Duration) {
        switch state.display {
        case .plain(var plain):
            emit(plain.lines(changes, at: time))
            state.display = .plain(plain)
        case .terminal(var terminal):
            let columns = width()
            if state.restingSince?.columns != columns { state.restingSince = (columns, time) }
            let lasts = changes.contains { $0.lasts }
            let isEarly = state.lastDrawn.map { time - $0 < Self.frame } ?? false
            let isMoving = time - (state.restingSince?.at ?? time) < Self.rest && terminal.isDisturbed(by: columns)
            if !lasts, isEarly || isMoving { return }
            emit(terminal.draw(changes, state.model, at: time, columns: columns))
            state.display = .terminal(terminal)
            state.lastDrawn = time
        }
    }

    private func emit(_ text: String) {
        if !text.isEmpty { write(text) }
    }

    /// The time since this call, by the clock that goes on while the machine sleeps.
    public static func uptime() -> @Sendable () -> Duration {
        let beginning = ContinuousClock.now
        return { ContinuousClock.now - beginning }
    }
}

extension ProgressModel.Change {
    /// Whether a terminal shows it on a line that stays.
    var lasts: Bool {
        switch self {
        case .phaseEnded, .note: true
        case .freezeEnded, .transferred: false
        }
    }
}

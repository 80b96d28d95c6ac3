import HostModel
import Migration

/// Writes progress as plain lines: one for each phase and each freeze, and now and then one for a transfer. Pure.
struct PlainProgress {
    let style: TerminalStyle
    /// What was said last of each transfer.
    private var said: [String: (share: Double, at: Duration)] = [:]

    init(style: TerminalStyle) {
        self.style = TerminalStyle(isTerminal: false, color: false, unicode: style.unicode)
    }

    /// A transfer is spoken of after this time and when it has gained this share of the whole, or after a minute.
    static let quiet = Duration.seconds(5)
    static let gain = 0.1
    static let patience = Duration.seconds(60)

    mutating func lines(_ changes: [ProgressModel.Change], at now: Duration) -> String {
        changes.flatMap { lines($0, now) }.map { $0 + "\n" }.joined()
    }

    private mutating func lines(_ change: ProgressModel.Change, _ now: Duration) -> [String] {
        let text = ProgressText(style: style)
        switch change {
        case .phaseEnded(var phase):
            said = [:]
            // Each freeze has had its own line.
            phase.freezes = []
            return text.ended(phase, columns: nil)
        case .freezeEnded(let length):
            return ["  \(text.name(length.title)) \(text.time(length.milliseconds))"]
        case .note(let note): return text.note(note, columns: nil)
        case .transferred(let transfer): return isDue(transfer, now) ? [line(transfer)] : []
        }
    }

    private mutating func isDue(_ transfer: ProgressModel.Transfer, _ now: Duration) -> Bool {
        let key = transfer.kind.subject
        guard let last = said[key] else {
            said[key] = (transfer.share, now)
            return false
        }
        let waited = now - last.at
        guard waited >= Self.quiet, transfer.share < 1 else { return false }
        guard transfer.share - last.share >= Self.gain || waited >= Self.patience else { return false }
        said[key] = (transfer.share, now)
        return true
    }

    private func line(_ transfer: ProgressModel.Transfer) -> String {
        let what: String
        switch transfer.kind {
        case .sync(let volume): what = "\(volume): synchronised"
        case .verification(let volume): what = "\(volume): verified"
        case .image: what = "image: sent"
        }
        var line = "  \(what) \(Int(transfer.share * 100)) % of \(transfer.total)"
        if let rate = transfer.rate { line += ", " + Format.rate(bytesPerSecond: rate.bytes) }
        if let timeLeft = transfer.timeLeft { line += ", " + Format.estimate(timeLeft) + " left" }
        return line
    }
}

/// What the terminal at hand can show, and the escape sequences (ECMA-48) for it.
public struct TerminalStyle: Sendable, Equatable {
    /// Lines can be redrawn in place.
    public var isTerminal: Bool
    public var color: Bool
    /// Characters beyond ASCII can be shown.
    public var unicode: Bool

    public init(isTerminal: Bool, color: Bool, unicode: Bool = true) {
        self.isTerminal = isTerminal
        self.color = color
        self.unicode = unicode
    }

    /// Text for a file or a pipe.
    public static let plain = TerminalStyle(isTerminal: false, color: false)

    /// Decides by the environment: `NO_COLOR` (no-color.org: set and not empty) turns colours off, `TERM` missing or
    /// `dumb` makes a terminal a plain stream, and a locale (`LC_ALL`, `LC_CTYPE`, `LANG`, the first that is set) that
    /// is not UTF-8 leaves ASCII. Output that is not a terminal keeps Unicode: files are UTF-8.
    public static func detect(isTerminal: Bool, environment: [String: String]) -> TerminalStyle {
        let term = environment["TERM"] ?? ""
        let isCapable = isTerminal && !term.isEmpty && term != "dumb"
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
        let isUTF8 = locale.lowercased().replacing("-", with: "").contains("utf8")
        return TerminalStyle(
            isTerminal: isCapable, color: isCapable && (environment["NO_COLOR"] ?? "").isEmpty,
            unicode: !isTerminal || isUTF8)
    }

    enum Paint: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "1;34"
        case cyan = "36"
    }

    /// `text` in a colour, where colours are wanted.
    func paint(_ text: String, _ paint: Paint) -> String {
        color && !text.isEmpty ? "\u{1B}[\(paint.rawValue)m\(text)\u{1B}[0m" : text
    }

    var check: String { unicode ? "✔" : "+" }
    var cross: String { unicode ? "✘" : "x" }
    var stopped: String { unicode ? "■" : "#" }
    var bullet: String { unicode ? "·" : "-" }
    var arrow: String { unicode ? "→" : "->" }
    var ellipsis: String { unicode ? "…" : "..." }
    var running: String { unicode ? "━" : "-" }
    var frozen: String { unicode ? "█" : "#" }
    var shortened: String { unicode ? "╱" : "/" }
    var tick: String { unicode ? "╵" : "'" }
    var barFull: String { unicode ? "█" : "#" }
    var barEmpty: String { unicode ? "░" : "." }
    var spinner: [String] {
        unicode ? ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"] : ["|", "/", "-", "\\"]
    }
}

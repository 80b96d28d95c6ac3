/// As much of a terminal as the progress display uses: lines that wrap, moving up, clearing. It fails the test for
/// anything else by keeping the sequence it does not know.
struct ScreenEmulator {
    private(set) var lines: [[Character]] = [[]]
    private var row = 0
    private var column = 0
    let columns: Int
    /// Rows that began because a line was full.
    private(set) var wraps = 0
    private(set) var isCursorVisible = true
    private(set) var unknown: [String] = []

    init(columns: Int) { self.columns = columns }

    /// The screen's text, right edge trimmed.
    var text: [String] {
        lines.map { String(String($0).reversed().drop { $0 == " " }.reversed()) }
    }

    mutating func write(_ text: String) {
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\r": column = 0
            case "\n": lineFeed()
            case "\u{1B}": control(&rest)
            default: put(Character(scalar))
            }
        }
    }

    private mutating func lineFeed() {
        row += 1
        if row == lines.count { lines.append([]) }
    }

    private mutating func put(_ character: Character) {
        if column == columns {
            wraps += 1
            column = 0
            lineFeed()
        }
        while lines[row].count <= column { lines[row].append(" ") }
        lines[row][column] = character
        column += 1
    }

    private mutating func control(_ rest: inout Substring.UnicodeScalarView) {
        guard rest.popFirst() == "[" else { return unknown.append("ESC") }
        var parameters = ""
        while let scalar = rest.popFirst() {
            guard scalar.properties.isAlphabetic else {
                parameters.unicodeScalars.append(scalar)
                continue
            }
            switch (scalar, parameters) {
            case ("A", _): row = max(0, row - (Int(parameters) ?? 1))
            case ("J", ""):
                lines[row] = Array(lines[row].prefix(column))
                lines.removeSubrange((row + 1)...)
            case ("h", "?25"): isCursorVisible = true
            case ("l", "?25"): isCursorVisible = false
            case ("m", _): break
            default: unknown.append(parameters + String(scalar))
            }
            return
        }
    }
}

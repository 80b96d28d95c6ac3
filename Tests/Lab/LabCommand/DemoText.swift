import Foundation

/// How the demonstration speaks: numbered chapters, short paragraphs of at most 78 columns, commands as one would type
/// them.
struct DemoText {
    private let isBright: Bool

    init() {
        let environment = ProcessInfo.processInfo.environment
        isBright = isatty(STDOUT_FILENO) == 1 && environment["NO_COLOR"] == nil && environment["TERM"] != "dumb"
    }

    func title(_ text: String) {
        put("\n" + bold(text))
    }

    func chapter(_ number: Int, _ text: String) {
        put("\n" + bold("\(number)  \(text)"))
    }

    /// Words are set anew, so that values of any length fit in.
    func explain(_ text: String) {
        for line in Self.wrapped(text, columns: 75) { put("   " + line) }
    }

    func show(_ line: String) { put("     " + line) }

    func command(_ host: String, _ text: String) {
        put("\n   \(dim("\(host)#")) \(bold(text))\n")
    }

    func good(_ text: String) {
        let lines = Self.wrapped(text, columns: 72)
        for (index, line) in lines.enumerated() {
            put("   " + (index == 0 ? paint("ok", "32") + " " : "   ") + line)
        }
    }

    /// Written at once: what a child process prints must not overtake what was said before it.
    func put(_ text: String = "") { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

    private func bold(_ text: String) -> String { paint(text, "1") }
    private func dim(_ text: String) -> String { paint(text, "2") }
    private func paint(_ text: String, _ code: String) -> String {
        isBright ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    private static func wrapped(_ text: String, columns: Int) -> [String] {
        var lines = [""]
        for word in text.split(whereSeparator: \.isWhitespace) {
            let last = lines[lines.count - 1]
            if last.isEmpty {
                lines[lines.count - 1] = String(word)
            } else if last.count + 1 + word.count <= columns {
                lines[lines.count - 1] += " " + word
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}

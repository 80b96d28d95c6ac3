/// Text from outside, fitted to a terminal: made harmless, measured in columns, cut, padded and wrapped.
public enum DisplayText {
    /// `text` without anything that could steer a terminal or turn the reading direction of what follows: control
    /// characters, escape sequences' introducers and Unicode's bidirectional controls become U+FFFD, line ends a space.
    public static func sanitised(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar == "\n" || scalar == "\r" || scalar == "\t" {
                result.append(" ")
            } else {
                result.append(isHarmless(scalar) ? scalar : "\u{FFFD}")
            }
        }
        return String(result)
    }

    /// The same for a text of several lines, whose ends stay.
    public static func sanitisedLines(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { sanitised(String($0)) }.joined(
            separator: "\n")
    }

    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x202A...0x202E, 0x2066...0x2069, 0x200E, 0x200F, 0x061C: false
        default: scalar.properties.generalCategory != .control
        }
    }

    /// Columns that `text` takes: combining characters none, East Asian wide ones and pictographs two (UAX #11).
    static func width(_ text: String) -> Int {
        text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.reduce(0) { $0 + width($1) }
    }

    private static func width(_ character: Character) -> Int {
        character.unicodeScalars.map { scalar -> Int in
            switch scalar.properties.generalCategory {
            case .nonspacingMark, .enclosingMark, .format: return 0
            default: break
            }
            switch scalar.value {
            case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
                0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
                return 2
            default: return 1
            }
        }.max() ?? 0
    }

    /// `text` cut to `columns`, the cut shown by an ellipsis.
    static func truncated(_ text: String, to columns: Int, ellipsis: String = "…") -> String {
        guard width(text) > columns else { return text }
        let room = columns - width(ellipsis)
        guard room >= 0 else { return String(text.prefix(max(0, columns))) }
        var used = 0
        let kept = text.prefix { character in
            used += width(character)
            return used <= room
        }
        return kept + ellipsis
    }

    enum Alignment { case left, right }

    static func padded(_ text: String, to columns: Int, _ alignment: Alignment = .left) -> String {
        let padding = String(repeating: " ", count: max(0, columns - width(text)))
        switch alignment {
        case .left: return text + padding
        case .right: return padding + text
        }
    }

    /// `text` broken at spaces into lines of at most `columns`; a word that is longer is broken inside.
    static func wrapped(_ text: String, to columns: Int) -> [String] {
        let room = max(8, columns)
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            var rest = String(word)
            if !line.isEmpty, width(line) + 1 + width(rest) > room {
                lines.append(line)
                line = ""
            }
            while width(rest) > room {
                let head = truncated(rest, to: room, ellipsis: "")
                lines.append(head)
                rest = String(rest.dropFirst(head.count))
            }
            line = line.isEmpty ? rest : line + " " + rest
        }
        return line.isEmpty ? lines : lines + [line]
    }
}

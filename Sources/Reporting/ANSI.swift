/// The few control sequences that are used (ECMA-48, and DEC's private modes as every terminal since the VT220 knows
/// them).
enum ANSI {
    static let hideCursor = "\u{1B}[?25l"
    static let showCursor = "\u{1B}[?25h"
    static let clearBelow = "\u{1B}[J"

    static func up(_ rows: Int) -> String { rows > 0 ? "\u{1B}[\(rows)A" : "" }

    /// `text` without colour sequences (`ESC [ … m`).
    static func stripped(_ text: String) -> String {
        var result = ""
        var isInside = false
        for character in text {
            if character == "\u{1B}" {
                isInside = true
            } else if isInside {
                isInside = character != "m"
            } else {
                result.append(character)
            }
        }
        return result
    }
}

/// Pieces of HTML and SVG. Text from outside enters a page only through `text`, which attributes use as well.
enum HTML {
    /// `text` as character data: markup escaped, and what could steer the page's reading direction made visible.
    static func text(_ text: String) -> String {
        var result = ""
        for character in DisplayText.sanitised(text) {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.append(character)
            }
        }
        return result
    }

    /// `text` for a paragraph: a number and its unit stay on one line.
    static func prose(_ text: String) -> String {
        var previous: Character = " "
        let joined = text.map { character -> Character in
            defer { previous = character }
            return character == " " && previous.isNumber ? "\u{A0}" : character
        }
        return self.text(String(joined))
    }

    static func element(_ name: String, _ attributes: [(String, String)] = [], _ content: String) -> String {
        "<\(name)\(written(attributes))>\(content)</\(name)>"
    }

    static func empty(_ name: String, _ attributes: [(String, String)]) -> String {
        "<\(name)\(written(attributes))/>"
    }

    private static func written(_ attributes: [(String, String)]) -> String {
        attributes.map { " \($0.0)=\"\(text($0.1))\"" }.joined()
    }

    /// A number for a coordinate: at most one decimal.
    static func number(_ value: Double) -> String {
        let tenths = Int64((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : Format.fixed(tenths, per: 10, decimals: 1)
    }
}

/// A table of a page: caption, column headers, and the first cell of each row as the row's header.
struct HTMLTable {
    struct Cell {
        /// HTML, escaped already.
        var content: String
        var isNumber = false

        static func text(_ text: String) -> Cell { Cell(content: HTML.text(text)) }
        static func number(_ text: String) -> Cell { Cell(content: HTML.text(text), isNumber: true) }
    }

    var caption: String
    var columns: [(title: String, isNumber: Bool)]
    var rows: [[Cell]]
    /// Sums below the rows.
    var foot: [Cell]?

    var html: String {
        let head = columns.map { column in
            HTML.element("th", [("scope", "col")] + numeric(column.isNumber), HTML.text(column.title))
        }
        let body = rows.map { HTML.element("tr", [], cells($0)) + "\n" }.joined()
        let foot = foot.map { HTML.element("tfoot", [], HTML.element("tr", [], cells($0))) + "\n" } ?? ""
        return """
            <div class="table"><table>
            <caption>\(HTML.text(caption))</caption>
            <thead><tr>\(head.joined())</tr></thead>
            <tbody>
            \(body)</tbody>
            \(foot)</table></div>

            """
    }

    private func cells(_ cells: [Cell]) -> String {
        cells.enumerated().map { index, cell in
            index == 0
                ? HTML.element("th", [("scope", "row")], cell.content)
                : HTML.element("td", numeric(cell.isNumber), cell.content)
        }.joined()
    }

    private func numeric(_ isNumber: Bool) -> [(String, String)] { isNumber ? [("class", "number")] : [] }
}

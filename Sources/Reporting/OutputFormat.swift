import FoundationEssentials

/// The forms that every listing can be printed in: the values of `--format`.
public enum OutputFormat: String, Sendable, CaseIterable {
    case table, json
}

/// Something that a command prints: a table for people, JSON for programs.
///
/// The JSON form is the value itself, so its field names are part of the command line's contract.
public protocol Renderable: Encodable {
    var table: Table { get }
}

/// One row of a listing.
public protocol Listable: Encodable {
    static var columns: [Table.Column] { get }
    /// As many as there are columns.
    var cells: [String] { get }
}

extension Array: Renderable where Element: Listable {
    public var table: Table { Table(columns: Element.columns, rows: map(\.cells)) }
}

extension Renderable {
    /// The value as text that ends with a newline.
    /// - Parameter width: as in `Table.render`.
    public func rendered(
        as format: OutputFormat, width: Int? = nil, style: TerminalStyle = .plain
    ) throws -> String {
        switch format {
        case .table: table.render(width: width, style: style)
        case .json: try PrettyJSON.encode(self) + "\n"
        }
    }
}

/// JSON for people and programs: indented, keys sorted so that two outputs can be compared, slashes left alone.
public enum PrettyJSON {
    public static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

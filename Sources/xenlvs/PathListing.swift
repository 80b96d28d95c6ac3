import HostModel
import Operations
import Reporting

/// Paths as `multipath list` prints them: each device on a line of its own, and its paths below it.
struct PathListing: Renderable {
    private let paths: [AttachmentPath]

    init(_ paths: [AttachmentPath]) { self.paths = paths }

    func encode(to encoder: any Encoder) throws { try paths.encode(to: encoder) }

    /// None shrinks: a portal or a reason that is cut tells nothing, and a terminal wraps what is too long.
    private static let columns = [
        Table.Column("NAME"), Table.Column("PATH"), Table.Column("DISK"), Table.Column("H:C:T:L"),
        Table.Column("NUMBER"), Table.Column("GROUP"), Table.Column("STATE"), Table.Column("KERNEL"),
        Table.Column("FAILED", .right), Table.Column("WHY"),
    ]

    var table: Table {
        var heads: [Int: String] = [:]
        for (index, path) in paths.enumerated() where index == 0 || paths[index - 1].name != path.name {
            heads[index] = path.deviceWords
        }
        return Table(columns: Self.columns, rows: paths.map(Self.cells), heads: heads)
    }

    private static func cells(_ path: AttachmentPath) -> [String] {
        [
            path.name.text, path.path, path.disk ?? "-", path.hctl?.description ?? "-", path.number ?? "-",
            path.groupWords ?? "-", path.isUp ? "up" : "down", path.kernelWords ?? "-",
            path.failures.map { "\($0)" } ?? "-", path.why ?? "",
        ]
    }
}

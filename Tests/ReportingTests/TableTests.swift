import HostModel
import Testing

@testable import Reporting

private struct VolumeRow: Listable {
    var name: String
    var bytes: Int64
    var path: String

    static let columns = [
        Table.Column("name", shrinks: true), Table.Column("size", .right), Table.Column("path", shrinks: true),
    ]
    var cells: [String] { [name, "\(ByteCount(bytes))", path] }
}

@Suite struct TableTests {
    private let rows = [
        VolumeRow(name: "web1", bytes: 268_435_456, path: "/dev/vg0/web1"),
        VolumeRow(name: "database-root", bytes: 10_737_418_240, path: ""),
    ]

    @Test("A table has a header and aligned columns, and no blanks at a line's end")
    func table() throws {
        #expect(
            try rows.rendered(as: .table) == """
                NAME              SIZE  PATH
                web1           256 MiB  /dev/vg0/web1
                database-root   10 GiB

                """)
    }

    @Test("A table that is too wide cuts the columns that may shrink, the widest first")
    func narrow() throws {
        #expect(
            try rows.rendered(as: .table, width: 31) == """
                NAME           SIZE  PATH
                web1        256 MiB  /dev/vg0/…
                database-…   10 GiB

                """)
        for line in try rows.rendered(as: .table, width: 31).split(separator: "\n") { #expect(line.count <= 31) }
    }

    @Test("A cell cannot break its table nor steer the terminal")
    func hostile() {
        let table = Table(columns: VolumeRow.columns, rows: [["a\nb", "\u{1B}[2J"]])
        #expect(table.render() == "NAME  SIZE  PATH\na b   \u{FFFD}[2J\n")
    }

    @Test("What rows have in common stands above them over all columns, and is wrapped where it is too long")
    func heads() {
        let table = Table(
            columns: VolumeRow.columns, rows: [["a", "1", "x"], ["a", "2", "y"], ["b", "3", "z"]],
            heads: [0: "a: of this host\u{1B}", 2: "b: of another host"])
        #expect(
            table.render() == """
                NAME  SIZE  PATH
                a: of this host\u{FFFD}
                a        1  x
                a        2  y
                b: of another host
                b        3  z

                """)
        #expect(
            table.render(width: 16).split(separator: "\n").suffix(3) == ["b: of another", "  host", "b        3  z"])
    }

    @Test("JSON is sorted, indented and leaves slashes alone")
    func json() throws {
        #expect(
            try [rows[0]].rendered(as: .json) == """
                [
                  {
                    "bytes" : 268435456,
                    "name" : "web1",
                    "path" : "/dev/vg0/web1"
                  }
                ]

                """)
    }
}

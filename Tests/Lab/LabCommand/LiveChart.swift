import ArgumentParser
import Foundation

/// Draws the picture of docs/performance.md from what bench-live has printed last.
struct LiveChartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "live-chart", abstract: "Draw the figures of bench-live as a picture.",
        discussion: "Reads the last line that bench-live has printed on standard input, writes SVG to standard output.")

    func run() throws {
        let text = String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
        let line = text.split(separator: "\n").last.map(String.init) ?? ""
        print(LiveChart(try JSONDecoder().decode([String: Double].self, from: Data(line.utf8))).svg)
    }
}

/// How long a guest stands still, a bar for each way; figures that are not there have none. Pure.
struct LiveChart {
    private let values: [String: Double]

    private static let rows: [(title: String, name: String, isOurs: Bool)] = [
        ("a swap by the switch", "swap_ms", true),
        ("a swap by three calls of dmsetup", "dmsetup_ms", false),
        ("a swap, 32 writes under way", "busy_swap_ms", true),
        ("dmsetup, 32 writes under way", "busy_dmsetup_ms", false),
        ("freeze 1 of three", "three_freeze_1_ms", true),
        ("freeze 2 of three", "three_freeze_2_ms", true),
        ("freeze 3 of three", "three_freeze_3_ms", true),
        ("live, disks copied", "live_ms", true),
        ("live, disks shared", "live_shared_ms", true),
        ("a bare xl migrate, disks shared", "bare_ms", false),
        ("a PV guest, longest of three freezes", "three_freeze_pv_longest_ms", true),
        ("a PV guest, its one freeze", "one_freeze_pv_ms", true),
    ]

    init(_ values: [String: Double]) { self.values = values }

    private enum Size { static let row = 24, label = 260, bar = 420, number = 90, top = 34 }

    var svg: String {
        let rows = Self.rows.compactMap { row in values[row.name].map { (row.title, $0, row.isOurs) } }
        let most = max(rows.map(\.1).max() ?? 1, 1)
        let height = Size.top + rows.count * Size.row + 10
        let width = Size.label + Size.bar + Size.number
        let bars = rows.enumerated().map { index, row in
            let y = Size.top + index * Size.row
            let length = max(2, Int(row.1 / most * Double(Size.bar)))
            return """
                <text x="\(Size.label - 10)" y="\(y + 15)" class="label">\(row.0)</text>
                <rect x="\(Size.label)" y="\(y + 3)" width="\(length)" height="16" class="\(row.2 ? "ours" : "theirs")"/>
                <text x="\(Size.label + length + 8)" y="\(y + 15)">\(Self.seconds(row.1))</text>
                """
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" role="img">
            <title>How long a guest stands still</title>
            <style>
            text { font: 13px sans-serif; fill: #24292f } .label { text-anchor: end } .head { font-weight: bold }
            .ours { fill: #2f6fb7 } .theirs { fill: #9aa4ae } .ground { fill: #ffffff }
            @media (prefers-color-scheme: dark) {
            text { fill: #e6edf3 } .ours { fill: #5fa0e6 } .theirs { fill: #6e7781 } .ground { fill: #0d1117 }
            }
            </style>
            <rect width="\(width)" height="\(height)" class="ground"/>
            <text x="\(Size.label)" y="20" class="head">longest gap in the guest's counter, beyond its interval</text>
            \(bars.joined(separator: "\n"))
            </svg>
            """
    }

    private static func seconds(_ milliseconds: Double) -> String {
        milliseconds < 1000 ? "\(Int(milliseconds)) ms" : String(format: "%.2f s", milliseconds / 1000)
    }
}

import AoE
import HostModel

/// Exports in Prometheus's text format (version 0.0.4).
public enum PrometheusText {
    public static func render(_ exports: [ExportStatus]) -> String {
        var text = ""
        func family(_ name: String, _ kind: String, _ help: String) {
            text += "# HELP xenlvs_export_\(name) \(help)\n# TYPE xenlvs_export_\(name) \(kind)\n"
        }
        family("up", "gauge", "Whether the export is served on an interface.")
        for export in exports {
            text += "xenlvs_export_up{\(labels(export))} \(export.state == .serving ? 1 : 0)\n"
        }
        family("size_bytes", "gauge", "The size of what is exported.")
        for export in exports where export.size != nil {
            text += "xenlvs_export_size_bytes{\(labels(export))} \(export.size?.bytes ?? 0)\n"
        }
        for counter in counters {
            family(counter.name + "_total", "counter", counter.help)
            for export in exports {
                guard let value = export.statistics?.counters[keyPath: counter.path] else { continue }
                text += "xenlvs_export_\(counter.name)_total{\(labels(export))} \(value)\n"
            }
        }
        for (name, path, help) in latencies {
            family(name, "histogram", help)
            for export in exports {
                guard let snapshot = export.statistics?[keyPath: path] else { continue }
                text += histogram(name, labels(export), snapshot)
            }
        }
        return text
    }

    private static var counters: [(name: String, path: KeyPath<ExportCounters, UInt64>, help: String)] {
        [
            ("frames", \.frames, "Frames for the export that were looked at."),
            ("reads", \.reads, "Reads that were begun."),
            ("writes", \.writes, "Writes that were begun."),
            ("flushes", \.flushes, "Flushes that were begun."),
            ("trims", \.trims, "Trims that were begun."),
            ("read_sectors", \.sectorsRead, "Sectors of 512 bytes that were read."),
            ("written_sectors", \.sectorsWritten, "Sectors of 512 bytes that were written."),
            ("errors", \.errors, "Requests that the backing has failed."),
            ("copies", \.copies, "Writes that came twice or were sent again."),
            ("dropped", \.dropped, "Frames and answers without room, and changes refused as too many (error 3)."),
        ]
    }

    private static var latencies: [(String, KeyPath<ExportStatistics, LatencySnapshot>, String)] {
        [
            ("read_seconds", \.readLatency, "From a read's arrival to its answer."),
            ("write_seconds", \.writeLatency, "From a write's arrival to its answer."),
        ]
    }

    /// Powers of four microseconds: what a dashboard shows needs no finer ones.
    private static let bounds: [UInt64] = (0...12).map { 1000 << (2 * UInt64($0)) }

    private static func histogram(_ name: String, _ labels: String, _ snapshot: LatencySnapshot) -> String {
        var text = ""
        for bound in bounds {
            let count = snapshot.buckets.reduce(UInt64(0)) { $1.belowNanoseconds <= bound ? $0 &+ $1.count : $0 }
            text += "xenlvs_export_\(name)_bucket{\(labels),le=\"\(Double(bound) / 1e9)\"} \(count)\n"
        }
        text += "xenlvs_export_\(name)_bucket{\(labels),le=\"+Inf\"} \(snapshot.count)\n"
        text += "xenlvs_export_\(name)_sum{\(labels)} \(Double(snapshot.sumNanoseconds) / 1e9)\n"
        return text + "xenlvs_export_\(name)_count{\(labels)} \(snapshot.count)\n"
    }

    private static func labels(_ export: ExportStatus) -> String {
        let what = export.record.volume?.text ?? export.record.path
        return "address=\"\(export.record.address)\",what=\"\(escaped(what))\""
    }

    private static func escaped(_ text: String) -> String {
        text.map { character in
            switch character {
            case "\\": "\\\\"
            case "\"": "\\\""
            case "\n": "\\n"
            default: String(character)
            }
        }.joined()
    }
}

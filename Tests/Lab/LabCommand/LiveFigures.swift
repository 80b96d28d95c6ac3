import Foundation

/// What was measured, and the medians and ratios of it.
struct LiveFigures {
    private var samples: [String: [Double]] = [:]
    private var fixed: [String: Double] = [:]
    /// The guest that was measured last, in a line.
    private(set) var line = ""

    mutating func set(_ name: String, _ value: Double) { fixed[name] = value }

    mutating func add(_ values: [(name: String, value: Double)]) {
        for (name, value) in values { samples[name, default: []].append(value) }
        let names = values.map(\.name).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        line = names.map { name in
            "\(name) "
                + values.filter { $0.name == name }.map { String(format: "%.4g", $0.value) }.joined(separator: " ")
        }.joined(separator: ", ")
    }

    func median(_ name: String) -> Double? {
        guard let sorted = samples[name]?.sorted(), !sorted.isEmpty else { return nil }
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// A percentile by nearest rank: of fewer than a hundred samples the 99th is the worst.
    private func rank(_ percent: Int, _ name: String) -> Double? {
        guard let sorted = samples[name]?.sorted(), !sorted.isEmpty else { return nil }
        return sorted[(sorted.count * percent + 99) / 100 - 1]
    }

    private func ratio(_ above: String, _ below: String) -> Double? {
        guard let above = median(above), let below = median(below), below > 0 else { return nil }
        return above / below
    }

    /// Transfers were measured in turn: the ratio is the median of those of the pairs.
    private func pairedRatio(_ above: String, _ below: String) -> Double? {
        guard let above = samples[above], let below = samples[below] else { return nil }
        let ratios = zip(above, below).filter { $0.1 > 0 }.map { $0.0 / $0.1 }.sorted()
        return ratios.isEmpty ? nil : ratios[ratios.count / 2]
    }

    private static let kinds = ["write32", "read32", "write1"]

    /// All medians, and what the aims speak of.
    var values: [String: Double] {
        var values = fixed
        for name in samples.keys {
            values[name] = median(name)
            if name.hasSuffix("exchange_ms") || name.hasSuffix("swap_ms") {
                values[name.replacing("_ms", with: "_worst_ms")] = samples[name]?.max()
                values[name.replacing("_ms", with: "_p99_ms")] = rank(99, name)
                values[name.replacing("_ms", with: "_count")] = samples[name].map { Double($0.count) }
            }
        }
        values["prediction_error_worst"] = samples["prediction_error"]?.max()
        let ratios: [String: Double?] = [
            "switch_vs_freeze1": ratio("swap_ms", "three_freeze_1_ms"),
            "switch_vs_dmsetup": ratio("swap_ms", "dmsetup_ms"),
            "exchange_vs_dmsetup": ratio("exchange_ms", "dmsetup_stood_ms"),
            "busy_switch_vs_freeze1": ratio("busy_swap_ms", "three_freeze_1_ms"),
            "busy_switch_vs_dmsetup": ratio("busy_swap_ms", "busy_dmsetup_ms"),
            "busy_exchange_vs_dmsetup": ratio("busy_exchange_ms", "busy_dmsetup_stood_ms"),
            "busy_write_gap_vs_dmsetup": ratio("busy_swap_write_gap_ms", "busy_dmsetup_write_gap_ms"),
            "live_vs_bare": ratio("live_ms", "bare_ms"),
            "live_shared_vs_bare": ratio("live_shared_ms", "bare_ms"),
        ]
        for (name, value) in ratios { values[name] = value }
        for kind in Self.kinds {
            values["switch_\(kind)_share"] = pairedRatio("switch_\(kind)_iops", "bare_\(kind)_iops")
            values["replica_\(kind)_share"] = pairedRatio("replica_\(kind)_iops", "bare_beside_\(kind)_iops")
        }
        let shares = Self.kinds.compactMap { values["switch_\($0)_share"] }.sorted()
        if !shares.isEmpty { values["switch_throughput_share"] = shares[shares.count / 2] }
        return values
    }

    /// Each aim, and what came of it.
    var table: String {
        let values = values
        let rows: [(what: String, name: String, aim: String)] = [
            ("a swap's stall / freeze 1 of three", "switch_vs_freeze1", "at most 0.05"),
            ("the same, 32 writes under way", "busy_switch_vs_freeze1", "at most 0.05"),
            ("a swap's stall / three calls of dmsetup", "switch_vs_dmsetup", "at most 0.25"),
            ("the same, 32 writes under way", "busy_switch_vs_dmsetup", "at most 0.25"),
            ("the longest time without a write / with dmsetup", "busy_write_gap_vs_dmsetup", "at most 0.25"),
            ("the device stands still / with dmsetup", "exchange_vs_dmsetup", "at most 0.25"),
            ("the same, 32 writes under way", "busy_exchange_vs_dmsetup", "at most 0.25"),
            ("live, disks copied / bare xl migrate", "live_vs_bare", "at most 1.2"),
            ("live, disks shared / bare xl migrate", "live_shared_vs_bare", "at most 1.2"),
            ("requests through the switch / bare LV", "switch_throughput_share", "at least 0.98"),
            ("a freeze as predicted / as measured, off by", "prediction_error", "at most 0.20"),
        ]
        let lines = rows.compactMap { row in
            values[row.name].map {
                row.what.padding(toLength: 48, withPad: " ", startingAt: 0) + String(format: "%.3f", $0)
                    + "   to reach: \(row.aim)"
            }
        }
        return (["", "medians of \(Int(values["rounds"] ?? 0)) rounds"] + lines).joined(separator: "\n")
    }

    var json: String {
        get throws {
            let rounded = values.mapValues { ($0 * 1000).rounded() / 1000 }
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            return String(decoding: try encoder.encode(rounded), as: UTF8.self)
        }
    }
}

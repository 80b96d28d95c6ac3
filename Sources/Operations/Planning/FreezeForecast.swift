import HostModel
import Migration
import Reporting

/// How long a freeze will take, going by what it took in earlier migrations. Its field names are a contract.
public struct FreezeForecast: Sendable, Encodable, Equatable {
    /// The freeze's number in the migration, from 1 on.
    public var number: Int
    /// The median of the migrations that are most like this one.
    public var milliseconds: Int64
    /// How many these are.
    public var migrations: Int

    /// The last ones say more of the hosts as they are.
    private static let most = 5

    /// - Parameter past: the newest first.
    /// - Returns: nothing where no migration is like this one.
    static func all(_ spec: MigrationSpec, past: [MigrationReport]) -> [FreezeForecast] {
        let comparable = past.filter { isComparable($0, with: spec) }
        guard let nearest = comparable.map({ distance(of: $0, from: spec) }).min() else { return [] }
        let chosen = comparable.filter { distance(of: $0, from: spec) == nearest }.prefix(most)
        return Dictionary(grouping: chosen.flatMap(\.freezes), by: \.number).sorted { $0.key < $1.key }.map {
            number, freezes in
            FreezeForecast(number: number, milliseconds: median(freezes.map(\.milliseconds)), migrations: freezes.count)
        }
    }

    /// It went through the same freezes without trouble, with about as much memory.
    private static func isComparable(_ report: MigrationReport, with spec: MigrationSpec) -> Bool {
        report.method == spec.plan.method && report.volumes.isEmpty == spec.volumes.isEmpty
            && report.settlement == spec.plan.settlement
            && report.outcome.state == .migrated && report.runs.count == 1 && !report.freezes.isEmpty
            && report.freezes.allSatisfy { !$0.isOpen && $0.runs == 1 }
            && report.volumes.contains { $0.sha256 != nil } == spec.plan.comparesCopies
            && abs(report.memoryBytes - spec.memory.bytes) <= spec.memory.bytes / 4
    }

    /// The same guest counts for more than the same way.
    private static func distance(of report: MigrationReport, from spec: MigrationSpec) -> Int {
        let isSameWay = report.source == spec.source.name && report.target == spec.target.name
        return (report.domain == spec.domain ? 0 : 2) + (isSameWay ? 0 : 1)
    }

    private static func median(_ values: [Int64]) -> Int64 {
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
}

extension [FreezeForecast] {
    /// For people, in a line.
    var text: String {
        guard let count = map(\.migrations).max() else {
            return "not predicted: this host has seen no such migration of a guest of this size"
        }
        let parts = map { "\($0.number) about \(Self.seconds($0.milliseconds)) s" }
        return parts.joined(separator: ", ") + ", as in the last \(count == 1 ? "" : "\(count) ")such migration"
            + (count == 1 ? "" : "s")
    }

    private static func seconds(_ milliseconds: Int64) -> String {
        let tenths = (milliseconds + 50) / 100
        return "\(tenths / 10).\(tenths % 10)"
    }
}

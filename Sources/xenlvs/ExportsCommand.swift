import AoE
import ArgumentParser
import BlockServer
import HostModel
import ISCSIHost
import Operations
import Reporting
import Serving

struct ExportsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exports", abstract: "List what this host exports, and how it stands.",
        discussion: """
            Over ATA over Ethernet, by the daemon; the states: serving, on at least one interface that is up; waiting, as each \
            of its interfaces is not there, is down, has just come up, or leads to another target with the address; failed, \
            with the reason, and tried again; leaving, until its last requests have ended. What is waiting is served by itself \
            as soon as it can be. --stats adds what each export has done since it was last started, with the times below which \
            half and 99 % of the reads and writes stayed; in JSON also how many took how long, in buckets. The format \
            prometheus is the text that Prometheus collects.

            Over iSCSI, by the kernel or tgt; the states: serving; failed, with the reason ('xenlvs apply --recorded' tries \
            again); foreign, for targets, and backstores without one, that xenlvs has not made and leaves alone. Initiators that \
            are logged in are named.

            Exit codes: 0 done; 1 failed, or no daemon runs and nothing is exported over iSCSI; 3 the daemon has not \
            answered; 4 the record of iSCSI exports cannot be read; 64 usage.
            """)
    @Option(help: "table, json or prometheus.") var format = Form.table
    @Option(name: .customLong("protocol"), help: "Only those over aoe or iscsi.") var only: ExportProtocol?
    @Flag(help: "Tell what each export has done.") var stats = false
    @Flag(help: "Look first whether backings have grown; initiators are told of it.") var rescan = false

    enum Form: String, ExpressibleByArgument, CaseIterable { case table, json, prometheus }

    func run() async throws {
        try await reporting {
            if rescan { _ = try await LocalDaemon.ask(.rescan) }
            let exports = only == .iscsi ? [] : try await listAoE()
            let overISCSI = only == .aoe || format == .prometheus ? [] : try await listISCSI()
            let width = Terminal.output.isTerminal ? Terminal.output.columns : nil
            switch format {
            case .table:
                if only != .iscsi, !exports.isEmpty || overISCSI.isEmpty {
                    Console.result(try exports.map(ExportRow.init).rendered(as: .table, width: width))
                }
                if only == .iscsi || !overISCSI.isEmpty {
                    Console.result(try overISCSI.rendered(as: .table, width: width))
                }
                if stats, only != .iscsi {
                    Console.result(try exports.map(ExportStatisticsRow.init).rendered(as: .table, width: width))
                }
            case .json:
                let rows = exports.map { AnyExportRow.aoe(ExportRow($0)) } + overISCSI.map(AnyExportRow.iscsi)
                Console.result(try PrettyJSON.encode(rows))
            case .prometheus: Console.result(PrometheusText.render(exports))
            }
            return .done
        }
    }

    private func listISCSI() async throws -> [ISCSIExportRow] {
        try await ThisHost.open().iSCSIExporter.list().map(ISCSIExportRow.init)
    }

    /// A host that exports over iSCSI alone needs no daemon.
    private func listAoE() async throws -> [ExportStatus] {
        do { return try await LocalDaemon.ask(.list(statistics: stats || format == .prometheus)) } catch {
            if only == .aoe || format == .prometheus || !ISCSIExporter.hasRecord(ThisHost.paths) { throw error }
            Console.say("not shown: exports over ATA over Ethernet: \(Failure(error, doing: "ask the daemon"))")
            return []
        }
    }
}

extension ExportStatus {
    /// `e1.0 10 GiB on eth1 durable direct read-write`.
    var line: String {
        let words = [
            record.address.description, size?.description ?? "-", "on " + interfaces.map(\.name).joined(separator: ","),
            record.durability.rawValue, cache, record.isReadOnly ? "read-only" : "read-write",
        ]
        return words.joined(separator: " ")
    }

    /// How it is read and written; as it was asked for where it is not open.
    var cache: String { isDirect.map { $0 ? "direct" : "buffered" } ?? record.cache.rawValue }
}

/// An export as a row, and as JSON: the fields are part of the command line's contract.
struct ExportRow: Listable {
    private let status: ExportStatus

    init(_ status: ExportStatus) { self.status = status }

    static var columns: [Table.Column] {
        [
            Table.Column("ADDRESS"), Table.Column("STATE"), Table.Column("SIZE", .right), Table.Column("MODE"),
            Table.Column("INTERFACES"), Table.Column("WHAT", shrinks: true), Table.Column("WHY", shrinks: true),
        ]
    }

    var cells: [String] {
        let record = status.record
        let mode = [record.durability.rawValue, status.cache, record.isReadOnly ? "read-only" : "read-write"]
        return [
            record.address.description, status.state.rawValue, status.size?.description ?? "-",
            mode.joined(separator: ","),
            status.interfaces.map { $0.state == .up ? $0.name : "\($0.name) (\($0.state.rawValue))" }
                .joined(separator: ","),
            record.volume?.text ?? record.path, status.failure.map { $0.why ?? $0.what } ?? "",
        ]
    }

    private enum CodingKeys: String, CodingKey {
        case kind = "protocol"
        case address, state, path, volume, interfaces, size, readOnly, durability, cache, queueDepth, allow, why, remedy
        case statistics
    }

    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        let record = status.record
        try values.encode(ExportProtocol.aoe, forKey: .kind)
        try values.encode(record.address.description, forKey: .address)
        try values.encode(status.state, forKey: .state)
        try values.encode(record.path, forKey: .path)
        try values.encodeIfPresent(record.volume, forKey: .volume)
        try values.encode(status.interfaces, forKey: .interfaces)
        try values.encodeIfPresent(status.size, forKey: .size)
        try values.encode(record.isReadOnly, forKey: .readOnly)
        try values.encode(record.durability, forKey: .durability)
        try values.encode(status.cache, forKey: .cache)
        try values.encode(record.queueDepth, forKey: .queueDepth)
        try values.encode(record.allowed.map(\.description), forKey: .allow)
        try values.encodeIfPresent(status.failure.map { $0.why ?? $0.what }, forKey: .why)
        try values.encodeIfPresent(status.failure?.remedy, forKey: .remedy)
        try values.encodeIfPresent(status.statistics.map(StatisticsSummary.init), forKey: .statistics)
    }
}

/// What an export has done, as JSON.
private struct StatisticsSummary: Encodable {
    struct Latency: Encodable {
        /// Counts its own requests alone. Prometheus's text adds them up into fewer and wider ones.
        struct Bucket: Encodable {
            /// The first time that is beyond it.
            var belowNanoseconds: UInt64
            var count: UInt64
        }

        var count: UInt64
        var meanMicroseconds: Double?
        var p50Microseconds: Double?
        var p99Microseconds: Double?
        var sumNanoseconds: UInt64
        /// The shortest times first.
        var buckets: [Bucket]

        init(_ snapshot: LatencySnapshot) {
            count = snapshot.count
            meanMicroseconds = count > 0 ? Double(snapshot.sumNanoseconds / count) / 1000 : nil
            p50Microseconds = snapshot.percentileNanoseconds(0.5).map { Double($0) / 1000 }
            p99Microseconds = snapshot.percentileNanoseconds(0.99).map { Double($0) / 1000 }
            sumNanoseconds = snapshot.sumNanoseconds
            buckets = snapshot.buckets.map { Bucket(belowNanoseconds: $0.belowNanoseconds, count: $0.count) }
        }
    }

    var counters: ExportCounters
    var readLatency: Latency
    var writeLatency: Latency
    var idleMilliseconds: Int64?
    var lastClient: String?
    var requestsUnderWay: Int

    init(_ statistics: ExportStatistics) {
        counters = statistics.counters
        readLatency = Latency(statistics.readLatency)
        writeLatency = Latency(statistics.writeLatency)
        idleMilliseconds = statistics.idleMilliseconds
        lastClient = statistics.lastClient
        requestsUnderWay = statistics.requestsUnderWay
    }
}

/// What an export has done, as a row.
struct ExportStatisticsRow: Listable {
    private let status: ExportStatus

    init(_ status: ExportStatus) { self.status = status }

    static var columns: [Table.Column] {
        [Table.Column("ADDRESS")]
            + ["FRAMES", "READS", "WRITES", "SECTORS", "ERRORS", "COPIES", "DROPPED", "READ P50/P99", "WRITE P50/P99"]
            .map { Table.Column($0, .right) }
    }

    var cells: [String] {
        guard let statistics = status.statistics else { return [status.record.address.description] }
        let counters = statistics.counters
        let numbers = [
            counters.frames, counters.reads, counters.writes, counters.sectorsRead &+ counters.sectorsWritten,
            counters.errors, counters.copies, counters.dropped,
        ]
        return [status.record.address.description] + numbers.map(\.description)
            + [times(statistics.readLatency), times(statistics.writeLatency)]
    }

    private func times(_ snapshot: LatencySnapshot) -> String {
        guard let half = snapshot.percentileNanoseconds(0.5), let most = snapshot.percentileNanoseconds(0.99) else {
            return "-"
        }
        return "\(half / 1000)/\(most / 1000) µs"
    }

    func encode(to encoder: any Encoder) throws { try ExportRow(status).encode(to: encoder) }
}

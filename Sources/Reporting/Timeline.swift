import HostModel
import Migration

/// A report laid out in time, for every renderer: rows of phases, freezes across them, one scale.
struct Timeline {
    struct Row {
        var phase: Step.Phase
        var spans: [MigrationReport.PhaseSpan]
        var milliseconds: Int64
    }

    /// A volume's resynchronisation as far as its end and its length are known.
    struct SyncBar {
        var volume: MigrationReport.VolumeCopy
        var begin: Int64
        var end: Int64
    }

    let begin: Int64
    let end: Int64
    let rows: [Row]
    let freezes: [MigrationReport.FreezeSpan]
    let syncBars: [SyncBar]
    let scale: TimeScale

    init(_ report: MigrationReport) {
        begin = report.beginMilliseconds
        end = report.untilMilliseconds
        freezes = report.freezes
        rows = Step.Phase.allCases.compactMap { phase in
            let spans = report.phases.filter { $0.phase == phase }
            if spans.isEmpty { return nil }
            return Row(phase: phase, spans: spans, milliseconds: spans.reduce(0) { $0 + $1.milliseconds })
        }
        let earliest = begin
        syncBars = report.volumes.compactMap { volume in
            guard let sync = volume.sync else { return nil }
            let begin = max(earliest, sync.endMilliseconds - sync.milliseconds)
            return SyncBar(volume: volume, begin: begin, end: sync.endMilliseconds)
        }
        let last = end
        let phaseMoments = report.phases.flatMap { [$0.beginMilliseconds, $0.endMilliseconds ?? last] }
        let freezeMoments = report.freezes.flatMap { [$0.beginMilliseconds, $0.endMilliseconds ?? last] }
        scale = TimeScale(
            moments: [begin, end] + phaseMoments + freezeMoments,
            visible: report.freezes.map { ($0.beginMilliseconds, $0.endMilliseconds ?? last) })
    }

    /// The first and the last place of a span on the scale, 0 to 1.
    func extent(_ begin: Int64, _ end: Int64?) -> (from: Double, to: Double) {
        (scale.position(begin), scale.position(end ?? self.end))
    }

    /// What a reader must know of a scale that is not linear; nil where it is.
    var scaleRemark: String? {
        let lengths = scale.shortened.map { Format.duration(milliseconds: $0.milliseconds) }
        switch lengths.count {
        case 0: return nil
        case 1: return "Not to scale: \(lengths[0]) are drawn shortened."
        default: return "Not to scale: \(lengths.joined(separator: ", ")) are drawn shortened."
        }
    }
}

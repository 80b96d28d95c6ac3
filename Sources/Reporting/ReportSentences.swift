import HostModel
import Migration

/// What a report says in whole sentences, for every renderer.
struct ReportSentences {
    let report: MigrationReport

    /// `web1 runs on nodeb.`: where the domain is now and what became of the migration.
    var headline: String {
        let domain = report.domain.text
        switch report.outcome.state {
        case .migrated: return "\(domain) runs on \(report.target)."
        case .rolledBack:
            if let host = report.memoryLostOn {
                return
                    "\(domain) was lost when \(host) was restarted: the migration was rolled back, its disks are there."
            }
            return "\(domain) runs on \(report.source), as before: the migration was rolled back."
        case .lost: return "\(domain) runs on no host any more: it was lost with the host that was declared dead."
        case .suspended: return "The migration of \(domain) stopped and can be resumed; \(whereabouts)."
        case .needsRecovery: return "The migration of \(domain) stopped and needs recovery; \(whereabouts)."
        case .running: return "The migration of \(domain) to \(report.target) is under way; \(whereabouts)."
        }
    }

    private var whereabouts: String {
        if let host = report.domainRunsOn { return "the domain runs on \(host)" }
        if let host = report.memoryLostOn { return "the domain was lost when \(host) was restarted" }
        return report.isCommitted
            ? "the domain is frozen and belongs to \(report.target)"
            : "the domain is frozen and belongs to \(report.source)"
    }

    /// `It moved from nodea in 1 min 1 s and was frozen three times, 14.6 s in all.`
    var summary: String {
        let total = Format.duration(milliseconds: report.totalMilliseconds)
        switch report.outcome.state {
        case .migrated: return "It moved from \(report.source) in \(total); \(frozen)."
        case .rolledBack: return "Moving it to \(report.target) was given up after \(total); \(frozen)."
        case .lost: return "Moving it from \(report.source) to \(report.target) ended after \(total); \(frozen)."
        case .suspended, .needsRecovery, .running: return "Begun \(total) before the last news; \(frozen)."
        }
    }

    private var frozen: String {
        let count = report.freezes.count
        if count == 0 { return "it was never frozen" }
        let open = report.freezes.filter(\.isOpen).count
        let sum = Format.duration(milliseconds: report.frozenMilliseconds)
        let all = count > 1 ? "\(sum) in all" : "for \(sum)"
        if open == count { return "it is frozen now, for the first time" }
        return "it was frozen \(Format.times(count)), \(all)" + (open > 0 ? " and still counting" : "")
    }

    /// What the operator can type next, where something is left to do.
    var next: [String] {
        if let host = report.declaredDead, !report.outcome.state.isFinal {
            return ["xenlvs migration resolve \(report.id) --fenced \(host)"]
        }
        return switch report.outcome.state {
        case .suspended, .needsRecovery:
            report.isCommitted || report.outcome.reason?.code == .takenOver
                ? ["xenlvs migration resume \(report.id)"]
                : ["xenlvs migration resume \(report.id)", "xenlvs migration abort \(report.id)"]
        case .running, .migrated, .rolledBack, .lost: []
        }
    }

    /// What is to be said of a volume beside its numbers.
    static func copy(_ volume: MigrationReport.VolumeCopy) -> String? {
        let parts = [unmeasured(volume), verification(volume)].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    /// `56 MiB before an interruption, not timed`.
    static func unmeasured(_ volume: MigrationReport.VolumeCopy) -> String? {
        volume.sync?.unmeasuredBytes.map { "\(ByteCount($0)) before an interruption, not timed" }
    }

    /// `all compared, equal`, `4 MiB compared, equal`, or what differed.
    static func verification(_ volume: MigrationReport.VolumeCopy) -> String? {
        guard let verification = volume.verification else { return nil }
        let compared =
            verification.comparedBytes >= volume.sizeBytes
            ? "all" : "\(ByteCount(verification.comparedBytes))"
        return verification.differingBytes > 0
            ? "\(compared) compared, \(ByteCount(verification.differingBytes)) differed" : "\(compared) compared, equal"
    }

    /// `16.5 MiB sent, 6.1 : 1`, or `201.9 KiB sent, 94 MiB ahead`.
    static func image(_ image: MigrationReport.Image) -> String {
        let rest =
            image.aheadBytes.map { ", \(ByteCount($0)) ahead" }
            ?? image.compressionRatio.map { ", \(Format.ratio($0))" }
        return "\(ByteCount(image.sentBytes)) sent\(rest ?? "")"
    }

    /// `1.21 s of 61.3 s (2.0 %)`.
    static func ownTime(_ own: MigrationReport.OwnTime) -> String {
        let share = own.share.map { " (\(Format.percent($0)))" } ?? ""
        return "\(Format.duration(milliseconds: own.ownMilliseconds)) of "
            + "\(Format.duration(milliseconds: own.accountedMilliseconds))\(share)"
    }

    /// `lost`, `suspended: the connection …`.
    static func ending(_ run: MigrationReport.Run) -> String {
        switch run.ending {
        case .running: "under way"
        case .finished: "finished"
        case .lost: "lost: the coordinator ended without a word"
        case .suspended: "stopped" + (run.reason.map { ": \($0.withoutRemedy)" } ?? "")
        }
    }

    /// What is unusual about a freeze: it is open, or outlived a run.
    static func freezeRemark(_ freeze: MigrationReport.FreezeSpan) -> String? {
        if freeze.isOpen { return "still frozen" }
        return freeze.runs > 1 ? "over \(freeze.runs) runs" : nil
    }
}

extension MigrationReport {
    /// `three-freeze, settle late`.
    var planWords: String {
        switch method {
        case .threeFreeze: "\(method.rawValue), settle \(settlement.rawValue)"
        case .oneFreeze, .live, .cold: method.rawValue
        }
    }
}

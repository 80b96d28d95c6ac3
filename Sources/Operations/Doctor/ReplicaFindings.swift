import HostModel
import Replication

/// What is to be said of the replicas on a host. Pure.
struct ReplicaFindings {
    let host: HostName
    /// The volumes that a swap keeps on a replica without a peer.
    let swapped: Set<VolumeName>

    func findings(_ replicas: [ReplicaSummary]) -> [Finding] {
        let findings = replicas.compactMap { replica in
            replica.splitBrain.map { split(replica, $0) } ?? leftOver(replica) ?? apart(replica)
        }
        return findings.isEmpty ? [Finding(.fine, host, "no replica is left over")] : findings
    }

    /// A Primary alone is a warning only: that is what the source of a migration is that has stopped before it connected.
    private func split(_ replica: ReplicaSummary, _ report: SplitBrainReport) -> Finding {
        let next = ", then 'xenlvs migration resume \(report.migration)'"
        if report.isCertain {
            return Finding(
                .blocking, host,
                "both copies of \(replica.volume) were changed independently of each other (split brain)",
                why: report.generations, remedy: report.instruction(next))
        }
        let first = replica.remedy ?? "connect it again"
        return Finding(
            .warning, host,
            "the replica \(replica.resource) is Primary and stands alone: a split brain is possible",
            why: [replica.why, report.generations].compactMap(\.self).joined(separator: "; "),
            remedy: "\(first). If DRBD refuses to connect the copies, both were changed: \(report.instruction(next))")
    }

    private func leftOver(_ replica: ReplicaSummary) -> Finding? {
        guard replica.migration == nil, !swapped.contains(replica.volume) else { return nil }
        return Finding(
            .warning, host, "the replica \(replica.resource) belongs to no migration",
            why: "it keeps the volume \(replica.volume) from being changed, and its DRBD numbers from being used",
            remedy: "if no guest uses \(replica.device ?? "it"), take it down: drbdsetup down \(replica.resource)")
    }

    private func apart(_ replica: ReplicaSummary) -> Finding? {
        guard replica.migration != nil, let why = replica.why else { return nil }
        return Finding(
            .warning, host, "the replica \(replica.resource) is \(replica.connection?.word ?? "not connected")",
            why: why, remedy: replica.remedy)
    }
}

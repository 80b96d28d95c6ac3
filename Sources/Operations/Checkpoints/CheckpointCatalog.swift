import HostModel
import Hosts
import Storage

/// A checkpoint as it stands.
public struct CheckpointSummary: Sendable, Encodable {
    public var name: VolumeName
    public var domain: DomainName
    /// Milliseconds since 1970.
    public var created: Int64
    public var stage: Checkpoint.Stage
    /// Of the saved image, in bytes; nil where there is none.
    public var image: ByteCount?
    public var freezeMilliseconds: Int64?
    public var snapshots: [Snapshot]
    /// Why it cannot be restored, or what is left to do; nil where all is well.
    public var why: String?
    public var remedy: String?
}

extension CheckpointManager {
    /// Every checkpoint of this host, or those of one domain, by name. Changes nothing.
    public func list(of domain: DomainName? = nil) async throws -> [CheckpointSummary] {
        let checkpoints = try store.all().filter { domain == nil || $0.domain == domain }
        guard !checkpoints.isEmpty else { return [] }
        let snapshots = try await host.runner.snapshots()
        return try checkpoints.map { try summary($0, snapshots) }
    }

    private func summary(_ checkpoint: Checkpoint, _ snapshots: [Snapshot]) throws -> CheckpointSummary {
        let found = checkpoint.disks.compactMap { disk in
            snapshots.first { $0.group == disk.snapshot.group && $0.name == disk.snapshot.name }
        }
        var summary = CheckpointSummary(
            name: checkpoint.name, domain: checkpoint.domain, created: checkpoint.created, stage: checkpoint.stage,
            image: store.image(checkpoint.name).size, freezeMilliseconds: checkpoint.freezeMilliseconds,
            snapshots: found
        )
        if checkpoint.stage != .whole {
            summary.why = checkpoint.stage == .making ? "it is being made, or was cut off" : "its restore has not ended"
            summary.remedy = Self.remedy(checkpoint)
        } else if found.count < checkpoint.disks.count || found.contains(where: \.isInvalid) {
            summary.why = "a snapshot is lost: it ran full, or was removed"
            summary.remedy = "xenlvs domain checkpoint remove \(checkpoint.name)"
        } else if summary.image == nil {
            summary.why = "there is no saved image"
            summary.remedy = "xenlvs domain checkpoint remove \(checkpoint.name)"
        } else if let objection = try objection(to: checkpoint) {
            summary.why = objection
            summary.remedy = "xenlvs domain checkpoint remove \(checkpoint.name)"
        }
        return summary
    }

    /// Why a disk cannot be put back, of the first one that cannot; nil where all can.
    private func objection(to checkpoint: Checkpoint) throws -> String? {
        for disk in checkpoint.disks {
            let volume = try host.recordedVolume(disk.volume)
            if let objection = checkpoint.objection(to: volume, for: disk) { return objection }
        }
        return nil
    }

    /// The checkpoint whose snapshot an LV is.
    func checkpoint(withSnapshot reference: LogicalVolumeReference) throws -> Checkpoint? {
        try store.all().first { $0.disks.contains { $0.snapshot == reference } }
    }
}

extension Housekeeping {
    /// Checkpoints and brackets that were cut off, or are lost. One that is under way is named too: it holds its domain.
    func checkpointFindings() async throws -> [Finding] {
        let worker = HostWorker(host: host, version: Version.text)
        let checkpoints = try await CheckpointManager(worker: worker).list()
        let away = try DomainBracket(worker: worker).records().map { record in
            Finding(
                .blocking, host.name, "the domain \(record.domain) is being saved and restored, or is left away",
                why: "'xenlvs domain prepare --now' or 'swap --bracket' has not ended",
                remedy: "if neither is at work: xenlvs recover")
        }
        let wrong = checkpoints.filter { $0.why != nil }
        if wrong.isEmpty, away.isEmpty {
            return [Finding(.fine, host.name, "every checkpoint is whole (\(checkpoints.count))")]
        }
        return away
            + wrong.map { checkpoint in
                Finding(
                    checkpoint.stage == .whole ? .warning : .blocking, host.name,
                    "the checkpoint \(checkpoint.name) of \(checkpoint.domain) "
                        + (checkpoint.stage == .whole ? "cannot be restored" : "is \(checkpoint.stage.rawValue)"),
                    why: checkpoint.stage == .making
                        ? "it is being made, or was cut off: its domain stands still then" : checkpoint.why,
                    remedy: checkpoint.remedy)
            }
    }
}

import HostModel
import Hosts
import Storage

/// What hangs on a volume's LV, for whoever is about to remove it: its snapshots, and the checkpoints that need it.
///
/// LVM removes an LV with its snapshots and asks nobody. Thin ones would stay, and count all the same: whoever has taken one
/// may want to go back to it.
struct VolumeDependants: Sendable, Equatable {
    /// Of whatever kind, and whoever made them.
    var snapshots: [Snapshot] = []
    var checkpoints: [Checkpoint] = []

    init() {}

    /// - Parameters:
    ///   - uuid: the LV's, by which a checkpoint knows it, also where its snapshot is lost; nil where it is not known.
    ///   - snapshots, checkpoints: all of the host's.
    init(
        of reference: LogicalVolumeReference, uuid: String?, among snapshots: [Snapshot], _ checkpoints: [Checkpoint]
    ) {
        let own = snapshots.of(reference)
        self.snapshots = own
        self.checkpoints = checkpoints.filter { checkpoint in
            checkpoint.disks.contains { disk in
                own.contains { $0.reference == disk.snapshot } || uuid != nil && disk.logicalVolumeUUID == uuid
            }
        }
    }

    /// Each by what removes it: a checkpoint's snapshots go with the checkpoint.
    var uses: [VolumeUse] {
        let kept = checkpoints.flatMap { $0.disks.map(\.snapshot) }
        return checkpoints.map { VolumeUse(.checkpoint, $0.name.text) }
            + snapshots.filter { !kept.contains($0.reference) }.map { VolumeUse(.snapshot, $0.name.text) }
    }
}

extension [VolumeUse] {
    /// As the end of a sentence.
    var sentences: String { map(\.sentence).joined(separator: "; ") }
}

extension HostContext {
    /// What hangs on the LV at a place; nothing hangs on a file. Changes nothing.
    /// - Parameter uuid: the LV's, where it is known.
    func dependants(at place: VolumePlace, uuid: String?) async throws -> VolumeDependants {
        guard let reference = place.logicalVolume else { return VolumeDependants() }
        let snapshots = try await runner.snapshots()
        return VolumeDependants(of: reference, uuid: uuid, among: snapshots, try CheckpointStore(paths).all())
    }
}

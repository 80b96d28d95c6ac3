import Domains
import HostModel
import Storage

/// A domain's memory and disks as they were at one moment, kept on this host.
public struct Checkpoint: Sendable, Equatable, Codable {
    /// How far it has come. Each is recorded before anything of it is done.
    public enum Stage: String, Sendable, Codable {
        /// The domain is saved and paused, or about to be. It has to run on, whatever comes of the checkpoint.
        case making
        /// Complete. It can be restored as often as wanted.
        case whole
        /// The disks are being put back to it. Until that is done they are neither the one nor the other.
        case rollingBack = "rolling-back"
        /// The disks are as they were; the domain is about to be restored.
        case starting
    }

    public struct Disk: Sendable, Equatable, Codable {
        /// The device in the guest: `xvda`.
        public var device: String
        public var volume: VolumeName
        /// The LV that the snapshot is of: another one of its name is not this disk.
        public var logicalVolumeUUID: String
        public var size: ByteCount
        public var snapshot: LogicalVolumeReference
    }

    /// The restoring of the domain, in one boot of this host.
    public struct Revival: Sendable, Equatable, Codable {
        /// That boot.
        public var machine: String
        /// The number of the restored domain: what has another one was not restored. Nil until that is known.
        public var id: DomainID?
    }

    /// `web1-1`.
    public var name: VolumeName
    public var domain: DomainName
    public var uuid: String
    public var memory: ByteCount
    public var stage: Stage
    /// Milliseconds since 1970.
    public var created: Int64
    public var disks: [Disk]
    /// How long the guest was stopped for it; nil until it is whole.
    public var freezeMilliseconds: Int64?
    /// Nil but in `starting`, and there in records of earlier versions.
    public var revival: Revival?

    /// Why a volume, as the journal has it now, is not the disk that the checkpoint puts back; nil where it is.
    func objection(to volume: Volume?, for disk: Disk) -> String? {
        guard let volume, volume.logicalVolumeUUID == disk.logicalVolumeUUID,
            volume.place.logicalVolume?.group == disk.snapshot.group, volume.size == disk.size
        else { return "'\(disk.volume)' is not what it was: moved, resized or made anew" }
        switch volume.state {
        case .active, .restoring(name): return nil
        case .incoming, .retired, .former, .restoring:
            return "'\(disk.volume)' \(volume.objection ?? "is no guest's disk")"
        }
    }

    /// A snapshot of `volume` for the checkpoint of this number: `web1.cp1`.
    static func snapshotName(of volume: VolumeName, _ number: Int) throws(Failure) -> VolumeName {
        try VolumeName("\(volume).cp\(number)")
    }
}

/// The steps of a checkpoint, by the names under which a test can end the run there; see ``CrashPoint``.
public enum CheckpointStep: String, Sendable, CaseIterable {
    /// What is about to be made is recorded.
    case note = "checkpointNote"
    /// The domain is saved, and stays paused.
    case memory = "checkpointMemory"
    /// A disk's snapshot is made.
    case snapshot = "checkpointSnapshot"
    /// The domain runs on.
    case goOn = "checkpointGoOn"
    /// The checkpoint is recorded as whole.
    case seal = "checkpointSeal"
    /// The disks are put back.
    case rollBack = "checkpointRollBack"
    /// The domain is restored, and paused.
    case revive = "checkpointRevive"
    /// The restored domain runs.
    case start = "checkpointStart"
}

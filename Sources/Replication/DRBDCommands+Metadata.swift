import HostModel

/// DRBD's metadata on disk, through `drbdmeta`. None of these works on a device that is attached.
extension DRBDCommands {
    /// The largest request, in bytes, that the metadata let through before a peer has been seen. Without it DRBD
    /// starts with 4 KiB, and everything stacked on top of the device inherits that.
    static let peerMaximumRequest = "1048576"

    /// Makes new metadata. Without `--force`, and without a terminal to ask, `drbdmeta` refuses a device that holds
    /// metadata (exit code 1) or anything else that it knows (40): see `DRBDFailure`.
    public func createMetadata(_ device: ReplicaDevice) -> Command {
        metadata(device, createWords, options: ["--peer-max-bio-size", Self.peerMaximumRequest])
    }

    /// Makes new metadata in place of those the proof speaks of.
    public func recreateMetadata(_ proof: OwnedMetadata) -> Command {
        metadata(
            proof.device, createWords, options: ["--force", "--peer-max-bio-size", Self.peerMaximumRequest])
    }

    /// Writes metadata as a text has them, in place of those the proof speaks of.
    public func restoreMetadata(_ proof: OwnedMetadata, from file: String) -> Command {
        metadata(proof.device, ["restore-md", file], options: ["--force"])
    }

    /// Destroys the metadata the proof speaks of; without `--force` `drbdmeta` would ask at a terminal. The device must
    /// not be in use: `--force` overrides that check as well, unless this very minor is configured.
    public func wipeMetadata(_ proof: OwnedMetadata) -> Command {
        metadata(proof.device, ["wipe-md"], options: ["--force"])
    }

    /// Marks metadata as ours, right after they were made.
    public func markMetadata(_ device: ReplicaDevice, _ mark: OwnershipMark) -> Command {
        metadata(device, ["write-dev-uuid", mark.argument])
    }

    /// Reads the mark, for `OwnershipMark`. Exit code 1 with no output means that there are no metadata.
    public func ownershipMark(_ device: ReplicaDevice) -> Command {
        metadata(device, ["read-dev-uuid"], effect: .query)
    }

    /// Reads the data generation from the disk, for `DataGeneration`; as above where there are no metadata.
    public func storedGeneration(_ device: ReplicaDevice, _ connection: ReplicaConnection) -> Command {
        let node = dialect == .v9 ? ["--node-id=\(connection.peer.nodeID)"] : []
        return metadata(device, node + ["get-gi"], effect: .query)
    }

    /// Marks in the bitmap what was being written when the device went down; the kernel refuses to attach without it.
    public func applyActivityLog(_ device: ReplicaDevice) -> Command { metadata(device, ["apply-al"]) }

    private var createWords: [String] {
        switch dialect {
        case .v84: ["create-md"]
        case .v9: ["create-md", "1"]
        }
    }

    private func metadata(
        _ device: ReplicaDevice, _ words: [String], options: [String] = [], effect: Command.Effect = .mutation
    ) -> Command {
        let place = ["\(device.minor)", dialect.metadataFormat, device.metadataPath, "flex-external"]
        return Command(
            .drbdmeta, options + place + words, effect, deadline: .seconds(effect == .query ? 60 : 600),
            acceptedExitCodes: effect == .query ? [0, 1] : [0])
    }
}

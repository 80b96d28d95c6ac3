import HostModel
import Storage

/// Where a swap puts a disk, as it is typed.
public enum SwapTarget: Sendable, Equatable {
    case volume
    case replica
    /// An LV that is made in this group.
    case group(VolumeGroupName)
    /// An attachment, by its name.
    case device(VolumeName)

    /// `volume`, `replica`, `vg:vg1` or `device:data1`. Throws a `.usage` failure.
    public init(parsing text: String) throws(Failure) {
        let words = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        switch (words[0], words.count) {
        case ("volume", 1): self = .volume
        case ("replica", 1): self = .replica
        case ("vg", 2): self = .group(try VolumeGroupName(words[1]))
        case ("device", 2): self = .device(try VolumeName(words[1]))
        default:
            throw Failure(
                .usage, "'\(text.prefix(200))' is no place for a disk",
                remedy: "give volume, replica, vg:VG or device:NAME with a name of 'xenlvs attachments'")
        }
    }

    /// Where the volume's data are then; nil for a replica, and for the way back.
    public func place(of volume: VolumeName) -> VolumePlace? {
        switch self {
        case .volume, .replica: nil
        case .group(let group): .logicalVolume(group: group, name: LogicalVolumeName(of: volume))
        case .device(let name): .attachment(name)
        }
    }

    /// How a place is typed.
    static func argument(_ place: VolumePlace) -> String {
        switch place {
        case .logicalVolume(let group, _): "vg:\(group)"
        case .attachment(let name): "device:\(name)"
        case .file: "volume"
        }
    }
}

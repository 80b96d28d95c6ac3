import HostModel

/// The name of a logical volume, be it one of ours, its metadata volume or one that somebody else made.
///
/// The character set and the words that LVM keeps are those of lvm(8), VALID NAMES.
public struct LogicalVolumeName: CheckedName {
    public let text: String
    public init(unchecked text: String) { self.text = text }
    public static let kind = "logical volume name"
    /// `NAME_LEN` of LVM's `lib/misc/lvm-string.c`, less the terminating zero.
    public static let longest = 127

    /// The LV of the volume itself: it has the volume's name.
    public init(of volume: VolumeName) { self.init(unchecked: volume.text) }

    /// The small LV that holds the DRBD metadata of `volume`.
    public init(metadataOf volume: VolumeName) { self.init(unchecked: volume.metadataVolume) }

    /// The small LV that holds the log of a copy of `volume`.
    public init(copyLogOf volume: VolumeName) { self.init(unchecked: volume.text + VolumeName.copyLogSuffix) }

    /// The snapshot of `volume` that is sent to another host.
    public init(seedOf volume: VolumeName) { self.init(unchecked: volume.text + VolumeName.seedSuffix) }

    /// Whether it is one of the small LVs that xenlvs makes beside a volume.
    var isBesideVolume: Bool { VolumeName.keptSuffixes.contains { text.hasSuffix($0) } }
}

/// A logical volume by name: `vg0/web1`.
public struct LogicalVolumeReference: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var group: VolumeGroupName
    public var name: LogicalVolumeName

    public init(group: VolumeGroupName, name: LogicalVolumeName) {
        self.group = group
        self.name = name
    }

    /// As LVM's commands take it: `vg0/web1`.
    public var description: String { "\(group)/\(name)" }

    /// The link that LVM keeps while the LV is active (lvm(8)): `/dev/vg0/web1`.
    public var devicePath: String { "/dev/\(group)/\(name)" }

    public static func < (left: Self, right: Self) -> Bool {
        (left.group, left.name) < (right.group, right.name)
    }
}

/// A word that LVM keeps with an LV.
public struct LogicalVolumeTag: CheckedName {
    public let text: String
    public init(unchecked text: String) { self.text = text }
    public static let kind = "LVM tag"
    /// Our own bound; LVM has none (`validate_tag` in `lib/misc/lvm-string.c`).
    public static let longest = 127

    /// LVM's characters: letters, digits and `_ + . - / = ! : & #`. A leading hyphen and `#` are refused because a
    /// command line would read them as something else.
    public static func objection(to text: String) -> String? {
        if text.hasPrefix("#") { return "a leading '#' would begin a comment" }
        if text.utf8.count > longest { return "it is longer than \(longest) bytes" }
        let plain = String(text.map { "/=!:&#".contains($0) ? "_" : $0 })
        return LogicalVolumeName.objection(to: plain) == nil
            ? nil : "only letters, digits and _ + . - / = ! : & # are allowed, and no '-' in front"
    }

    /// Marks every LV that xenlvs made or took over.
    public static let ours = LogicalVolumeTag(unchecked: "xenlvs")

    /// Says which volume the LV belongs to: `xenlvs.volume=web1`.
    public static func volume(_ name: VolumeName) -> LogicalVolumeTag {
        LogicalVolumeTag(unchecked: "xenlvs.volume=\(name)")
    }

    /// Marks an LV that a swap is filling, or was when it was cut off.
    public static let swap = LogicalVolumeTag(unchecked: "xenlvs.swap")

    /// Says which migration made the LV: `xenlvs.migration=ID`. Throws `.usage` where LVM cannot keep `id`.
    public static func migration(_ id: String) throws(Failure) -> LogicalVolumeTag {
        try LogicalVolumeTag("xenlvs.migration=" + id)
    }
}

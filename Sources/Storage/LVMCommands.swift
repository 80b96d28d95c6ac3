import HostModel

/// The LVM commands that xenlvs uses, as values. Nothing is run here.
///
/// Sizes are passed as `--size Nb`, which LVM takes exactly and rounds up to extents only; the callers pass multiples
/// of the extent size, which `VolumeGroup.checkRoom` makes sure of.
public enum LVMCommands {
    private static let volumeFields = LVMReport.VolumeField.allCases.map(\.rawValue)
    private static let groupFields = LVMReport.GroupField.allCases.map(\.rawValue)

    private static func report(_ verb: String, _ fields: [String], _ rest: [String]) -> Command {
        Command(
            .lvm,
            [
                verb, "--reportformat", "json", "--units", "b", "--nosuffix", "--options",
                fields.joined(separator: ","),
            ] + rest, .query)
    }

    /// Lists every LV of the host. Read with `LVMReport.volumes`.
    public static func listVolumes() -> Command { report("lvs", volumeFields, []) }

    /// Lists the LVs of `group`; fails (5) where there is no such group.
    public static func listVolumes(in group: VolumeGroupName) -> Command {
        report("lvs", volumeFields, [group.text])
    }

    /// Lists one LV, or nothing where the group has none of that name: unlike `lvs VG/LV`, that is not a failure, so
    /// that "it is not there" and "LVM failed" stay apart.
    public static func findVolume(_ reference: LogicalVolumeReference) -> Command {
        report("lvs", volumeFields, ["--select", "lv_name=\"\(reference.name)\"", reference.group.text])
    }

    /// Lists every LV that carries `tag`.
    public static func listVolumes(tagged tag: LogicalVolumeTag) -> Command {
        report("lvs", volumeFields, ["--select", "lv_tags=\"\(tag)\""])
    }

    /// Lists every volume group. Read with `LVMReport.groups`.
    public static func listGroups() -> Command { report("vgs", groupFields, []) }

    /// Lists the physical volumes that LVM sees. Read with `LVMReport.physicalVolumes`.
    public static func listPhysicalVolumes() -> Command { report("pvs", ["pv_name", "vg_name"], []) }

    /// Lists one volume group; fails (5) where there is none of that name.
    public static func group(_ name: VolumeGroupName) -> Command { report("vgs", groupFields, [name.text]) }

    /// Makes an LV of exactly `size` with `tags`, and activates it.
    ///
    /// The extents come from the group's free space and belong to nobody: old signatures in them are wiped and the
    /// first 4 KiB zeroed (`--yes` answers LVM's question for each signature; without it LVM leaves a half-made LV).
    /// What lies behind the first 4 KiB stays; `blank` is for an LV that must not show it. An LV that is already there
    /// makes the command fail and is not touched.
    /// - Throws: `.refused` where `group` has no room, or not in that size.
    public static func create(
        _ name: LogicalVolumeName, size: ByteCount, in group: VolumeGroup, tags: [LogicalVolumeTag]
    ) throws(Failure) -> Command {
        try group.checkRoom(for: size, named: name)
        var arguments = ["lvcreate", "--yes", "--type", "linear", "--wipesignatures", "y", "--zero", "y"]
        arguments += ["--size", "\(size.bytes)b", "--name", name.text]
        for tag in tags { arguments += ["--addtag", tag.text] }
        return Command(.lvm, arguments + [group.name.text], .mutation, deadline: .seconds(120))
    }

    /// Zeroes a whole metadata LV, or the log of a copy, that was just made, so that `drbdmeta create-md` needs no `--force`: it refuses where
    /// any of the first 68 KiB is not zero (`check_for_existing_data` in `user/shared/drbdmeta.c`), and an LV in the
    /// place of an earlier metadata LV still shows that one's activity log. In the place of an earlier log of a copy it would
    /// say that everything is copied.
    ///
    /// The kernel would do it under an attached DRBD too. So `volume` must be a report from after its creation.
    /// - Throws: `.refused` unless the LV is ours, named as a metadata LV, active, and open nowhere.
    public static func blank(_ volume: LogicalVolume) throws(Failure) -> Command {
        let reference = volume.reference
        let why: String? =
            if !volume.isOurs {
                "it is not marked as xenlvs's"
            } else if !reference.name.isBesideVolume {
                "its name is not that of a metadata volume or a log"
            } else if volume.activation != .active || volume.isOpen != false {
                "it is not active, or it is in use"
            } else {
                nil
            }
        if let why {
            throw Failure(
                .refused, "cannot overwrite \(reference)", why: why,
                remedy: "see that nothing uses it, and remove it by hand if it is left over")
        }
        return .mutation(
            .fallocate, "--zero-range", "--offset", "0", "--length", "\(volume.size.bytes)", reference.devicePath)
    }

    /// Removes exactly this LV: it is selected by its UUID and its name, so that one which took the name meanwhile
    /// stays, and only while nothing is a snapshot of it: `--yes` would let LVM remove those with it. LVM selects under its
    /// lock, so that one which is taken meanwhile keeps the LV. LVM refuses while the device is open. Removing nothing is not
    /// a failure; look again afterwards.
    public static func remove(_ volume: LogicalVolume) -> Command {
        let selection =
            "lv_uuid=\"\(volume.uuid)\"&&lv_role!=\"origin\"&&lv_name=\"\(volume.reference.name)\""
        return .mutation(.lvm, "lvremove", "--yes", "--select", selection, volume.reference.group.text)
    }

    /// Renames an LV within its group. Works while it is in use; its link below `/dev/VG` changes with it.
    public static func rename(_ reference: LogicalVolumeReference, to name: LogicalVolumeName) -> Command {
        .mutation(.lvm, "lvrename", reference.group.text, reference.name.text, name.text)
    }

    /// Makes an LV larger, to exactly `size`. LVM fails (5) where it has that size already.
    ///
    /// LVM reloads the LV's device-mapper table from its own metadata: never while xenlvs has changed that table.
    /// - Throws: `.refused` where `size` is not larger, no multiple of the extent size, or the group has no room.
    public static func extend(
        _ volume: LogicalVolume, to size: ByteCount, in group: VolumeGroup
    ) throws(Failure) -> Command {
        guard size > volume.size else {
            throw Failure(
                .refused, "cannot extend \(volume.reference) to \(size)", why: "it has \(volume.size)",
                remedy: "a volume can only become larger")
        }
        try group.checkRoom(for: size - volume.size, named: volume.reference.name)
        return .mutation(.lvm, "lvextend", "--size", "\(size.bytes)b", volume.reference.description)
    }

    /// Keeps an LV from being written from now on.
    public static func makeReadOnly(_ reference: LogicalVolumeReference) -> Command {
        .mutation(.lvm, "lvchange", "--permission", "r", reference.description)
    }

    /// Activates an LV; nothing happens where it is active.
    public static func activate(_ reference: LogicalVolumeReference) -> Command {
        .mutation(.lvm, "lvchange", "--activate", "y", reference.description)
    }

    /// Lets an LV's device have what LVM's metadata say, and udev its links. Nothing is changed where they agree.
    public static func refresh(_ reference: LogicalVolumeReference) -> Command {
        .mutation(.lvm, "lvchange", "--refresh", reference.description)
    }

    /// Writes a group's metadata to a file. Whoever calls it holds LVM's lock on the group.
    public static func writeMetadata(of group: VolumeGroupName, to file: String) -> Command {
        .query(.lvm, "vgcfgbackup", "--nolocking", "--file", file, group.text)
    }

    /// The same question for whoever holds LVM's lock on the group: it would wait for that lock, and so for ever.
    public static func underLock(_ query: Command) -> Command {
        var query = query
        query.arguments.insert("--nolocking", at: 1)
        return query
    }

    /// Makes what a file holds the group's metadata. LVM asks because LVs are active; they are the same afterwards but for what
    /// was changed in the file. Whoever calls it holds LVM's lock on the group.
    public static func takeMetadata(of group: VolumeGroupName, from file: String) -> Command {
        .mutation(.lvm, "vgcfgrestore", "--nolocking", "--yes", "--file", file, group.text)
    }

    /// Asks where LVM's locks are. Read with `LVMLock.directory`.
    public static func lockQuery() -> Command {
        .query(
            .lvm, "lvmconfig", "--typeconfig", "full", "global/locking_dir", "global/use_lvmlockd",
            "global/wait_for_locks")
    }

    /// Deactivates an LV; LVM refuses while its device is open.
    public static func deactivate(_ reference: LogicalVolumeReference) -> Command {
        .mutation(.lvm, "lvchange", "--activate", "n", reference.description)
    }

    /// Adds and removes tags in one metadata change. A tag that is there, or not there, already is no failure.
    public static func changeTags(
        _ reference: LogicalVolumeReference, add: [LogicalVolumeTag] = [], remove: [LogicalVolumeTag] = []
    ) -> Command {
        var arguments = ["lvchange"]
        for tag in add { arguments += ["--addtag", tag.text] }
        for tag in remove { arguments += ["--deltag", tag.text] }
        return Command(.lvm, arguments + [reference.description], .mutation)
    }
}

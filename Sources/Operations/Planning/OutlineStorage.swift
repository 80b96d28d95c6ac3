import FoundationEssentials
import HostModel
import Migration
import Replication
import Storage

/// The commands that make and remove what volumes and metadata lie on, for an outline.
struct OutlineStorage {
    let facts: OutlineFacts

    /// The device of a volume's data or metadata.
    func device(_ volume: VolumeSpec, _ kind: FilePool.Role, _ role: Role) -> String {
        switch volume.place(role) {
        case .logicalVolume(let group, _):
            LogicalVolumeReference(group: group, name: Self.name(volume, kind)).devicePath
        case .file:
            (kind == .data ? facts.host(role).loops[volume.name] : nil) ?? OutlineWord.loop(volume.name, kind)
        // No migration is planned with one (`MigrationSpec`).
        case .attachment(let name): "/dev/xenlvs/\(name)"
        }
    }

    /// Makes the storage, and what gives it its device.
    /// - Throws: `.refused` where the group has no room.
    func create(
        _ volume: VolumeSpec, _ kind: FilePool.Role, size: ByteCount, _ role: Role
    ) throws -> [OutlineBuilder.Change] {
        switch volume.place(role) {
        case .logicalVolume(let groupName, _):
            let group = try group(groupName, role)
            let reference = LogicalVolumeReference(group: groupName, name: Self.name(volume, kind))
            let tags: [LogicalVolumeTag] = [.ours, .volume(volume.name), try .migration(facts.spec.id.text)]
            let exact = kind == .metadata ? group.roundedUp(size) : size
            let made = try LVMCommands.create(reference.name, size: exact, in: group, tags: tags)
            guard kind == .metadata else { return [.command(made)] }
            return [.command(made), .command(try LVMCommands.blank(try report(reference, exact)))]
        case .file(let directory):
            let path = "\(directory)/\(volume.name)\(kind.rawValue)"
            return [
                .file("make \(path), \(size.roundedUp(to: .kibibytes(4))), zeroed and with all its blocks"),
                .command(LoopDevices.attach(path)),
            ]
        case .attachment: return []
        }
    }

    func remove(_ volume: VolumeSpec, _ kind: FilePool.Role, _ role: Role) throws -> [OutlineBuilder.Change] {
        switch volume.place(role) {
        case .logicalVolume(let group, _):
            let reference = LogicalVolumeReference(group: group, name: Self.name(volume, kind))
            return [.command(LVMCommands.remove(try report(reference, volume.size)))]
        case .file(let directory):
            return [
                .command(LoopDevices.detach(device(volume, kind, role))),
                .file("remove \(directory)/\(volume.name)\(kind.rawValue)"),
            ]
        case .attachment: return []
        }
    }

    /// What an existing copy needs before it can be used: an LV is activated where it is not active.
    func use(_ volume: VolumeSpec, _ role: Role) -> [OutlineBuilder.Change] {
        switch volume.place(role) {
        case .logicalVolume(let group, let name):
            let reference = LogicalVolumeReference(group: group, name: name)
            return [.command(LVMCommands.activate(reference), "if it is not active")]
        case .file(let directory):
            return [
                .command(
                    LoopDevices.attach("\(directory)/\(volume.name)\(FilePool.Role.data.rawValue)"),
                    "if it has no loop device")
            ]
        case .attachment: return []
        }
    }

    private static func name(_ volume: VolumeSpec, _ kind: FilePool.Role) -> LogicalVolumeName {
        switch kind {
        case .data: LogicalVolumeName(of: volume.name)
        case .metadata: LogicalVolumeName(metadataOf: volume.name)
        }
    }

    /// The group as LVM will report it, from what the host's survey says of it: the builders take reports only.
    private func group(_ name: VolumeGroupName, _ role: Role) throws -> VolumeGroup {
        guard let known = facts.host(role).groups.first(where: { $0.name == name }) else {
            throw Failure(.notFound, "there is no volume group '\(name)'", host: facts.host(role).name.text)
        }
        let row = [
            "vg_name": name.text, "vg_uuid": "", "vg_size": "\(known.free.bytes)", "vg_free": "\(known.free.bytes)",
            "vg_extent_size": "\(known.extentSize.bytes)", "vg_attr": "wz--n-", "vg_missing_pv_count": "0",
        ]
        guard let group = try LVMReport.groups(try Self.report("vg", row)).first else {
            throw Failure(.inconsistent, "the volume group '\(name)' cannot be described")
        }
        return group
    }

    /// An LV as LVM will report it once it is made, active and open nowhere.
    private func report(_ reference: LogicalVolumeReference, _ size: ByteCount) throws -> LogicalVolume {
        let row = [
            "vg_name": reference.group.text, "lv_name": reference.name.text, "lv_uuid": OutlineWord.uuid,
            "lv_size": "\(size.bytes)", "lv_attr": "-wi-a-----", "lv_tags": LogicalVolumeTag.ours.text,
            "lv_layout": "linear", "lv_role": "public", "lv_health_status": "", "lv_device_open": "",
            "lv_kernel_major": "253", "lv_kernel_minor": "0",
        ]
        guard let volume = try LVMReport.volumes(try Self.report("lv", row)).first else {
            throw Failure(.inconsistent, "the LV \(reference) cannot be described")
        }
        return volume
    }

    private static func report(_ section: String, _ row: [String: String]) throws -> String {
        try JSONText.encode(["report": [[section: [row]]]])
    }
}

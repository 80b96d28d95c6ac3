import HostModel
import Migration
import Storage

#if canImport(Glibc)
    import Glibc
#endif

/// Makes, finds and removes what volumes and their DRBD metadata lie on: LVs, or files behind loop devices.
public struct VolumeStore: Sendable {
    let runner: any CommandRunner

    public enum Kind: Sendable {
        case data
        /// DRBD's external metadata for the volume.
        case metadata
        /// What dm-mirror notes down while it copies the volume to another place. Only on an LV.
        case copyLog
    }

    /// A volume's storage that is there.
    public struct Found: Sendable, Equatable {
        public var size: ByteCount
        /// Made by xenlvs: tagged, or a file of a directory pool.
        public var isOurs: Bool
        /// The migration it was made for, where it is an LV that says so.
        public var tags: Set<String>
        public var uuid: String?
    }

    public init(runner: any CommandRunner) { self.runner = runner }

    /// What is there, or nil. Throws where LVM or the pool cannot be asked.
    public func find(_ name: VolumeName, _ kind: Kind, at place: VolumePlace) async throws -> Found? {
        switch place {
        case .logicalVolume(let group, _):
            let output = try await runner.run(LVMCommands.findVolume(reference(name, kind, group))).output
            return try LVMReport.volumes(output).first.map {
                Found(size: $0.size, isOurs: $0.isOurs, tags: $0.tags, uuid: $0.uuid)
            }
        case .file(let directory):
            return try FilePool(directory).size(of: name, kind.fileRole).map {
                Found(size: $0, isOurs: true, tags: [], uuid: nil)
            }
        case .attachment: throw unmanaged(name, place)
        }
    }

    private func unmanaged(_ name: VolumeName, _ place: VolumePlace) -> Failure {
        Failure(
            .refused, "xenlvs makes and removes nothing of the volume '\(name)'",
            why: "it is on the \(place), which belongs to another host")
    }

    /// Makes storage of `size`, at least; what is no volume's data is rounded up to what the place can give. Throws where it
    /// exists.
    /// - Parameter isTargetOfSwap: marks it as made by a swap that has not ended.
    public func create(
        _ name: VolumeName, _ kind: Kind, at place: VolumePlace, size: ByteCount, migration: MigrationID?,
        isTargetOfSwap: Bool = false
    ) async throws {
        switch place {
        case .logicalVolume(let groupName, _):
            let group = try await group(groupName)
            let wanted = kind == .data ? size : group.roundedUp(size)
            var tags = [LogicalVolumeTag.ours, .volume(name)]
            if isTargetOfSwap { tags.append(.swap) }
            if let migration { tags.append(try .migration(migration.text)) }
            let reference = reference(name, kind, groupName)
            try await runner.run(try LVMCommands.create(reference.name, size: wanted, in: group, tags: tags))
            if kind != .data {
                // Extents that held such before still show it beyond the 4 KiB that LVM zeroes.
                let output = try await runner.run(LVMCommands.findVolume(reference)).output
                guard let made = try LVMReport.volumes(output).first else {
                    throw Failure(.failed, "\(reference) was made but is not there")
                }
                try await runner.run(try LVMCommands.blank(made))
            }
        case .file(let directory):
            try FilePool(directory).create(name, kind.fileRole, size: size.roundedUp(to: .kibibytes(4)))
        case .attachment: throw unmanaged(name, place)
        }
    }

    /// The block device of existing storage, activated or attached to a loop device where it is not yet.
    public func device(_ name: VolumeName, _ kind: Kind, at place: VolumePlace) async throws -> String {
        switch place {
        case .logicalVolume(let group, _):
            let reference = reference(name, kind, group)
            if (try? BlockDevice(at: reference.devicePath)) == nil {
                try await runner.run(LVMCommands.activate(reference))
            }
            return reference.devicePath
        case .file(let directory):
            let file = try FilePool(directory).path(of: name, kind.fileRole)
            if let loop = try await loopDevice(of: file) { return loop.path }
            // Where udev does not make this node for it, nothing loads the module either.
            if access("/dev/loop-control", F_OK) != 0 { try await runner.run(.mutation(.modprobe, "loop")) }
            return try LoopDevices.parseAttached(try await runner.run(LoopDevices.attach(file)).output)
        case .attachment: throw unmanaged(name, place)
        }
    }

    /// The device where there is one already; nothing is activated.
    public func presentDevice(_ name: VolumeName, _ kind: Kind, at place: VolumePlace) async throws -> String? {
        switch place {
        case .logicalVolume(let group, _):
            let path = reference(name, kind, group).devicePath
            return (try? BlockDevice(at: path)) == nil ? nil : path
        case .file(let directory):
            return try await heldLoopDevice(of: FilePool(directory).path(of: name, kind.fileRole))?.path
        case .attachment: throw unmanaged(name, place)
        }
    }

    /// Where the storage's device is, or will be once there is one.
    public func expectedDevice(_ name: VolumeName, _ kind: Kind, at place: VolumePlace) async throws -> String {
        switch place {
        case .logicalVolume(let group, _): reference(name, kind, group).devicePath
        case .file(let directory):
            try await loopDevice(of: FilePool(directory).path(of: name, kind.fileRole))?.path
                ?? "/dev/loop-not-attached"
        case .attachment: throw unmanaged(name, place)
        }
    }

    /// Removes storage for good. Nothing happens where there is none.
    /// - Throws: `.busy` where there are snapshots of an LV, which LVM would remove with it.
    public func remove(_ name: VolumeName, _ kind: Kind, at place: VolumePlace) async throws {
        switch place {
        case .logicalVolume(let group, _):
            let reference = reference(name, kind, group)
            guard let volume = try await look(reference) else { return }
            try await requireNoSnapshots(volume)
            try await runner.run(LVMCommands.remove(volume))
            guard let left = try await look(reference) else { return }
            try await requireNoSnapshots(left)
            throw Failure(.failed, "cannot remove \(reference)", why: "it is still there")
        case .file(let directory):
            let pool = try FilePool(directory)
            if let loop = try await heldLoopDevice(of: pool.path(of: name, kind.fileRole)) {
                try await runner.run(LoopDevices.detach(loop.path))
            }
            try pool.remove(name, kind.fileRole)
        case .attachment: throw unmanaged(name, place)
        }
    }

    private func look(_ reference: LogicalVolumeReference) async throws -> LogicalVolume? {
        try LVMReport.volumes(try await runner.run(LVMCommands.findVolume(reference)).output).first
    }

    private func requireNoSnapshots(_ volume: LogicalVolume) async throws {
        guard volume.isOrigin else { return }
        let snapshots = try await runner.snapshots()
        let uses = VolumeDependants(of: volume.reference, uuid: nil, among: snapshots, []).uses
        throw Failure(
            .busy, "cannot remove \(volume.reference)", why: uses.isEmpty ? "it has snapshots" : uses.sentences,
            remedy: uses.first?.remedy ?? "see 'lvs -o +origin \(volume.reference.group)'")
    }

    public func group(_ name: VolumeGroupName) async throws -> VolumeGroup {
        let groups = try LVMReport.groups(try await runner.run(LVMCommands.listGroups()).output)
        guard let group = groups.first(where: { $0.name == name }) else {
            throw Failure(
                .notFound, "there is no volume group '\(name)'",
                why: groups.isEmpty ? nil : "there are \(groups.map(\.name.text).joined(separator: ", "))")
        }
        return group
    }

    private func loopDevice(of file: String) async throws -> LoopDevice? {
        try LoopDevices.parse(try await runner.run(LoopDevices.find(file)).output).first { $0.file == file }
    }

    /// As `loopDevice`, also where the file was deleted under it: its data live on in the device.
    private func heldLoopDevice(of file: String) async throws -> LoopDevice? {
        if access(file, F_OK) == 0 { return try await loopDevice(of: file) }
        return try LoopDevices.parse(try await runner.run(LoopDevices.list()).output).first {
            $0.file == file + LoopDevice.deletedMark
        }
    }

    private func reference(_ name: VolumeName, _ kind: Kind, _ group: VolumeGroupName) -> LogicalVolumeReference {
        LogicalVolumeReference(
            group: group,
            name: kind.logicalVolume(of: name))
    }
}

extension VolumeStore.Kind {
    /// No file is copied by dm-mirror.
    fileprivate var fileRole: FilePool.Role { self == .data ? .data : .metadata }

    fileprivate func logicalVolume(of volume: VolumeName) -> LogicalVolumeName {
        switch self {
        case .data: LogicalVolumeName(of: volume)
        case .metadata: LogicalVolumeName(metadataOf: volume)
        case .copyLog: LogicalVolumeName(copyLogOf: volume)
        }
    }
}

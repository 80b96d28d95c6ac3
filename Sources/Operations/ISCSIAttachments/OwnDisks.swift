import DeviceMapper
import HostModel
import Hosts
import ISCSI
import Storage

/// What this host's own logical volumes are to initiators, whether they are exported at the moment or not: that follows from
/// their UUIDs.
struct OwnDisks: Sendable {
    let host: HostContext

    /// The logical volume of this host that has this identity: `the volume 'web1'`; nil where none has.
    func disk(_ identity: DiskIdentity) async throws -> String? {
        let mapper = host.mapper
        let devices = try await Blocking.run("device-mapper") { try mapper.madeByLVM() }
        let volumes = try host.recordedVolumes()
        for device in devices {
            // One with others below it is told by its own device; theirs have longer UUIDs.
            guard let own = try? DeviceIdentity(mapping: device.uuid), own.isOf(identity) else { continue }
            let volume = volumes.first { $0.place.logicalVolume.map(MappedIdentity.nameByLVM) == device.name }
            return volume.map { "the volume '\($0.name)'" } ?? "the logical volume \(device.path)"
        }
        let idle = volumes.filter { volume in
            guard let uuid = volume.logicalVolumeUUID?.replacing("-", with: "") else { return false }
            return !devices.contains { $0.uuid.hasSuffix(uuid) }
        }
        return try await idleVolume(identity, among: idle).map { "the volume '\($0)', which is not active," }
    }

    /// Of volumes that the kernel does not have now only LVM knows the group's UUID.
    private func idleVolume(_ identity: DiskIdentity, among volumes: [Volume]) async throws -> VolumeName? {
        guard !volumes.isEmpty else { return nil }
        let groups = try LVMReport.groups(try await host.runner.run(LVMCommands.listGroups()).output)
        return volumes.first { volume in
            guard let uuid = volume.logicalVolumeUUID,
                let group = groups.first(where: { $0.name == volume.place.logicalVolume?.group })
            else { return false }
            return DeviceIdentity(groupUUID: group.uuid, volumeUUID: uuid).isOf(identity)
        }?.name
    }
}

extension DeviceIdentity {
    /// The kernel's target tells both; what another one makes of the serial number may have another WWID.
    fileprivate func isOf(_ disk: DiskIdentity) -> Bool { disk.wwid == wwid || disk.serial == serial }
}

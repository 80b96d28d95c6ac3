import DeviceMapper
import HostModel
import Storage

/// LVs as the kernel has them. Where it has all that are asked for, LVM need not be started, which takes longer than all else
/// in a listing.
enum ActiveVolumes {
    /// What LVM would say of the volumes' LVs; nil where it may say more than the kernel knows.
    ///
    /// That is so where an LV is not active or another one than is recorded, and where any has others below it, as
    /// snapshots, RAID and thin LVs have: their devices have something behind the 64 characters of the two UUIDs
    /// (lvm2, lib/activate/dev_manager.c, `build_dm_uuid`). That a physical volume is missing only LVM sees.
    static func logicalVolumes(
        of volumes: [Volume], among devices: [MappedDevice], size: (BlockDeviceNumber) throws(Failure) -> ByteCount
    ) throws(Failure) -> [LogicalVolume]? {
        guard devices.allSatisfy({ $0.uuid.utf8.count == "LVM-".utf8.count + 64 }) else { return nil }
        let byName = Dictionary(devices.map { ($0.name, $0) }) { first, _ in first }
        var found: [LogicalVolume] = []
        for volume in volumes {
            guard let reference = volume.place.logicalVolume else { continue }
            guard let device = byName[MappedIdentity.nameByLVM(reference)], let uuid = volume.logicalVolumeUUID,
                device.uuid.suffix(32) == uuid.replacing("-", with: ""), try size(device.number) == volume.size
            else { return nil }
            found.append(
                LogicalVolume(
                    reference, uuid: uuid, size: volume.size, isSuspended: device.isSuspended,
                    isOpen: device.openCount > 0, device: device.number))
        }
        return found
    }
}

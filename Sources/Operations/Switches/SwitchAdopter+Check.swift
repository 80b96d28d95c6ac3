import DeviceMapper
import HostModel
import Hosts
import Storage

extension SwitchAdopter {
    /// - Parameter isLocked: whoever asks holds LVM's lock on the group.
    func look(_ reference: LogicalVolumeReference, isLocked: Bool = false) async throws -> LogicalVolume {
        let query = LVMCommands.findVolume(reference)
        let output = try await host.runner.run(isLocked ? LVMCommands.underLock(query) : query).output
        guard let found = try LVMReport.volumes(output).first else {
            throw Failure(.notFound, "there is no LV \(reference)", remedy: "see 'lvs' and 'pvs'")
        }
        return found
    }

    /// What is to be made of the LV, where it can be. Under LVM's lock, so that it stays so.
    func check(
        _ volume: Volume, _ reference: LogicalVolumeReference
    ) async throws -> (SwitchAdoption, Identities) {
        let found = try await look(reference, isLocked: true)
        try volume.check(found)
        let query = LVMCommands.underLock(LVMCommands.group(reference.group))
        guard let group = try LVMReport.groups(try await host.runner.run(query).output).first else {
            throw Failure(.notFound, "there is no volume group '\(reference.group)'", remedy: "see 'vgs'")
        }
        let adoption = SwitchAdoption(group: group.uuid, former: found.uuid, next: LVMIdentifier.random())
        let identities = Identities(volume.name, reference, adoption)
        let mapper = host.mapper
        let device = try await Blocking.run("device-mapper") { try mapper.find(uuid: identities.former.uuid) }
        let made = try await Blocking.run("device-mapper") { try mapper.madeByLVM() }
        try AdoptionCheck(volume: volume.name, found: found, group: group, device: device).pass(others: made)
        try await host.switches.requireFreeName(volume.name)
        try checkHolders(volume, found)
        return (adoption, identities)
    }

    private func checkHolders(_ volume: Volume, _ found: LogicalVolume) throws {
        let device = try BlockDevice(at: found.reference.devicePath)
        let what = "cannot make the device of '\(volume.name)' its switch"
        if let holder = try device.holders().first {
            throw Failure(
                .busy, what, why: "the device \(holder) is built on it", remedy: "see 'lsblk' and 'dmsetup ls --tree'")
        }
        if let mount = try device.mountPoints().first {
            throw Failure(.busy, what, why: "it is mounted on \(mount)", remedy: "umount \(mount)")
        }
    }
}

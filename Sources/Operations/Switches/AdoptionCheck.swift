import DeviceMapper
import HostModel
import Storage

/// Whether the device of an LV can become a switch. Pure.
struct AdoptionCheck: Sendable {
    var volume: VolumeName
    var found: LogicalVolume
    var group: VolumeGroup
    /// The LV's device, as the kernel has it.
    var device: MappedDevice?

    /// - Parameter others: every device that LVM has made.
    /// - Throws: `.refused` where LVM has, or may have, more to do with the device than to lead it to extents.
    func pass(others: [MappedDevice]) throws(Failure) {
        guard let why = objection(others) else { return }
        throw Failure(
            .refused, "cannot make the device of '\(volume)' its switch while it is in use", why: why,
            remedy: "save and restore its domain once with 'xenlvs domain prepare DOMAIN --now'")
    }

    private func objection(_ others: [MappedDevice]) -> String? {
        if group.isExported || !group.isWriteable || group.missingPhysicalVolumes > 0 {
            return "its group cannot be changed: it is exported, read-only or incomplete"
        }
        if !found.layout.isSubset(of: ["linear", "striped"]) || found.isReadOnly || found.health != nil {
            return "the LV is not a plain one (\(found.layout.sorted().joined(separator: ", ")))"
        }
        if !found.role.isSubset(of: ["public"]) {
            return "LVM has more to do with it (\(found.role.sorted().joined(separator: ", ")))"
        }
        guard let device, let table = device.table, device.number == found.device else {
            return "the kernel does not have the device that LVM says"
        }
        if device.isSuspended || device.hasInactiveTable { return "something is changing its device" }
        if let kind = table.targets.first(where: { !["linear", "striped"].contains($0.type) })?.type {
            return "its device has a table of the kind '\(kind)'"
        }
        // As while it is moved.
        let below = Set(others.map(\.number.description))
        let words = table.targets.flatMap { $0.parameters.split(separator: " ").map(String.init) }
        return words.contains(where: below.contains) ? "it lies on another device of LVM's, as while it is moved" : nil
    }
}

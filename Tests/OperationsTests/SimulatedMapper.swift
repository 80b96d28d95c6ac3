import DeviceMapper
import HostModel
import Storage
import Synchronization

/// A device-mapper in memory, which notes what was changed.
final class SimulatedMapper: MappedDevices {
    private struct State {
        var devices: [MappedDevice] = []
        var changes: [String] = []
    }

    private let state = Mutex(State())

    /// What the kernel and udev show of a device that has come, changed or (nil) gone.
    private let show: @Sendable (_ name: String, MappedDevice?) -> Void

    init(
        _ devices: [MappedDevice] = [], show: @escaping @Sendable (_ name: String, MappedDevice?) -> Void = { _, _ in }
    ) {
        self.show = show
        state.withLock { $0.devices = devices }
    }

    var changes: [String] { state.withLock { $0.changes } }
    var devices: [MappedDevice] { state.withLock { $0.devices } }

    func find(name: String) throws(Failure) -> MappedDevice? { devices.first { $0.name == name } }
    func find(uuid: String) throws(Failure) -> MappedDevice? { devices.first { $0.uuid == uuid } }
    func all() throws(Failure) -> [MappedDevice] { devices.filter(\.isOurs) }
    func madeByLVM() throws(Failure) -> [MappedDevice] { devices.filter { $0.uuid.hasPrefix("LVM-") } }

    func create(_ identity: MappedIdentity, _ table: MappingTable) throws(Failure) {
        note("create \(identity.name)")
        state.withLock {
            let number = BlockDeviceNumber(major: 253, minor: 100 + UInt32($0.devices.count))
            $0.devices.append(
                MappedDevice(
                    name: identity.name, uuid: identity.uuid, number: number, isSuspended: false, table: table,
                    hasInactiveTable: false, openCount: 0))
        }
        show(identity.name, try find(name: identity.name))
    }

    func change(
        _ identity: MappedIdentity, to table: MappingTable, limit: Duration, isFlushing: Bool
    ) throws(Failure) -> TableChange {
        try require(identity)
        note("change \(identity.name) to \(table)")
        edit(identity) { $0.table = table }
        show(identity.name, try find(name: identity.name))
        return TableChange(stall: .milliseconds(1))
    }

    func rename(_ identity: MappedIdentity, to next: MappedIdentity) throws(Failure) {
        guard try find(uuid: identity.uuid) != nil, try find(name: next.name) == nil else {
            throw Failure(.refused, "cannot rename \(identity.name)")
        }
        note("rename \(identity.name) to \(next.name)")
        edit(identity) { $0.name = next.name }
        show(next.name, try find(name: next.name))
    }

    func resume(_ identity: MappedIdentity) throws(Failure) {
        try require(identity)
        note("resume \(identity.name)")
        edit(identity) { $0.isSuspended = false }
    }

    func remove(_ identity: MappedIdentity) throws(Failure) {
        guard let found = try find(uuid: identity.uuid) else { return }
        try found.require(identity)
        guard found.openCount == 0 else { throw Failure(.busy, "\(identity.name) is open") }
        note("remove \(identity.name)")
        state.withLock { $0.devices.removeAll { $0.uuid == identity.uuid } }
        show(identity.name, nil)
    }

    func status(_ identity: MappedIdentity) throws(Failure) -> MultipathStatus? {
        guard let map = try find(uuid: identity.uuid)?.table?.multipath else { return nil }
        return MultipathStatus(
            groups: map.groups.map { group in
                MultipathStatus.Group(
                    state: .active, paths: group.paths.map { .init(device: $0, isActive: true, failures: 0) })
            })
    }

    /// Everything that is in a mirror is copied at once.
    func mirrorStatus(_ identity: MappedIdentity) throws(Failure) -> MirrorStatus? {
        guard let (target, window) = try find(uuid: identity.uuid)?.table?.mirror else { return nil }
        let regions = Int((window + target.regionSectors - 1) / target.regionSectors)
        return MirrorStatus(synced: regions, regions: regions)
    }

    func tell(_ identity: MappedIdentity, _ message: MultipathMessage) throws(Failure) {
        try require(identity)
        note("tell \(identity.name) \(message)")
    }

    private func require(_ identity: MappedIdentity) throws(Failure) {
        guard let found = try find(name: identity.name) else { throw Failure(.notFound, "no \(identity.name)") }
        try found.require(identity)
    }

    private func note(_ change: String) { state.withLock { $0.changes.append(change) } }

    private func edit(_ identity: MappedIdentity, _ body: (inout MappedDevice) -> Void) {
        state.withLock { state in
            for index in state.devices.indices where state.devices[index].uuid == identity.uuid {
                body(&state.devices[index])
            }
        }
    }
}

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

    init(_ devices: [MappedDevice] = []) { state.withLock { $0.devices = devices } }

    var changes: [String] { state.withLock { $0.changes } }
    var devices: [MappedDevice] { state.withLock { $0.devices } }

    func find(name: String) throws(Failure) -> MappedDevice? { devices.first { $0.name == name } }
    func find(uuid: String) throws(Failure) -> MappedDevice? { devices.first { $0.uuid == uuid } }
    func all() throws(Failure) -> [MappedDevice] { devices.filter(\.isOurs) }

    func create(_ identity: MappedIdentity, _ table: MappingTable) throws(Failure) {
        note("create \(identity.name)")
        state.withLock {
            let number = BlockDeviceNumber(major: 253, minor: 100 + UInt32($0.devices.count))
            $0.devices.append(
                MappedDevice(
                    name: identity.name, uuid: identity.uuid, number: number, isSuspended: false, table: table,
                    hasInactiveTable: false, openCount: 0))
        }
    }

    func change(
        _ identity: MappedIdentity, to table: MappingTable, limit: Duration
    ) throws(Failure) -> TableChange {
        try require(identity)
        note("change \(identity.name) to \(table)")
        edit(identity) { $0.table = table }
        return TableChange(stall: .milliseconds(1))
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

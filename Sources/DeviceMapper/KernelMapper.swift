import CDevMapper
import HostModel
import Storage
import Synchronization

/// The kernel's device-mapper, through libdevmapper and, for the one moment that counts, directly (`TableSwitch`).
///
/// Each method looks at the device first: what is not ours is refused and stays as it is.
public struct KernelMapper: MappedDevices {
    public init() {}

    /// libdevmapper keeps its connection to the kernel in globals, without a lock.
    private static let turn = Mutex(false)

    private func inTurn<Value: Sendable>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        try Self.turn.withLock { isQuiet throws(Failure) -> Value in
            if !isQuiet {
                xenlvs_dm_be_quiet()
                isQuiet = true
            }
            return try body()
        }
    }

    public func find(name: String) throws(Failure) -> MappedDevice? {
        try inTurn { () throws(Failure) in try MapperTask.find(name: name) }
    }

    public func find(uuid: String) throws(Failure) -> MappedDevice? {
        try inTurn { () throws(Failure) in try MapperTask.find(uuid: uuid) }
    }

    public func all() throws(Failure) -> [MappedDevice] {
        try inTurn { () throws(Failure) in
            var devices: [MappedDevice] = []
            for name in try MapperTask.names() {
                guard var device = try MapperTask.find(name: name, readsTable: false), device.isOurs else { continue }
                device.table = try MapperTask.table(of: name)
                devices.append(device)
            }
            return devices.sorted { $0.name < $1.name }
        }
    }

    public func madeByLVM() throws(Failure) -> [MappedDevice] {
        try inTurn { () throws(Failure) in
            var devices: [MappedDevice] = []
            for name in try MapperTask.names() {
                if let device = try MapperTask.find(name: name, readsTable: false), device.uuid.hasPrefix("LVM-") {
                    devices.append(device)
                }
            }
            return devices
        }
    }

    public func create(_ identity: MappedIdentity, _ table: MappingTable) throws(Failure) {
        try inTurn { () throws(Failure) in
            let what = "cannot make the device \(identity.path)"
            let known = try find(identity)
            guard known?.table == nil else { throw Failure(.refused, what, why: "it is there already") }
            if known == nil { try MapperTask.create(identity, doing: what) }
            do throws(Failure) {
                try MapperTask.load(identity, table, doing: what)
                try MapperTask.resume(identity, doing: what)
            } catch {
                // A device without a table would be taken for one of a run that was killed here.
                try? MapperTask.remove(identity, doing: what)
                throw error
            }
            guard let made = try find(identity), made.table?.leadsLike(table) == true, !made.isSuspended else {
                throw Failure(.failed, what, why: "it was made, but has not the table that it was given")
            }
        }
    }

    public func rename(_ identity: MappedIdentity, to next: MappedIdentity) throws(Failure) {
        try inTurn { () throws(Failure) in
            let what = "cannot give the device \(identity.path) the name \(next.name)"
            guard let found = try MapperTask.find(uuid: identity.uuid), identity.uuid == next.uuid else {
                throw Failure(.notFound, what, why: "it is not there")
            }
            if found.name == next.name { return }
            try found.require(identity)
            if let other = try MapperTask.find(name: next.name) {
                throw Failure(
                    .refused, what, why: "another device has it, with the UUID '\(other.uuid)'",
                    remedy: "see 'dmsetup info \(next.name)' whose it is; rename or remove it")
            }
            try MapperTask.rename(identity, to: next, doing: what)
        }
    }

    public func change(
        _ identity: MappedIdentity, to table: MappingTable, limit: Duration, isFlushing: Bool
    ) throws(Failure) -> TableChange {
        try inTurn { () throws(Failure) in
            let what = "cannot change what \(identity.path) leads to"
            let known = try existing(identity, doing: what)
            guard let former = known.table else {
                throw Failure(.inconsistent, what, why: "it has no table yet", remedy: "run 'xenlvs recover'")
            }
            guard former.sectors <= table.sectors else {
                throw Failure(
                    .refused, what,
                    why: "it has \(former.sectors) sectors and would have \(table.sectors): a guest's disk "
                        + "never becomes smaller")
            }
            // What a killed run has left would be what a resume brings in.
            if known.hasInactiveTable { try MapperTask.clear(identity, doing: what) }
            if known.isSuspended { try MapperTask.resume(identity, doing: what) }
            let change = try TableSwitch(identity, isFlushing: isFlushing, doing: what)
            try MapperTask.load(identity, table, doing: what)
            let stall: Duration
            do throws(Failure) { stall = try change.perform(limit: limit) } catch {
                // The next resume would bring in what is loaded.
                try? MapperTask.clear(identity, doing: what)
                throw error
            }
            guard let now = try find(identity), now.table?.leadsLike(table) == true, !now.isSuspended else {
                throw Failure(
                    .inconsistent, what, why: "it was changed, but does not show the table that it was given",
                    remedy: "see 'dmsetup table \(identity.name)'")
            }
            return TableChange(stall: stall)
        }
    }

    public func resume(_ identity: MappedIdentity) throws(Failure) {
        try inTurn { () throws(Failure) in
            let what = "cannot let \(identity.path) go on"
            let known = try existing(identity, doing: what)
            guard known.isSuspended, known.table != nil else { return }
            if known.hasInactiveTable { try MapperTask.clear(identity, doing: what) }
            try MapperTask.resume(identity, doing: what)
        }
    }

    public func remove(_ identity: MappedIdentity) throws(Failure) {
        try inTurn { () throws(Failure) in
            // What has the name and another UUID is a stranger's, and none of ours is there.
            guard let found = try MapperTask.find(uuid: identity.uuid) else { return }
            try found.require(identity)
            try MapperTask.remove(identity, doing: "cannot remove the device \(identity.path)")
        }
    }

    public func status(_ identity: MappedIdentity) throws(Failure) -> MultipathStatus? {
        try inTurn { () throws(Failure) in
            guard try find(identity)?.table != nil else { return nil }
            return try MapperTask.status(identity).flatMap(MultipathStatus.init(parameters:))
        }
    }

    public func mirrorStatus(_ identity: MappedIdentity) throws(Failure) -> MirrorStatus? {
        try inTurn { () throws(Failure) in
            guard try find(identity)?.table?.mirror != nil else { return nil }
            return try MapperTask.status(identity).flatMap(MirrorStatus.init(parameters:))
        }
    }

    public func tell(_ identity: MappedIdentity, _ message: MultipathMessage) throws(Failure) {
        try inTurn { () throws(Failure) in
            _ = try existing(identity, doing: "cannot tell \(identity.path) '\(message)'")
            try MapperTask.tell(identity, message.description)
        }
    }

    private func existing(_ identity: MappedIdentity, doing what: String) throws(Failure) -> MappedDevice {
        guard let device = try find(identity) else {
            throw Failure(.notFound, what, why: "it is not there", remedy: "run 'xenlvs recover'")
        }
        return device
    }

    /// The device of this identity; nil where neither its name nor its UUID is taken. Throws `.refused` for a stranger.
    private func find(_ identity: MappedIdentity) throws(Failure) -> MappedDevice? {
        let found =
            if let named = try MapperTask.find(name: identity.name) { named } else {
                try MapperTask.find(uuid: identity.uuid)
            }
        try found?.require(identity)
        return found
    }
}

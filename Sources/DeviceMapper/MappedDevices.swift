import HostModel
import Storage

/// Device-mapper, as far as xenlvs changes it. All of it blocks; `KernelMapper` is the real one.
public protocol MappedDevices: Sendable {
    /// The device of this name; nil where there is none.
    func find(name: String) throws(Failure) -> MappedDevice?
    /// The device with this UUID, whatever its name; nil where there is none.
    func find(uuid: String) throws(Failure) -> MappedDevice?
    /// Every device of ours.
    func all() throws(Failure) -> [MappedDevice]
    /// Every device that LVM has made, without tables: those of LVs, and what lies below some of them.
    func madeByLVM() throws(Failure) -> [MappedDevice]
    /// Makes a device with a table, and waits for its node. A device of ours that has no table yet gets it.
    func create(_ identity: MappedIdentity, _ table: MappingTable) throws(Failure)
    /// Gives a device another name, whoever has it open. Its UUID stays. Nothing happens where it has that name.
    func rename(_ identity: MappedIdentity, to next: MappedIdentity) throws(Failure)
    /// Changes the table below whoever has the device open. Where that cannot be done the device has its former table and
    /// is not suspended.
    /// - Parameters:
    ///   - limit: how long requests that are under way may keep the change waiting.
    ///   - isFlushing: they come to their end before; otherwise they are begun anew after the change, as those that wait
    ///     for a path have to be.
    func change(
        _ identity: MappedIdentity, to table: MappingTable, limit: Duration, isFlushing: Bool
    ) throws(Failure) -> TableChange
    /// How the kernel has the paths of a map; nil where there is none.
    func status(_ identity: MappedIdentity) throws(Failure) -> MultipathStatus?
    /// How the kernel has the mirror of a device whose table begins with one; nil for any other.
    func mirrorStatus(_ identity: MappedIdentity) throws(Failure) -> MirrorStatus?
    /// Says something to a map.
    func tell(_ identity: MappedIdentity, _ message: MultipathMessage) throws(Failure)
    /// Lets a device go on that was left suspended, with the table that it has. One that is not suspended stays as it is.
    func resume(_ identity: MappedIdentity) throws(Failure)
    /// Removes a device. Nothing happens where there is none, or a stranger has its name; `.busy` where it is open.
    func remove(_ identity: MappedIdentity) throws(Failure)
}

extension MappedDevices {
    /// As above, requests being brought to their end before.
    public func change(
        _ identity: MappedIdentity, to table: MappingTable, limit: Duration
    ) throws(Failure) -> TableChange {
        try change(identity, to: table, limit: limit, isFlushing: true)
    }
}

/// How a change of a table went.
public struct TableChange: Sendable, Equatable {
    /// How long requests stood still at most: the time of the one system call that does it.
    public var stall: Duration

    public init(stall: Duration) { self.stall = stall }
}

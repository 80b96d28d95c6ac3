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
    /// Makes a device with a table, and waits for its node. A device of ours that has no table yet gets it.
    func create(_ identity: MappedIdentity, _ table: MappingTable) throws(Failure)
    /// Changes the table below whoever has the device open. Where that cannot be done the device has its former table and
    /// is not suspended.
    /// - Parameter limit: how long requests that are under way may keep the change waiting.
    func change(_ identity: MappedIdentity, to table: MappingTable, limit: Duration) throws(Failure) -> TableChange
    /// Lets a device go on that was left suspended, with the table that it has. One that is not suspended stays as it is.
    func resume(_ identity: MappedIdentity) throws(Failure)
    /// Removes a device. Nothing happens where there is none, or a stranger has its name; `.busy` where it is open.
    func remove(_ identity: MappedIdentity) throws(Failure)
}

/// How a change of a table went.
public struct TableChange: Sendable, Equatable {
    /// How long requests stood still at most: the time of the one system call that does it.
    public var stall: Duration

    public init(stall: Duration) { self.stall = stall }
}

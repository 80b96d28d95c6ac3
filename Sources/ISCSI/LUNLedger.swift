import HostModel

/// Which LUN of which target has ever been which device.
///
/// An initiator that still has a LUN's disk would read and write another volume under its name: a LUN of a target so
/// belongs to one device for good, also when that has long been removed.
public struct LUNLedger: Sendable, Equatable, Codable {
    public struct Entry: Sendable, Equatable, Codable {
        public var target: ISCSIName
        public var lun: Int
        public var identity: DeviceIdentity
    }

    public private(set) var entries: [Entry] = []

    public init() {}

    /// The LUN of a device on a target: as it was, as it is asked for, or the next that was never used.
    /// - Throws: `.refused` where the one asked for was another device, and where none is left.
    public mutating func lun(
        of identity: DeviceIdentity, on target: ISCSIName, wanted: Int? = nil
    ) throws(Failure) -> Int {
        let known = entries.filter { $0.target == target }
        if let wanted {
            if let other = known.first(where: { $0.lun == wanted && $0.identity != identity }) {
                throw Failure(
                    .refused, "LUN \(wanted) of \(target) cannot be given out again",
                    why: "it was the device \(other.identity), and an initiator may still take it for that",
                    remedy: "ask for another LUN, or for none")
            }
            record(Entry(target: target, lun: wanted, identity: identity))
            return wanted
        }
        if let entry = known.last(where: { $0.identity == identity }) { return entry.lun }
        let next = known.map(\.lun).max().map { $0 + 1 } ?? ISCSIExport.luns.lowerBound
        guard ISCSIExport.luns.contains(next) else {
            throw Failure(
                .refused, "\(target) has no LUN left", why: "none is given out twice", remedy: "use another target name"
            )
        }
        record(Entry(target: target, lun: next, identity: identity))
        return next
    }

    /// The latest use stands last.
    private mutating func record(_ entry: Entry) {
        entries.removeAll { $0 == entry }
        entries.append(entry)
    }
}

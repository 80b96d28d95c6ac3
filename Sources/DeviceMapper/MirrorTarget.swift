import Storage

/// A line `mirror` of a device-mapper table, as far as xenlvs makes such (`mirror_ctr`, drivers/md/dm-raid1.c): what is
/// written goes to both devices, and what the second does not have yet is copied from the first.
///
/// With `handle_errors`, always: a write that one of the two has refused is held back until the table is exchanged. Without
/// it, one that only the first has refused would be called done.
public struct MirrorTarget: Hashable, Sendable {
    /// What the kernel notes down of regions that are the same on both.
    public enum Log: Hashable, Sendable {
        /// On a device: a copy goes on with it after a crash, and grows with the line. An empty one says that nothing is the
        /// same.
        case disk(BlockDeviceNumber)
        /// In memory alone, and everything is said to be the same.
        case synced
    }

    public var log: Log
    /// What is copied, and noted down, as one; a power of two. Writes to it wait while it is copied.
    public var regionSectors: UInt64
    public var source: BlockDeviceNumber
    public var copy: BlockDeviceNumber

    public init(log: Log, regionSectors: UInt64, source: BlockDeviceNumber, copy: BlockDeviceNumber) {
        self.log = log
        self.regionSectors = regionSectors
        self.source = source
        self.copy = copy
    }

    /// `disk 2 253:7 1024 2 253:5 0 253:6 0 1 handle_errors`.
    var parameters: String {
        let log =
            switch log {
            case .disk(let device): "disk 2 \(device) \(regionSectors)"
            case .synced: "core 2 \(regionSectors) nosync"
            }
        return "\(log) 2 \(source) 0 \(copy) 0 1 handle_errors"
    }

    /// Reads what the kernel prints. Nil for what xenlvs makes no tables with.
    init?(parameters: String) {
        var words = WordReader(parameters)
        let kind = words.next()
        guard let arguments = words.counted(), arguments.count == 2 else { return nil }
        switch kind {
        case "disk":
            guard let device = BlockDeviceNumber(parsing: arguments[0]), let size = UInt64(arguments[1]) else {
                return nil
            }
            (log, regionSectors) = (.disk(device), size)
        case "core":
            guard let size = UInt64(arguments[0]), arguments[1] == "nosync" else { return nil }
            (log, regionSectors) = (.synced, size)
        default: return nil
        }
        guard words.number() == 2, let source = words.next().flatMap(BlockDeviceNumber.init(parsing:)),
            words.number() == 0, let copy = words.next().flatMap(BlockDeviceNumber.init(parsing:)), words.number() == 0,
            words.counted() == ["handle_errors"], words.isAtEnd
        else { return nil }
        (self.source, self.copy) = (source, copy)
    }
}

/// How the kernel has a mirror (`mirror_status`, drivers/md/dm-raid1.c).
public struct MirrorStatus: Hashable, Sendable {
    /// What is wrong with a device; nil while nothing is.
    public enum Trouble: String, Hashable, Sendable {
        case write = "D"
        case flush = "F"
        case copying = "S"
        case read = "R"
        case unknown = "U"
    }

    /// Regions that are the same on both.
    public var synced: Int
    public var regions: Int
    public var source: Trouble?
    public var copy: Trouble?
    public var log: Trouble?

    public init(
        synced: Int, regions: Int, source: Trouble? = nil, copy: Trouble? = nil, log: Trouble? = nil
    ) {
        (self.synced, self.regions) = (synced, regions)
        (self.source, self.copy, self.log) = (source, copy, log)
    }

    /// Nothing has failed.
    public var isWell: Bool { source == nil && copy == nil && log == nil }
    /// Both are the same, and stay so as long as nothing fails.
    public var isWhole: Bool { isWell && synced == regions }

    /// Reads the parameters of `dmsetup status`: `2 253:5 253:6 100/128 1 AA 3 disk 253:7 A`. Nil for anything else.
    public init?(parameters: String) {
        var words = WordReader(parameters)
        guard let legs = words.counted(), legs.count == 2, let share = words.next()?.split(separator: "/"),
            share.count == 2, let synced = Int(share[0]), let regions = Int(share[1]), (0...regions).contains(synced),
            let letters = words.counted()?.first, letters.utf8.count == 2, let log = words.counted(), words.isAtEnd
        else { return nil }
        (self.synced, self.regions) = (synced, regions)
        (source, copy) = (Self.trouble(letters.prefix(1)), Self.trouble(letters.suffix(1)))
        self.log = log.count == 3 ? Self.trouble(log[2]) : nil
    }

    private static func trouble(_ letter: Substring) -> Trouble? {
        letter == "A" ? nil : Trouble(rawValue: String(letter)) ?? .unknown
    }
}

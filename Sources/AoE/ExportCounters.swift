/// What a target has done since it was exported. Plain numbers: they only ever grow.
public struct ExportCounters: Sendable, Codable, Equatable {
    /// Frames for the target that were looked at.
    public var frames: UInt64 = 0
    public var reads: UInt64 = 0
    public var writes: UInt64 = 0
    public var flushes: UInt64 = 0
    public var trims: UInt64 = 0
    public var sectorsRead: UInt64 = 0
    public var sectorsWritten: UInt64 = 0
    /// Requests that the backing has failed.
    public var errors: UInt64 = 0
    /// Writes that had been carried out before: frames that came twice, or were sent again.
    public var copies: UInt64 = 0
    /// Frames that found no room, and answers that could not be sent: initiators send such requests again. Also changes
    /// of what clients set that were refused because there were too many (`SaveBudget`).
    public var dropped: UInt64 = 0

    public init() {}
}

/// A target's numbers at one moment.
public struct ExportStatistics: Sendable, Codable, Equatable {
    public var counters: ExportCounters
    /// From when a request is taken to when its answer is handed to the interface.
    public var readLatency: LatencySnapshot
    public var writeLatency: LatencySnapshot
    /// Since a client last read or wrote, and which one it was; nil where none has.
    public var idleMilliseconds: Int64?
    public var lastClient: String?
    public var requestsUnderWay: Int
}

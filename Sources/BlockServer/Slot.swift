/// When a write counts as done.
public enum Durability: String, Sendable, Codable, CaseIterable {
    /// When it is on stable storage. Writes that wait at the same time share one fdatasync.
    case durable
    /// When it is written to the page cache, or to the device and perhaps its cache; a flush is still real.
    case writeback
}

/// What a request asks for.
public enum BlockOperation: UInt8, Sendable {
    case read
    /// Reads and keeps nothing.
    case verify
    case write
    case flush
    case trim

    /// Whether it changes sectors, so that its order matters to others on the same sectors.
    var changes: Bool {
        switch self {
        case .write, .trim: true
        case .read, .verify, .flush: false
        }
    }
}

/// The life of a slot: `free → taken → queued → running → (unsynced → syncing) → done → free`.
enum SlotState: UInt8 {
    case free
    /// Given out by `take`.
    case taken
    /// Waiting for overlapping requests before it, or for its turn.
    case queued
    /// In the kernel, or a mapped read whose bytes are still in use.
    case running
    /// Written; waiting for a sync to begin.
    case unsynced
    /// Covered by the sync that is under way.
    case syncing
    /// Waiting to be taken by `nextCompletion`, or by its owner to be released.
    case done
}

/// One request of an engine. Only plain values: slots lie in memory that is allocated once.
struct Slot {
    var state = SlotState.free
    var operation = BlockOperation.read
    /// A member of a merged transfer that failed is tried again alone, so that one bad sector costs only its own request.
    var isAlone = false
    /// Whether the blocks around an unaligned write have been read.
    var isFilled = false
    /// The bytes asked for; of a trim `length` is the number of its ranges.
    var offset: Int64 = 0
    var length = 0
    /// What is transferred: the bytes asked for, extended to whole blocks.
    var start: Int64 = 0
    var end: Int64 = 0
    /// Its place in the order of arrival.
    var sequence: UInt64 = 0
    /// Where the bytes that were asked for are, or are to be read into. Points into the engine's memory, the backing's
    /// mapping or, until `submit` returns, the caller's.
    var data: UnsafeMutableRawPointer?
    /// The number of its buffer in the pool.
    var buffer: Int32 = 0
    /// The next slot of the list or merged transfer that it is in; -1 at the end.
    var next: Int32 = -1
    /// Its place among the running ones.
    var position: Int32 = -1
    /// 0, or the error (errno).
    var result: Int32 = 0

    /// Whether the two must run in the order in which they arrived.
    func conflicts(with other: Slot) -> Bool {
        (operation.changes || other.operation.changes) && start < other.end && other.start < end
    }
}

/// A range of a trim, in bytes.
struct TrimRange {
    static let limit = 64
    var offset: Int64
    var length: Int64
}

/// A list of slots, linked through `Slot.next`, first in first out.
struct SlotList {
    private(set) var first: Int32 = -1
    private var last: Int32 = -1

    var isEmpty: Bool { first < 0 }

    mutating func append(_ index: Int32, in slots: UnsafeMutablePointer<Slot>) {
        slots[Int(index)].next = -1
        if last >= 0 { slots[Int(last)].next = index } else { first = index }
        last = index
    }

    mutating func removeFirst(in slots: UnsafeMutablePointer<Slot>) -> Int32 {
        let index = first
        first = slots[Int(index)].next
        if first < 0 { last = -1 }
        return index
    }
}

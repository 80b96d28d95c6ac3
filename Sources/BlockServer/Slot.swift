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

/// The life of a slot: `free → taken → queued → running → (unsynced) → done → free`.
enum SlotState: UInt8 {
    case free
    /// Given out by `take`.
    case taken
    /// Waiting for overlapping requests before it, or for its turn.
    case queued
    /// In the kernel, or a mapped read whose bytes are still in use.
    case running
    /// Written; waiting for a sync to begin or to end.
    case unsynced
    /// Waiting to be taken by `nextCompletion`, or by its owner to be released.
    case done
}

/// One request. Only plain values: slots lie in memory that is allocated once, each in one line of the processor's cache.
struct Slot {
    var state = SlotState.free
    var operation = BlockOperation.read
    /// A member of a merged transfer that failed is tried again alone, so that one bad sector costs only its own request.
    var isAlone = false
    /// Whether the blocks around an unaligned write have been read.
    var isFilled = false
    /// 0, or the error (errno).
    var result: Int32 = 0
    /// The next slot of the list or merged transfer that it is in; -1 at the end.
    var next: Int32 = -1
    /// Its neighbours among the running ones; -1 at the ends.
    var runningBefore: Int32 = -1
    var runningAfter: Int32 = -1
    private var shortLength: Int32 = 0
    /// Where the bytes asked for begin.
    var offset: Int64 = 0
    /// What is transferred: the bytes asked for, extended to whole blocks.
    var start: Int64 = 0
    var end: Int64 = 0
    /// Its place in the order of arrival.
    var sequence: UInt64 = 0
    /// Where the bytes that were asked for are, or are to be read into. Points into the pool's memory, the backing's
    /// mapping or, until `submit` returns, the caller's.
    var data: UnsafeMutableRawPointer?

    /// How many bytes are asked for; of a trim the number of its ranges.
    var length: Int {
        get { Int(shortLength) }
        set { shortLength = Int32(truncatingIfNeeded: newValue) }
    }

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

    /// The blocks of `size` bytes that lie in it from end to end; of no length where there is none.
    func wholeBlocks(of size: Int64) -> TrimRange {
        let first = (offset + size - 1) / size * size
        let end = (offset + length) / size * size
        return TrimRange(offset: first, length: max(0, end - first))
    }
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

    /// Puts a slot to its place in a list that is in the order of arrival.
    mutating func insert(_ index: Int32, in slots: UnsafeMutablePointer<Slot>) {
        var earlier: Int32 = -1
        var later = first
        while later >= 0, slots[Int(later)].sequence < slots[Int(index)].sequence {
            earlier = later
            later = slots[Int(later)].next
        }
        slots[Int(index)].next = later
        if earlier >= 0 { slots[Int(earlier)].next = index } else { first = index }
        if later < 0 { last = index }
    }
}

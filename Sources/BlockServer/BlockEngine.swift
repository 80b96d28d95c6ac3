import CAIO
import CLinux
import Glibc
import HostModel
import Synchronization

/// Reads and writes one backing asynchronously, with the memory of a `BlockPool`.
///
/// Requests live in numbered slots of the pool: `take` one, name its request (`read`, `write`, `flush`, `trim`), `submit`
/// the batch, and later take what is done with `nextCompletion` and give the slot back with `release`. The kernel gets
/// what `submit` has started by the pool's `submit`. What overlaps and
/// changes sectors runs in the order of arrival; adjacent requests of a batch become one transfer; a request that is not
/// made of whole blocks of the backing is read, changed and written. Nothing here blocks but trims, and transfers
/// through the page cache, which the kernel would do within `io_submit` just the same.
///
/// One thread at a time. Raw pointers, because the kernel writes into the memory while no call is under way, and because
/// a request must cost neither an allocation nor a reference count.
public struct BlockEngine: ~Copyable {
    /// Never used. What has one is passed by its address; anything else that cannot be copied the compiler passes by a
    /// bitwise copy of the whole, even to read one member of it.
    private let keepsItsPlace = Atomic<Bool>(false)
    public private(set) var backing: Backing
    public let depth: Int
    public let durability: Durability
    /// What tells the engine's completions from those of others on the same pool, 0 to 65535. Not to be changed while
    /// requests are under way.
    public var number = 0

    /// The result of a transfer that ended before its last byte.
    public static let shortTransfer = ENODATA

    let shared: UnsafeMutablePointer<BlockPool.Shared>
    /// The pool's.
    let slots: UnsafeMutablePointer<Slot>
    /// Slots that were taken and not given back.
    private var usedCount = 0
    /// Requests that wait, in the order of arrival.
    var queue = SlotList()
    /// The first of the requests under way, in no order; -1 for none.
    var firstRunning: Int32 = -1
    /// Of those that are queued or running, the ones that change sectors.
    var changingCount = 0
    var nextSequence: UInt64 = 0
    var completed = SlotList()
    var unsynced = SlotList()
    var syncing = SlotList()
    var isSyncing = false
    /// Syncs that were begun so far.
    var syncCount = 0

    /// The pool of an engine that shares none.
    let ownPool: BlockPool?
    /// The whole backing, where it goes through the page cache: reads need no copy. Never touched by this process itself:
    /// system calls answer EFAULT for a page that cannot be read, where a touch would be SIGBUS.
    private(set) var mapping: UnsafeMutableRawPointer?
    private var mappedLength: Int
    /// Mappings of before the backing grew: reads may still be under way from them.
    private var formerMappings: [(start: UnsafeMutableRawPointer, length: Int)] = []
    /// Whether the mapping may be used for the batch that is being started, once `hasLooked`.
    var mapsWhole = false
    var hasLooked = false

    var transfer = Transfer()

    /// An engine with a pool of its own.
    /// - Parameters:
    ///   - depth: the most slots at a time, 2 to 1024.
    ///   - maximumTransfer: the most bytes of one request; a multiple of 512, at most 128 KiB.
    ///   - usesRing: whether io_uring is to be used where there is one.
    /// Throws `.failed` where the kernel has no room for another AIO context.
    public init(
        backing: consuming Backing, depth: Int, maximumTransfer: Int, durability: Durability, usesRing: Bool = true
    ) throws(Failure) {
        let pool = try BlockPool(
            requests: depth, maximumTransfer: maximumTransfer, usesRing: usesRing,
            doing: "cannot serve \(backing.path)")
        let shared = pool.handle.shared
        self.init(backing, depth, durability, shared, pool)
    }

    /// An engine on a pool, which must outlive it.
    public init(backing: consuming Backing, depth: Int, durability: Durability, sharing pool: BlockPool.Handle) {
        self.init(backing, depth, durability, pool.shared, nil)
    }

    private init(
        _ backing: consuming Backing, _ depth: Int, _ durability: Durability,
        _ shared: UnsafeMutablePointer<BlockPool.Shared>, _ pool: consuming BlockPool?
    ) {
        precondition((2...1024).contains(depth))
        self.shared = shared
        slots = shared.pointee.slots
        ownPool = pool
        mapping = backing.isDirect ? nil : Self.map(backing)
        mappedLength = Int(backing.size.bytes)
        self.depth = depth
        self.durability = durability
        self.backing = backing
    }

    deinit {
        // On a pool of others nothing may be under way here; the kernel would write into memory that has gone.
        precondition(ownPool != nil || shared.pointee.isStopped || isIdle)
        if let mapping { munmap(mapping, mappedLength) }
        for former in formerMappings { munmap(former.start, former.length) }
    }

    /// Takes the backing's present size where it has grown. Returns whether it has; one that has become smaller stays
    /// as it was, and what lies behind its end fails. Throws `.refused` for a size that cannot be served.
    public mutating func grow() throws(Failure) -> Bool {
        guard try backing.grow() else { return false }
        if let mapping {
            if isIdle { releaseFormerMappings() }
            formerMappings.append((mapping, mappedLength))
        }
        mapping = backing.isDirect ? nil : Self.map(backing)
        mappedLength = Int(backing.size.bytes)
        return true
    }

    private mutating func releaseFormerMappings() {
        for former in formerMappings { munmap(former.start, former.length) }
        formerMappings = []
    }

    private static func map(_ backing: borrowing Backing) -> UnsafeMutableRawPointer? {
        let address = mmap(nil, Int(backing.size.bytes), PROT_READ, MAP_SHARED, backing.descriptor, 0)
        return address == MAP_FAILED ? nil : address
    }

    /// Whether a slot can be taken.
    public var hasFreeSlot: Bool { usedCount < depth && shared.pointee.freeCount > 0 }
    /// Slots with a request.
    public var usedSlots: Int { usedCount }
    /// Nothing is waiting, under way or yet to be taken.
    public var isIdle: Bool { usedCount == 0 }
    /// Something waits that may start now and that no completion will start: call `submit`.
    public var isReady: Bool { !queue.isEmpty && firstRunning < 0 }
    /// `submit` has something to look at.
    public var hasWork: Bool { !queue.isEmpty || transfer.leader >= 0 || !unsynced.isEmpty && !isSyncing }

    /// A free slot; nil where all are in use.
    public mutating func take() -> Int? {
        if !hasFreeSlot { return nil }
        usedCount += 1
        shared.pointee.freeCount -= 1
        let index = Int(shared.pointee.free[shared.pointee.freeCount])
        slots[index].state = .taken
        return index
    }

    /// Asks for bytes. `keepsBytes: false` only finds out whether they can be read.
    public mutating func read(_ slot: Int, offset: Int64, length: Int, keepsBytes: Bool = true) {
        enqueue(slot, keepsBytes ? .read : .verify, offset, length, nil)
    }

    /// Asks for `length` bytes to be written. `bytes` must stay as they are until `submit` returns.
    public mutating func write(_ slot: Int, offset: Int64, length: Int, from bytes: UnsafeRawPointer) {
        // Never written through: only kept beside the addresses that are.
        enqueue(slot, .write, offset, length, UnsafeMutableRawPointer(mutating: bytes))
    }

    /// Asks for everything that arrived before to be on stable storage.
    public mutating func flush(_ slot: Int) { enqueue(slot, .flush, 0, 0, nil) }

    /// Asks for the space of ranges to be given back; name them with `addTrim` before `submit`. No other request is
    /// under way meanwhile.
    public mutating func trim(_ slot: Int) {
        enqueue(slot, .trim, 0, 0, nil)
        slots[slot].end = backing.size.bytes
    }

    /// Adds a range, in bytes, to a trim; at most 64 of them.
    public mutating func addTrim(_ slot: Int, offset: Int64, length: Int64) {
        let count = slots[slot].length
        precondition(slots[slot].operation == .trim && count < TrimRange.limit)
        precondition(offset >= 0 && length >= 0 && length <= backing.size.bytes - offset)
        trimRanges(slot)[count] = TrimRange(offset: offset, length: length)
        slots[slot].length = count + 1
    }

    /// The ranges of a trim lie in the memory of its slot, which it needs for nothing else.
    func trimRanges(_ slot: Int) -> UnsafeMutablePointer<TrimRange> {
        ownBytes(slot).bindMemory(to: TrimRange.self, capacity: TrimRange.limit)
    }

    /// Gives a slot back whose completion was taken, or that was taken and never used.
    public mutating func release(_ slot: Int) {
        switch slots[slot].state {
        // A mapped read: until now its bytes could not be overwritten by a later request.
        case .running: removeRunning(slot)
        case .taken, .done: break
        case .free, .queued, .unsynced: preconditionFailure("slot \(slot) is \(slots[slot].state)")
        }
        slots[slot].state = .free
        shared.pointee.free[shared.pointee.freeCount] = Int32(slot)
        shared.pointee.freeCount += 1
        usedCount -= 1
    }

    /// A slot whose request has ended, the earliest first.
    public mutating func nextCompletion() -> Int? {
        completed.isEmpty ? nil : Int(completed.removeFirst(in: slots))
    }

    /// The slot that `nextCompletion` would return.
    public var firstCompletion: Int? { completed.isEmpty ? nil : Int(completed.first) }

    /// 0, or why the request failed: an `errno`, or `shortTransfer`.
    public func result(of slot: Int) -> Int32 { slots[slot].result }

    /// The bytes of a read that has ended well, until it is released. They may be a mapping: hand them to system calls,
    /// and where one answers EFAULT, call `readAgain`.
    public func bytes(of slot: Int) -> UnsafeMutableRawPointer { slots[slot].data.unsafelyUnwrapped }

    /// Reads a mapped read's bytes into memory, to learn why they could not be used.
    public mutating func readAgain(_ slot: Int) -> Int32 {
        slots[slot].data = ownBytes(slot)
        slots[slot].result = readThroughCache(slot)
        return slots[slot].result
    }

    func ownBytes(_ slot: Int) -> UnsafeMutableRawPointer {
        shared.pointee.memory + slot * shared.pointee.stride
    }

    /// Where the bytes of a write wait for the blocks around them.
    func staging(_ slot: Int) -> UnsafeMutableRawPointer { ownBytes(slot) + shared.pointee.stagingOffset }

    /// What the kernel gives back with a completion.
    func mark(_ leader: Int) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: number << 16 | leader + 1)
    }

    private mutating func enqueue(
        _ slot: Int, _ operation: BlockOperation, _ offset: Int64, _ length: Int, _ data: UnsafeMutableRawPointer?
    ) {
        precondition(slots[slot].state == .taken)
        precondition(offset >= 0 && length >= 0 && Int64(length) <= backing.size.bytes - offset)
        precondition(length <= shared.pointee.maximumTransfer)
        let mask = Int64(backing.blockSize - 1)
        var request = Slot()
        request.state = .queued
        request.operation = operation
        request.offset = offset
        request.length = length
        request.start = offset & ~mask
        request.end = (offset + Int64(length) + mask) & ~mask
        request.data = data
        request.sequence = nextSequence
        nextSequence += 1
        slots[slot] = request
        queue.append(Int32(slot), in: slots)
        if operation.changes { changingCount += 1 }
    }
}

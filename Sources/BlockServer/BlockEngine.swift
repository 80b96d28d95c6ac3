import CAIO
import CLinux
import Glibc
import HostModel

/// Reads and writes one backing asynchronously, with memory that is allocated once.
///
/// Requests live in `depth` numbered slots: `take` one, name its request (`read`, `write`, `flush`, `trim`), `submit`
/// the batch, and later take what is done with `nextCompletion` and give the slot back with `release`. What overlaps and
/// changes sectors runs in the order of arrival; adjacent requests of a batch become one transfer; a request that is not
/// made of whole blocks of the backing is read, changed and written. Nothing here blocks but trims, and transfers
/// through the page cache, which the kernel would do within `io_submit` just the same.
///
/// One thread at a time. Raw pointers, because the kernel writes into the memory while no call is under way, and because
/// a request must cost neither an allocation nor a reference count.
public struct BlockEngine: ~Copyable {
    public let backing: Backing
    public let depth: Int
    /// The most bytes that one request may have.
    public let maximumTransfer: Int
    public let durability: Durability
    /// An eventfd that becomes readable with each transfer that the kernel has ended; then call `reap`.
    public let completionDescriptor: Int32

    /// The result of a transfer that ended before its last byte.
    public static let shortTransfer = ENODATA
    /// The most requests that become one transfer.
    static let mergeLimit = 16

    let slots: UnsafeMutablePointer<Slot>
    /// Slots without a request, the last one given out next, so that few of them stay in the processor's cache.
    let free: UnsafeMutablePointer<Int32>
    var freeCount: Int
    /// Requests that wait, in the order of arrival.
    let queue: UnsafeMutablePointer<Int32>
    var queuedCount = 0
    /// Requests under way, in no order.
    let running: UnsafeMutablePointer<Int32>
    var runningCount = 0
    /// Of those that are queued or running, the ones that change sectors.
    var changingCount = 0
    var nextSequence: UInt64 = 0
    var completed = SlotList()
    var unsynced = SlotList()
    var syncing = SlotList()
    var isSyncing = false
    /// Syncs that were begun so far.
    var syncCount = 0

    /// Each slot's own bytes: first the transfer, aligned for direct I/O, behind it what an unaligned write brings.
    let memory: UnsafeMutableRawPointer
    let memorySize: Int
    let slotStride: Int
    let stagingOffset: Int
    /// The whole backing, where it goes through the page cache: reads need no copy. Never touched by this process itself:
    /// system calls answer EFAULT for a page that cannot be read, where a touch would be SIGBUS.
    let mapping: UnsafeMutableRawPointer?
    /// Whether the mapping may be used for the batch that is being started.
    var mapsWhole = false

    let context: io_context_t
    /// One for each slot, and one for the sync.
    let controls: UnsafeMutablePointer<iocb>
    let vectors: UnsafeMutablePointer<iovec>
    let submissions: UnsafeMutablePointer<UnsafeMutablePointer<iocb>?>
    var submissionCount = 0
    let events: UnsafeMutablePointer<io_event>
    var transfer = Transfer()

    /// - Parameters:
    ///   - depth: slots, 2 to 1024.
    ///   - maximumTransfer: the most bytes of one request; a multiple of 512, at most 128 KiB.
    /// Throws `.failed` where the kernel has no room for another AIO context.
    public init(
        backing: consuming Backing, depth: Int, maximumTransfer: Int, durability: Durability
    ) throws(Failure) {
        precondition((2...1024).contains(depth) && maximumTransfer % 512 == 0 && maximumTransfer <= 128 << 10)
        let what = "cannot serve \(backing.path)"
        // One more than there can be requests: the sync.
        var context: io_context_t?
        let status = io_queue_init(Int32(depth + 1), &context)
        guard status == 0, let context else {
            throw Failure.system(
                what, errno: -status, remedy: status == -EAGAIN ? "raise the sysctl fs.aio-max-nr" : nil)
        }
        let event = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        let page = 4096
        let staging = (maximumTransfer + 2 * backing.blockSize + page - 1) / page * page
        let stride = staging + (backing.blockSize > 512 ? (maximumTransfer + page - 1) / page * page : 0)
        // Pages that no request has used take no memory.
        let memory = mmap(nil, stride * depth, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard event >= 0, let memory, memory != MAP_FAILED else {
            let failure = Failure.system(what)
            io_queue_release(context)
            throw failure
        }
        slots = .allocate(capacity: depth)
        slots.initialize(repeating: Slot(), count: depth)
        free = .allocate(capacity: depth)
        for index in 0..<depth { free[index] = Int32(depth - 1 - index) }
        freeCount = depth
        queue = .allocate(capacity: depth)
        running = .allocate(capacity: depth)
        controls = .allocate(capacity: depth + 1)
        controls.initialize(repeating: iocb(), count: depth + 1)
        vectors = .allocate(capacity: depth * Self.mergeLimit)
        submissions = .allocate(capacity: depth + 1)
        events = .allocate(capacity: depth + 1)
        self.context = context
        completionDescriptor = event
        self.memory = memory
        memorySize = stride * depth
        slotStride = stride
        stagingOffset = staging
        mapping = backing.isDirect ? nil : Self.map(backing)
        self.depth = depth
        self.maximumTransfer = maximumTransfer
        self.durability = durability
        self.backing = backing
    }

    deinit {
        // Waits for what the kernel has under way; only then may the memory go.
        io_queue_release(context)
        close(completionDescriptor)
        munmap(memory, memorySize)
        if let mapping { munmap(mapping, Int(backing.size.bytes)) }
        slots.deallocate()
        free.deallocate()
        queue.deallocate()
        running.deallocate()
        controls.deallocate()
        vectors.deallocate()
        submissions.deallocate()
        events.deallocate()
    }

    private static func map(_ backing: borrowing Backing) -> UnsafeMutableRawPointer? {
        let address = mmap(nil, Int(backing.size.bytes), PROT_READ, MAP_SHARED, backing.descriptor, 0)
        return address == MAP_FAILED ? nil : address
    }

    /// Slots that can be taken.
    public var freeSlots: Int { freeCount }
    /// Nothing is waiting, under way or yet to be taken.
    public var isIdle: Bool { freeCount == depth }
    /// Something waits that may start now and that no completion will start: call `submit`.
    public var isReady: Bool { queuedCount > 0 && runningCount == 0 }
    /// The kernel had no room for a transfer: call `submit` again soon.
    public var isStalled: Bool { submissionCount > 0 }

    /// A free slot; nil where all are in use.
    public mutating func take() -> Int? {
        if freeCount == 0 { return nil }
        freeCount -= 1
        let index = Int(free[freeCount])
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
        case .free, .queued, .unsynced, .syncing: preconditionFailure("slot \(slot) is \(slots[slot].state)")
        }
        slots[slot].state = .free
        free[freeCount] = Int32(slot)
        freeCount += 1
    }

    /// A slot whose request has ended, the earliest first.
    public mutating func nextCompletion() -> Int? {
        completed.isEmpty ? nil : Int(completed.removeFirst(in: slots))
    }

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

    func ownBytes(_ slot: Int) -> UnsafeMutableRawPointer { memory + slot * slotStride }

    private mutating func enqueue(
        _ slot: Int, _ operation: BlockOperation, _ offset: Int64, _ length: Int, _ data: UnsafeMutableRawPointer?
    ) {
        precondition(slots[slot].state == .taken)
        precondition(offset >= 0 && length >= 0 && Int64(length) <= backing.size.bytes - offset)
        precondition(length <= maximumTransfer)
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
        queue[queuedCount] = Int32(slot)
        queuedCount += 1
        if operation.changes { changingCount += 1 }
    }
}

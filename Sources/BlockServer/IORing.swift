import CAIO
import CLinux
import Glibc

/// An io_uring(7), to which transfers are given and which brings their completions.
///
/// Of files, the kernel ends direct writes of the older interface by a thread of its own for each, which costs as much as
/// the write; those of a ring it ends in the thread that asked for them (fs/iomap/direct-io.c).
///
/// Raw memory, because the kernel shares it: a submission is published by its tail and taken by its head, a completion
/// the other way round.
struct IORing {
    private let descriptor: Int32
    private let rings: UnsafeMutableRawPointer
    private let ringsSize: Int
    private let entries: UnsafeMutableRawPointer
    private let entriesSize: Int
    private let submitted: Ends
    private let ended: Ends
    private let completions: UnsafeMutableRawPointer

    private static let entrySize = 64
    private static let completionSize = 16

    /// The two ends of a ring; they count on for ever, and `mask` makes places of them.
    private struct Ends {
        let head: UnsafeMutablePointer<UInt32>
        let tail: UnsafeMutablePointer<UInt32>
        let mask: UInt32

        init(_ rings: UnsafeMutableRawPointer, head: UInt32, tail: UInt32, mask: UInt32) {
            self.head = (rings + Int(head)).assumingMemoryBound(to: UInt32.self)
            self.tail = (rings + Int(tail)).assumingMemoryBound(to: UInt32.self)
            self.mask = (rings + Int(mask)).load(as: UInt32.self)
        }

        @inline(__always) func place(_ count: UInt32) -> Int { Int(count & mask) }
    }

    /// nil where the kernel has none, or does not allow it.
    /// - Parameters:
    ///   - requests: that can be under way.
    ///   - event: an eventfd that becomes readable with each completion.
    init?(requests: Int, notifying event: Int32) {
        var facts = io_uring_params()
        // Completions are taken when this thread looks for them: nothing has to interrupt it.
        facts.flags = UInt32(IORING_SETUP_COOP_TASKRUN)
        let descriptor = xenlvs_io_uring_setup(UInt32(requests), &facts)
        guard descriptor >= 0 else { return nil }
        var isComplete = false
        defer { if !isComplete { Glibc.close(descriptor) } }
        let wanted = UInt32(IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)
        guard facts.features & wanted == wanted else { return nil }
        let ringsSize = max(
            Int(facts.sq_off.array) + Int(facts.sq_entries) * MemoryLayout<UInt32>.size,
            Int(facts.cq_off.cqes) + Int(facts.cq_entries) * Self.completionSize)
        let entriesSize = Int(facts.sq_entries) * Self.entrySize
        guard let rings = Self.map(descriptor, ringsSize, Int(IORING_OFF_SQ_RING)) else { return nil }
        guard let entries = Self.map(descriptor, entriesSize, Int(IORING_OFF_SQES)),
            xenlvs_io_uring_register_eventfd(descriptor, event) == 0
        else {
            munmap(rings, ringsSize)
            return nil
        }
        // Each place of the ring has the entry of the same number.
        let array = (rings + Int(facts.sq_off.array)).assumingMemoryBound(to: UInt32.self)
        for number in 0..<facts.sq_entries { array[Int(number)] = number }
        submitted = Ends(
            rings, head: facts.sq_off.head, tail: facts.sq_off.tail, mask: facts.sq_off.ring_mask)
        ended = Ends(rings, head: facts.cq_off.head, tail: facts.cq_off.tail, mask: facts.cq_off.ring_mask)
        completions = rings + Int(facts.cq_off.cqes)
        self.descriptor = descriptor
        self.rings = rings
        self.ringsSize = ringsSize
        self.entries = entries
        self.entriesSize = entriesSize
        isComplete = true
    }

    private static func map(_ descriptor: Int32, _ size: Int, _ offset: Int) -> UnsafeMutableRawPointer? {
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | Int32(MAP_POPULATE), descriptor, offset)
        return memory == MAP_FAILED ? nil : memory
    }

    /// Lets it go; only where nothing is under way.
    func close() {
        munmap(entries, entriesSize)
        munmap(rings, ringsSize)
        Glibc.close(descriptor)
    }

    /// How many were put in that the kernel has not taken.
    var waiting: Int { Int(submitted.tail.pointee &- xenlvs_load_acquire(submitted.head)) }

    /// Puts in what a control of the older interface says; there is room for each request once.
    func put(_ control: UnsafeMutablePointer<iocb>) {
        let tail = submitted.tail.pointee
        let entry = entries + submitted.place(tail) * Self.entrySize
        let (facts, mark) = (control.pointee, UInt64(UInt(bitPattern: control.pointee.data)))
        switch UInt32(facts.aio_lio_opcode) {
        case IO_CMD_FDSYNC.rawValue: xenlvs_io_uring_sync(entry, Int32(facts.aio_fildes), mark)
        case let command:
            let common = facts.u.c
            xenlvs_io_uring_transfer(
                entry, command == IO_CMD_PWRITEV.rawValue ? 1 : 0, Int32(facts.aio_fildes), common.buf,
                UInt32(common.nbytes), common.offset, mark)
        }
        xenlvs_store_release(submitted.tail, tail &+ 1)
    }

    /// Has the kernel take what waits; what it has no room for goes on waiting.
    func submit() {
        while waiting > 0 {
            let count = xenlvs_io_uring_enter(descriptor, UInt32(waiting), 0, 0)
            if count <= 0, count == 0 || errno != EINTR { return }
        }
    }

    /// Waits until one more has ended. Returns whether it can be waited for.
    func wait() -> Bool {
        xenlvs_io_uring_enter(descriptor, 0, 1, UInt32(IORING_ENTER_GETEVENTS)) >= 0
            || [EINTR, EAGAIN, EBUSY].contains(errno)
    }

    /// Takes completions, at most `limit`. Returns how many.
    func collect(into events: UnsafeMutablePointer<io_event>, limit: Int) -> Int {
        let head = ended.head.pointee
        let count = min(limit, Int(xenlvs_load_acquire(ended.tail) &- head))
        for position in 0..<count {
            let completion = completions + ended.place(head &+ UInt32(position)) * Self.completionSize
            var event = io_event()
            event.data = UnsafeMutableRawPointer(bitPattern: completion.load(as: UInt.self))
            event.res = UInt(bitPattern: Int(completion.load(fromByteOffset: 8, as: Int32.self)))
            events[position] = event
        }
        xenlvs_store_release(ended.head, head &+ UInt32(count))
        return count
    }
}

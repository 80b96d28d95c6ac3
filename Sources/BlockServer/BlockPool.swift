import CAIO
import CLinux
import Glibc
import HostModel

/// What the engines of one thread share: the way to the kernel, and the memory of requests that are under way.
///
/// Memory goes by the requests under way and not by the number of engines, of which most are idle at any moment: what was
/// used last is used next, and stays in the processor's cache whichever engine uses it. Whoever makes engines on a pool
/// must let them go before it.
public struct BlockPool: ~Copyable {
    /// The place of what is shared, for engines: one thread at a time, as with the engines themselves.
    public struct Handle: @unchecked Sendable {
        let shared: UnsafeMutablePointer<Shared>
    }

    /// Raw memory behind one pointer, so that an engine reaches it without counting references.
    struct Shared {
        let channel: Channel
        let completionDescriptor: Int32
        let maximumTransfer: Int
        /// Each request's own bytes: first the transfer, aligned for direct I/O, behind it what an unaligned write
        /// brings. Pages that no request has used take no memory.
        let memory: UnsafeMutableRawPointer
        let memorySize: Int
        let stride: Int
        let stagingOffset: Int
        let slots: UnsafeMutablePointer<Slot>
        /// For each slot what is given to the kernel: of the transfer that it leads, or of the sync whose first it is.
        let controls: UnsafeMutablePointer<iocb>
        let vectors: UnsafeMutablePointer<iovec>
        /// Numbers of slots that are free; the last one is given out next.
        let free: UnsafeMutablePointer<Int32>
        var freeCount: Int
        /// Transfers and syncs that the kernel has not been given yet.
        let submissions: UnsafeMutablePointer<UnsafeMutablePointer<iocb>?>
        var submissionCount = 0
        let events: UnsafeMutablePointer<io_event>
        let eventCapacity: Int
        /// Of the events, those of transfers that the kernel has refused.
        var refusedCount = 0
        /// Requests that a ring has and has not brought back.
        var ringCount = 0
        var isStopped = false
    }

    /// By what requests go to the kernel.
    enum Channel {
        case ring(IORing)
        /// Where there is no io_uring, or it is not allowed.
        case aio(io_context_t)
    }

    /// A transfer or sync that the kernel has ended.
    public struct Completion {
        /// `BlockEngine.number` of the engine whose it is.
        public let engine: Int
        let leader: Int
        let result: Int
    }

    /// The most requests that become one transfer.
    static let mergeLimit = 16

    private let shared: UnsafeMutablePointer<Shared>

    /// - Parameters:
    ///   - requests: the most that can be under way at the same time in all engines.
    ///   - maximumTransfer: the most bytes of one request; a multiple of 512, at most 128 KiB.
    ///   - usesRing: whether io_uring is to be used where there is one.
    ///   - what: what fails where there is no room, for the message.
    /// Throws `.failed` where the kernel has no room for another AIO context.
    public init(requests: Int, maximumTransfer: Int, usesRing: Bool = true, doing what: String) throws(Failure) {
        precondition((2...16384).contains(requests) && maximumTransfer % 512 == 0 && maximumTransfer <= 128 << 10)
        let event = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard event >= 0 else { throw Failure.system(what) }
        var isComplete = false
        defer { if !isComplete { close(event) } }
        let channel = try Self.channel(requests, usesRing, event, what)
        let page = 4096
        let staging = (maximumTransfer + 2 * Backing.largestBlock + page - 1) / page * page
        let stride = staging + (maximumTransfer + page - 1) / page * page
        let memory = mmap(nil, stride * requests, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            let failure = Failure.system(what)
            Self.release(channel)
            throw failure
        }
        let free = UnsafeMutablePointer<Int32>.allocate(capacity: requests)
        for index in 0..<requests { free[index] = Int32(requests - 1 - index) }
        let slots = UnsafeMutableRawPointer.allocate(byteCount: requests * MemoryLayout<Slot>.stride, alignment: 64)
            .initializeMemory(as: Slot.self, repeating: Slot(), count: requests)
        let controls = UnsafeMutablePointer<iocb>.allocate(capacity: requests)
        controls.initialize(repeating: iocb(), count: requests)
        shared = .allocate(capacity: 1)
        shared.initialize(
            to: Shared(
                channel: channel, completionDescriptor: event, maximumTransfer: maximumTransfer, memory: memory,
                memorySize: stride * requests, stride: stride, stagingOffset: staging, slots: slots,
                controls: controls, vectors: .allocate(capacity: requests * Self.mergeLimit), free: free,
                freeCount: requests, submissions: .allocate(capacity: requests),
                events: .allocate(capacity: requests), eventCapacity: requests))
        isComplete = true
    }

    private static func channel(
        _ requests: Int, _ usesRing: Bool, _ event: Int32, _ what: String
    ) throws(Failure) -> Channel {
        if usesRing, let ring = IORing(requests: requests, notifying: event) { return .ring(ring) }
        var context: io_context_t?
        // A request leads a transfer, or the group that a sync is for, but never both.
        let status = io_queue_init(Int32(requests), &context)
        guard status == 0, let context else {
            throw Failure.system(
                what, errno: -status, remedy: status == -EAGAIN ? "raise the sysctl fs.aio-max-nr" : nil)
        }
        return .aio(context)
    }

    private static func release(_ channel: Channel) {
        switch channel {
        case .ring(let ring): ring.close()
        case .aio(let context): io_queue_release(context)
        }
    }

    deinit {
        stop()
        close(shared.pointee.completionDescriptor)
        munmap(shared.pointee.memory, shared.pointee.memorySize)
        shared.pointee.slots.deallocate()
        shared.pointee.controls.deallocate()
        shared.pointee.vectors.deallocate()
        shared.pointee.free.deallocate()
        shared.pointee.submissions.deallocate()
        shared.pointee.events.deallocate()
        shared.deallocate()
    }

    /// Waits for what the kernel has under way. Nothing can be asked for afterwards, and engines may go whatever they had
    /// under way.
    public func stop() {
        guard !shared.pointee.isStopped else { return }
        shared.pointee.isStopped = true
        if case .ring(let ring) = shared.pointee.channel {
            while shared.pointee.ringCount > ring.waiting, collect(ring) > 0 || ring.wait() {}
        }
        Self.release(shared.pointee.channel)
    }

    public var handle: Handle { Handle(shared: shared) }

    /// An eventfd that becomes readable with each transfer that the kernel has ended; then call `collect`.
    public var completionDescriptor: Int32 { shared.pointee.completionDescriptor }

    /// What the kernel had no room for, or has refused, waits: call `submit` and `collect` again soon.
    public var isStalled: Bool {
        switch shared.pointee.channel {
        case .ring(let ring): ring.waiting > 0
        case .aio: shared.pointee.submissionCount > 0 || shared.pointee.refusedCount > 0
        }
    }

    /// Passes what the engines have started to the kernel, all of it together. What it has no room for stays.
    public func submit() {
        switch shared.pointee.channel {
        case .ring(let ring): submit(to: ring)
        case .aio(let context): submit(to: context)
        }
    }

    private func submit(to ring: IORing) {
        let count = shared.pointee.submissionCount
        for position in 0..<count { ring.put(shared.pointee.submissions[position].unsafelyUnwrapped) }
        shared.pointee.submissionCount = 0
        shared.pointee.ringCount += count
        ring.submit()
    }

    private func submit(to context: io_context_t) {
        let submissions = shared.pointee.submissions
        let count = shared.pointee.submissionCount
        var sent = 0
        while sent < count {
            let taken = io_submit(context, count - sent, submissions + sent)
            if taken > 0 {
                sent += Int(taken)
            } else if taken == -EAGAIN {
                break
            } else if taken != -EINTR {
                // It is the first one that the kernel does not take.
                refuse(submissions[sent].unsafelyUnwrapped, Int(taken))
                sent += 1
            }
        }
        for position in sent..<count { submissions[position - sent] = submissions[position] }
        shared.pointee.submissionCount = count - sent
    }

    /// Notes a completion that the kernel will not bring.
    private func refuse(_ control: UnsafeMutablePointer<iocb>, _ result: Int) {
        var event = io_event()
        event.data = control.pointee.data
        event.res = UInt(bitPattern: result)
        shared.pointee.events[shared.pointee.refusedCount] = event
        shared.pointee.refusedCount += 1
    }

    /// Takes from the kernel what it has ended. Returns how many completions there are to be looked at.
    public func collect() -> Int {
        switch shared.pointee.channel {
        case .ring(let ring): collect(ring)
        case .aio(let context): collect(context)
        }
    }

    private func collect(_ ring: IORing) -> Int {
        let count = ring.collect(into: shared.pointee.events, limit: shared.pointee.eventCapacity)
        shared.pointee.ringCount -= count
        return count
    }

    private func collect(_ context: io_context_t) -> Int {
        let refused = shared.pointee.refusedCount
        shared.pointee.refusedCount = 0
        var now = timespec()
        let ended = io_getevents(
            context, 0, shared.pointee.eventCapacity - refused, shared.pointee.events + refused, &now)
        return refused + max(0, Int(ended))
    }

    /// One of those that `collect` has taken; give it to its engine's `end`.
    @inline(__always)
    public func completion(_ position: Int) -> Completion {
        let event = shared.pointee.events[position]
        let mark = Int(bitPattern: event.data)
        // Kernel and libaio declare the result unsigned; it is a count or a negated errno.
        return Completion(
            engine: mark >> 16, leader: mark & 0xffff - 1, result: Int(bitPattern: event.res))
    }
}

import CAIO
import CLinux
import Glibc
import HostModel

/// What the engines of one thread share: the kernel's AIO context, and the memory of requests that are under way.
///
/// Memory goes by the requests under way and not by the number of engines, of which most are idle at any moment. Whoever
/// makes engines on a pool must let them go before it.
public struct BlockPool: ~Copyable {
    /// The place of what is shared, for engines: one thread at a time, as with the engines themselves.
    public struct Handle: @unchecked Sendable {
        let shared: UnsafeMutablePointer<Shared>
    }

    /// Raw memory behind one pointer, so that an engine reaches it without counting references.
    struct Shared {
        let context: io_context_t
        let completionDescriptor: Int32
        let maximumTransfer: Int
        /// Each request's own bytes: first the transfer, aligned for direct I/O, behind it what an unaligned write
        /// brings. Pages that no request has used take no memory.
        let memory: UnsafeMutableRawPointer
        let memorySize: Int
        let stride: Int
        let stagingOffset: Int
        /// Numbers of buffers that are free; the last one is given out next, so that few stay in the processor's cache.
        let free: UnsafeMutablePointer<Int32>
        var freeCount: Int
        let events: UnsafeMutablePointer<io_event>
        let eventCapacity: Int
        var isStopped = false
    }

    /// A transfer or sync that the kernel has ended.
    public struct Completion {
        /// `BlockEngine.number` of the engine whose it is.
        public let engine: Int
        let leader: Int
        let result: Int
    }

    private let shared: UnsafeMutablePointer<Shared>

    /// - Parameters:
    ///   - requests: the most that can be under way at the same time in all engines.
    ///   - maximumTransfer: the most bytes of one request; a multiple of 512, at most 128 KiB.
    ///   - what: what fails where there is no room, for the message.
    /// Throws `.failed` where the kernel has no room for another AIO context.
    public init(requests: Int, maximumTransfer: Int, doing what: String) throws(Failure) {
        precondition((2...16384).contains(requests) && maximumTransfer % 512 == 0 && maximumTransfer <= 128 << 10)
        var context: io_context_t?
        // A request is in a transfer or waits for a sync: beside the transfers there are never more syncs than requests.
        let status = io_queue_init(Int32(requests + 1), &context)
        guard status == 0, let context else {
            throw Failure.system(
                what, errno: -status, remedy: status == -EAGAIN ? "raise the sysctl fs.aio-max-nr" : nil)
        }
        let event = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        let page = 4096
        let staging = (maximumTransfer + 2 * Backing.largestBlock + page - 1) / page * page
        let stride = staging + (maximumTransfer + page - 1) / page * page
        let memory = mmap(nil, stride * requests, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard event >= 0, let memory, memory != MAP_FAILED else {
            let failure = Failure.system(what)
            io_queue_release(context)
            throw failure
        }
        let free = UnsafeMutablePointer<Int32>.allocate(capacity: requests)
        for index in 0..<requests { free[index] = Int32(requests - 1 - index) }
        let eventCapacity = requests + 1
        shared = .allocate(capacity: 1)
        shared.initialize(
            to: Shared(
                context: context, completionDescriptor: event, maximumTransfer: maximumTransfer, memory: memory,
                memorySize: stride * requests, stride: stride, stagingOffset: staging, free: free,
                freeCount: requests, events: .allocate(capacity: eventCapacity), eventCapacity: eventCapacity))
    }

    deinit {
        stop()
        close(shared.pointee.completionDescriptor)
        munmap(shared.pointee.memory, shared.pointee.memorySize)
        shared.pointee.free.deallocate()
        shared.pointee.events.deallocate()
        shared.deallocate()
    }

    /// Waits for what the kernel has under way. Nothing can be asked for afterwards, and engines may go whatever they had
    /// under way.
    public func stop() {
        guard !shared.pointee.isStopped else { return }
        shared.pointee.isStopped = true
        io_queue_release(shared.pointee.context)
    }

    public var handle: Handle { Handle(shared: shared) }

    /// An eventfd that becomes readable with each transfer that the kernel has ended; then call `collect`.
    public var completionDescriptor: Int32 { shared.pointee.completionDescriptor }

    /// Takes from the kernel what it has ended. Returns how many completions there are to be looked at.
    public func collect() -> Int {
        var now = timespec()
        return max(
            0, Int(io_getevents(shared.pointee.context, 0, shared.pointee.eventCapacity, shared.pointee.events, &now)))
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

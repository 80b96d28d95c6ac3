/// What a server keeps for each request that is under way, by the request's number in the pool of the engines: the header
/// of its reply, and what it was.
///
/// Raw memory, because a header must stay where it is until the kernel has taken it.
struct ReplyTable: ~Copyable {
    struct Request {
        enum Kind: UInt8 { case read, verify, write, flush, trim }
        var kind: Kind
        var port: UInt8
        var length: Int32
        /// Of a write, its number in the replay window.
        var number: UInt64
        var begun: Int64
    }

    /// Two lines of the processor's cache: the header, and the request beside it.
    private static let stride = 128
    private static let requestOffset = 64
    private let memory: UnsafeMutableRawPointer

    init(capacity: Int) { memory = .allocate(byteCount: capacity * Self.stride, alignment: 128) }

    deinit { memory.deallocate() }

    /// `Wire.minimumLength` bytes.
    @inline(__always) func header(_ slot: Int) -> UnsafeMutableRawPointer { memory + slot * Self.stride }

    /// Only to be read after it was written.
    @inline(__always) func request(_ slot: Int) -> UnsafeMutablePointer<Request> {
        (memory + slot * Self.stride + Self.requestOffset).assumingMemoryBound(to: Request.self)
    }
}

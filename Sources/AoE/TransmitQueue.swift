import CLinux

/// Frames that are to be sent together.
///
/// Raw memory, allocated once, because the kernel reads headers, vectors and messages from it. A frame is either short
/// and lies here whole, or has its header in the memory of its request and its sectors wherever they were read to.
struct TransmitQueue: ~Copyable {
    /// Whose request a frame answers: a slot of a target's engine.
    struct Owner {
        fileprivate var target: Int32 = -1
        fileprivate var slot: Int32 = -1
        static let none = Owner()

        var isNone: Bool { target < 0 }
        /// The target's number.
        var number: Int { Int(target) }
        var place: Int { Int(slot) }

        init(target: Int, slot: Int) { (self.target, self.slot) = (Int32(target), Int32(slot)) }
        private init() {}
    }

    let capacity: Int
    private(set) var count = 0
    /// How many of them are sent or given up; the others could not be sent yet.
    var sent = 0
    let messages: UnsafeMutablePointer<xenlvs_message>
    private let vectors: UnsafeMutablePointer<iovec>
    private let memory: UnsafeMutableRawPointer
    private let owners: UnsafeMutablePointer<Owner>

    init(capacity: Int) {
        self.capacity = capacity
        messages = .allocate(capacity: capacity)
        messages.initialize(repeating: xenlvs_message(), count: capacity)
        vectors = .allocate(capacity: 2 * capacity)
        vectors.initialize(repeating: iovec(), count: 2 * capacity)
        memory = .allocate(byteCount: capacity * Wire.replyLimit, alignment: 64)
        owners = .allocate(capacity: capacity)
        for position in 0..<capacity { messages[position].header.msg_iov = vectors + 2 * position }
    }

    deinit {
        messages.deallocate()
        vectors.deallocate()
        memory.deallocate()
        owners.deallocate()
    }

    var room: Int { capacity - count }

    /// Where the next frame may be made, of at most `Wire.replyLimit` bytes. Only where there is room.
    var next: UnsafeMutableRawPointer { memory + count * Wire.replyLimit }

    /// Queues the frame that was made at `next`.
    mutating func add(length: Int) {
        vectors[2 * count] = iovec(iov_base: next, iov_len: length)
        messages[count].header.msg_iovlen = 1
        owners[count] = .none
        count += 1
    }

    /// Queues a frame of two parts, which must stay until it is sent. `dataLength` may be 0.
    mutating func add(
        header: UnsafeMutableRawPointer, headerLength: Int, data: UnsafeMutableRawPointer?, dataLength: Int,
        owner: Owner
    ) {
        vectors[2 * count] = iovec(iov_base: header, iov_len: headerLength)
        vectors[2 * count + 1] = iovec(iov_base: data, iov_len: dataLength)
        messages[count].header.msg_iovlen = dataLength > 0 ? 2 : 1
        owners[count] = owner
        count += 1
    }

    func owner(_ position: Int) -> Owner { owners[position] }

    func frame(_ position: Int) -> UnsafeMutablePointer<iovec> { vectors + 2 * position }

    /// Makes a frame of two parts one of its header alone.
    func dropData(_ position: Int, headerLength: Int) {
        vectors[2 * position].iov_len = headerLength
        messages[position].header.msg_iovlen = 1
    }

    mutating func removeAll() { (count, sent) = (0, 0) }
}

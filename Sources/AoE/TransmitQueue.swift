import CLinux

/// Frames that are to be sent together.
///
/// Raw memory, allocated once, because the kernel reads headers, vectors and messages from it. A frame is either short
/// and lies here whole, or has its header in the memory of its request and its sectors wherever they were read to.
///
/// Before each comes what the socket is told of it (`PacketPort`): that only the header has to lie in one piece. The kernel
/// then puts the sectors into pages, instead of asking for one piece of memory for all of it, which costs more.
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
    /// For each frame the socket's part, and its own one or two.
    private let vectors: UnsafeMutablePointer<iovec>
    private static let stride = 3
    private let advice: UnsafeMutablePointer<virtio_net_hdr>
    private let memory: UnsafeMutableRawPointer
    private let owners: UnsafeMutablePointer<Owner>

    init(capacity: Int) {
        self.capacity = capacity
        messages = .allocate(capacity: capacity)
        messages.initialize(repeating: xenlvs_message(), count: capacity)
        vectors = .allocate(capacity: Self.stride * capacity)
        advice = .allocate(capacity: 1)
        advice.initialize(to: virtio_net_hdr())
        advice.pointee.hdr_len = UInt16(Wire.ataLength)
        let first = iovec(iov_base: advice, iov_len: MemoryLayout<virtio_net_hdr>.size)
        vectors.initialize(repeating: first, count: Self.stride * capacity)
        memory = .allocate(byteCount: capacity * Wire.replyLimit, alignment: 64)
        owners = .allocate(capacity: capacity)
        for position in 0..<capacity { messages[position].header.msg_iov = vectors + Self.stride * position }
    }

    deinit {
        messages.deallocate()
        vectors.deallocate()
        advice.deallocate()
        memory.deallocate()
        owners.deallocate()
    }

    var room: Int { capacity - count }

    /// Where the next frame may be made, of at most `Wire.replyLimit` bytes. Only where there is room.
    var next: UnsafeMutableRawPointer { memory + count * Wire.replyLimit }

    /// Queues the frame that was made at `next`.
    mutating func add(length: Int) {
        parts(count)[0] = iovec(iov_base: next, iov_len: length)
        messages[count].header.msg_iovlen = 2
        owners[count] = .none
        count += 1
    }

    /// Queues a frame of two parts, which must stay until it is sent. `dataLength` may be 0.
    mutating func add(
        header: UnsafeMutableRawPointer, headerLength: Int, data: UnsafeMutableRawPointer?, dataLength: Int,
        owner: Owner
    ) {
        parts(count)[0] = iovec(iov_base: header, iov_len: headerLength)
        parts(count)[1] = iovec(iov_base: data, iov_len: dataLength)
        messages[count].header.msg_iovlen = dataLength > 0 ? 3 : 2
        owners[count] = owner
        count += 1
    }

    func owner(_ position: Int) -> Owner { owners[position] }

    /// The parts of a frame: one, or two where it has sectors.
    func parts(_ position: Int) -> UnsafeMutablePointer<iovec> { vectors + Self.stride * position + 1 }

    func partCount(_ position: Int) -> Int { Int(messages[position].header.msg_iovlen) - 1 }

    /// Takes other sectors for a frame of two parts.
    func replaceData(_ position: Int, by data: UnsafeMutableRawPointer) { parts(position)[1].iov_base = data }

    /// Makes a frame of two parts one of its header alone.
    func dropData(_ position: Int, headerLength: Int) {
        parts(position)[0].iov_len = headerLength
        messages[position].header.msg_iovlen = 2
    }

    mutating func removeAll() { (count, sent) = (0, 0) }
}

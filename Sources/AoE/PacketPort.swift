import CLinux
import Glibc
import HostModel

/// An interface's AoE frames: a packet socket with a receive ring (Documentation/networking/packet_mmap.rst, TPACKET_V2).
///
/// The kernel fills the ring's frames in order and this process gives them back in order, a batch at a time, after the
/// batch's requests have started. A full ring is the bound of what waits: the kernel drops what comes then, and
/// initiators send it again.
///
/// There is no transmit ring: `sendmmsg` copies a reply's sectors once, from where they were read or from the page cache
/// itself, and into a ring they would have to be copied as well. Each frame that is sent begins with a `virtio_net_hdr`.
///
/// Raw memory, because the ring is shared with the kernel.
struct PacketPort: ~Copyable {
    let descriptor: Int32
    private let ring: UnsafeMutableRawPointer
    private let ringSize: Int
    private let frameCount: Int
    /// Where the ring's frames are, in its order.
    private let frames: UnsafeMutablePointer<UnsafeMutablePointer<tpacket2_hdr>>
    private var interfaceIndex: Int32 = 0
    /// The next frame to look at.
    private var head = 0
    /// Frames before it that have not been given back.
    private var taken = 0

    /// What a frame of 9000 bytes payload takes with its headers; longer ones are cut off and so, for an ATA command,
    /// refused.
    static let frameSize = 9216
    private static let blockSize = 64 << 10
    /// Behind the ring's header of a frame the kernel puts where it came from.
    private static let senderOffset = xenlvs_tpacket2_header_length() - MemoryLayout<sockaddr_ll>.size
    private static let framesPerBlock = blockSize / frameSize

    /// - Parameters:
    ///   - frames: how many frames can wait at least.
    ///   - shard: whose targets' frames are received.
    init(frames: Int, shard: Shard) throws(Failure) {
        let what = "cannot receive frames"
        let descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else {
            throw Failure(
                .failed, what, why: String(cString: strerror(errno)), remedy: "run it as root or with CAP_NET_RAW")
        }
        var isComplete = false
        defer { if !isComplete { close(descriptor) } }
        let blocks = (frames + Self.framesPerBlock - 1) / Self.framesPerBlock
        try Self.set(descriptor, SOL_PACKET, PACKET_VERSION, Int32(TPACKET_V2.rawValue), what)
        try Self.set(descriptor, SOL_PACKET, PACKET_VNET_HDR, Int32(1), what)
        let request = tpacket_req(
            tp_block_size: UInt32(Self.blockSize), tp_block_nr: UInt32(blocks), tp_frame_size: UInt32(Self.frameSize),
            tp_frame_nr: UInt32(blocks * Self.framesPerBlock))
        try Self.set(descriptor, SOL_PACKET, PACKET_RX_RING, request, what)
        try Self.filter(descriptor, SocketFilter.requests(of: shard, keeping: UInt32(Self.frameSize)), what)
        // What this host sends itself comes from no initiator.
        try Self.set(descriptor, SOL_PACKET, PACKET_IGNORE_OUTGOING, Int32(1), what)
        // Replies of a whole batch; without the right to do so there is less room, and the sender waits.
        _ = try? Self.set(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, Int32(8 << 20), what)
        let size = blocks * Self.blockSize
        guard let ring = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), ring != MAP_FAILED else {
            throw Failure(.failed, what, why: "the ring: \(String(cString: strerror(errno)))")
        }
        self.descriptor = descriptor
        self.ring = ring
        ringSize = size
        frameCount = blocks * Self.framesPerBlock
        self.frames = .allocate(capacity: frameCount)
        for position in 0..<frameCount {
            let (block, frame) = position.quotientAndRemainder(dividingBy: Self.framesPerBlock)
            self.frames[position] = (ring + block * Self.blockSize + frame * Self.frameSize)
                .assumingMemoryBound(to: tpacket2_hdr.self)
        }
        isComplete = true
    }

    deinit {
        munmap(ring, ringSize)
        frames.deallocate()
        close(descriptor)
    }

    /// Receives from, and sends to, the interface from now on.
    mutating func bind(to interface: NetworkInterface) throws(Failure) {
        try interface.bind(descriptor, doing: "cannot serve on the interface \(interface.name)")
        interfaceIndex = interface.index
    }

    /// Whether a frame waits.
    var hasFrame: Bool {
        taken < frameCount && xenlvs_load_acquire(status(head)) & UInt32(TP_STATUS_USER) != 0
    }

    /// The next frame; nil for one that is not for this interface. Only where `hasFrame`.
    mutating func next() -> FrameView? {
        let header = frames[head]
        head = head + 1 == frameCount ? 0 : head + 1
        taken += 1
        let sender = UnsafeRawPointer(header).load(fromByteOffset: Self.senderOffset, as: sockaddr_ll.self)
        // Frames for other hosts come where the interface is promiscuous, as under a bridge. Those of VLANs come too,
        // without their tags: as another interface's where the VLAN has one, else as another host's (net/core/dev.c).
        guard sender.sll_ifindex == interfaceIndex, sender.sll_pkttype != UInt8(PACKET_OTHERHOST) else { return nil }
        let facts = header.pointee
        return FrameView(UnsafeRawPointer(header) + Int(facts.tp_mac), length: Int(facts.tp_snaplen))
    }

    /// Gives the frames that `next` has returned back to the kernel.
    mutating func giveBack() {
        var position = head - taken
        if position < 0 { position += frameCount }
        while taken > 0 {
            xenlvs_store_release(status(position), UInt32(TP_STATUS_KERNEL))
            position = position + 1 == frameCount ? 0 : position + 1
            taken -= 1
        }
    }

    /// Takes the error that the socket keeps; 0 where there is none.
    borrowing func takeError() -> Int32 {
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
        return error
    }

    private func status(_ position: Int) -> UnsafeMutablePointer<UInt32> {
        // The first member of the header.
        UnsafeMutableRawPointer(frames[position]).assumingMemoryBound(to: UInt32.self)
    }

    /// Chooses the frames that are received from now on. Of requests alone, because the replies of other targets are not to
    /// wake this process, and of those only what is for the shard's targets or, with wildcards, for several.
    static func filter(_ descriptor: Int32, _ steps: [sock_filter], _ what: String) throws(Failure) {
        var program = steps
        let count = UInt16(program.count)
        let failure = program.withUnsafeMutableBufferPointer { program -> Failure? in
            do throws(Failure) {
                let value = sock_fprog(len: count, filter: program.baseAddress)
                try set(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, value, what)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private static func set<Value: BitwiseCopyable>(
        _ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Value, _ what: String
    ) throws(Failure) {
        var value = value
        guard setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Value>.size)) == 0 else {
            throw Failure(.failed, what, why: "socket option \(option): \(String(cString: strerror(errno)))")
        }
    }
}

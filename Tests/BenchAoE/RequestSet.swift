import CLinux
import Glibc

/// The requests that are under way, each in a slot of its own that the low byte of its tag names.
struct RequestSet: ~Copyable {
    private struct Slot {
        var tag: UInt32 = 0
        var isWaiting = false
        var begun = 0.0
        var sent = 0.0
    }

    private static let frameSize = 9216
    private static let batch = 64
    private let workload: Workload
    private let exports: Int
    private let length: Int
    private let slots: UnsafeMutablePointer<Slot>
    private let frames: UnsafeMutableRawPointer
    private let replies: UnsafeMutableRawPointer
    private let outgoing: UnsafeMutablePointer<xenlvs_message>
    private let incoming: UnsafeMutablePointer<xenlvs_message>
    private let vectors: UnsafeMutablePointer<iovec>
    private var pending: [Int]
    private var nextTag: UInt32 = 0
    private var cursor: UInt64 = 0
    private var random: UInt64 = 0x9e37_79b9_7f4a_7c15
    private var latencies: [Float] = []
    private var retransmissions = 0
    private var errors = 0

    init(workload: Workload, exports: Int) {
        self.workload = workload
        self.exports = exports
        length = workload.writes ? 36 + workload.sectors * 512 : 60
        slots = .allocate(capacity: workload.depth)
        slots.initialize(repeating: Slot(), count: workload.depth)
        frames = .allocate(byteCount: workload.depth * Self.frameSize, alignment: 64)
        for offset in 0..<workload.depth * Self.frameSize {
            frames.storeBytes(of: UInt8(truncatingIfNeeded: offset), toByteOffset: offset, as: UInt8.self)
        }
        replies = .allocate(byteCount: Self.batch * Self.frameSize, alignment: 64)
        outgoing = .allocate(capacity: workload.depth)
        outgoing.initialize(repeating: xenlvs_message(), count: workload.depth)
        incoming = .allocate(capacity: Self.batch)
        incoming.initialize(repeating: xenlvs_message(), count: Self.batch)
        vectors = .allocate(capacity: workload.depth + Self.batch)
        for index in 0..<Self.batch {
            vectors[workload.depth + index] = iovec(
                iov_base: replies + index * Self.frameSize, iov_len: Self.frameSize)
            incoming[index].header.msg_iov = vectors + workload.depth + index
            incoming[index].header.msg_iovlen = 1
        }
        pending = Array(0..<workload.depth)
        latencies.reserveCapacity(2_000_000)
    }

    deinit {
        slots.deallocate()
        frames.deallocate()
        replies.deallocate()
        outgoing.deallocate()
        incoming.deallocate()
        vectors.deallocate()
    }

    func frame(_ index: Int) -> UnsafeMutableRawPointer { frames + index * Self.frameSize }

    mutating func clearCounts() {
        latencies.removeAll(keepingCapacity: true)
        (retransmissions, errors) = (0, 0)
    }

    /// Makes a new request in each slot that has none, and sends what is to be sent.
    mutating func sendPending(_ descriptor: Int32, _ now: Double) throws {
        if pending.isEmpty { return }
        for (position, index) in pending.enumerated() {
            if !slots[index].isWaiting { prepare(index, now) }
            nextTag &+= 1
            slots[index].tag = nextTag << 8 | UInt32(index)
            slots[index].sent = now
            frame(index).storeBytes(of: slots[index].tag.bigEndian, toByteOffset: 20, as: UInt32.self)
            vectors[position] = iovec(iov_base: frame(index), iov_len: length)
            outgoing[position].header.msg_iov = vectors + position
            outgoing[position].header.msg_iovlen = 1
        }
        var sent = 0
        while sent < pending.count {
            let count = xenlvs_sendmmsg(descriptor, outgoing + sent, UInt32(pending.count - sent), 0)
            if count < 0, errno == ENOBUFS || errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { throw BenchFailure(String(cString: strerror(errno))) }
            sent += Int(count)
        }
        pending.removeAll(keepingCapacity: true)
    }

    private mutating func prepare(_ index: Int, _ now: Double) {
        let places = UInt64(BenchWire.sectors / exports / workload.sectors)
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        cursor &+= 1
        let lba = (workload.isSequential ? cursor : random) % places * UInt64(workload.sectors)
        let frame = frame(index)
        ExportAddress(Int((random >> 32) % UInt64(exports))).write(to: frame)
        frame.storeBytes(of: workload.writes ? 0x41 : 0x40, toByteOffset: 24, as: UInt8.self)
        frame.storeBytes(of: 0, toByteOffset: 25, as: UInt8.self)
        frame.storeBytes(of: UInt8(workload.sectors), toByteOffset: 26, as: UInt8.self)
        frame.storeBytes(of: workload.writes ? 0x34 : 0x24, toByteOffset: 27, as: UInt8.self)
        frame.storeBytes(of: lba.littleEndian, toByteOffset: 28, as: UInt64.self)
        // Every write brings other bytes than the one before.
        if workload.writes { frame.storeBytes(of: random, toByteOffset: 40, as: UInt64.self) }
        slots[index].isWaiting = true
        slots[index].begun = now
    }

    /// Takes the answers that are there, or waits a moment for the first.
    mutating func receive(_ descriptor: Int32) {
        var count = xenlvs_recvmmsg(descriptor, incoming, UInt32(Self.batch), Int32(MSG_DONTWAIT), nil)
        if count <= 0 {
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            poll(&request, 1, 5)
            count = xenlvs_recvmmsg(descriptor, incoming, UInt32(Self.batch), Int32(MSG_DONTWAIT), nil)
        }
        guard count > 0 else { return }
        let now = Clock.seconds()
        for position in 0..<Int(count) { take(replies + position * Self.frameSize, Int(incoming[position].sent), now) }
    }

    private mutating func take(_ reply: UnsafeMutableRawPointer, _ size: Int, _ now: Double) {
        guard size >= 36, reply.load(fromByteOffset: 14, as: UInt8.self) & 8 != 0 else { return }
        let tag = UInt32(bigEndian: reply.loadUnaligned(fromByteOffset: 20, as: UInt32.self))
        let index = Int(tag & 0xff)
        guard index < workload.depth, slots[index].isWaiting, slots[index].tag == tag else { return }
        let isBad =
            reply.load(fromByteOffset: 14, as: UInt8.self) & 4 != 0
            || reply.load(fromByteOffset: 27, as: UInt8.self) & 0xa9 != 0
            || !workload.writes && size < 36 + workload.sectors * 512
        if isBad { errors += 1 }
        latencies.append(Float(now - slots[index].begun))
        slots[index].isWaiting = false
        pending.append(index)
    }

    /// Sends what has waited too long again, under another tag, as Linux's initiator does.
    mutating func repeatOverdue(_ now: Double, patience: Double) {
        for index in 0..<workload.depth where slots[index].isWaiting && now - slots[index].sent > patience {
            pending.append(index)
            slots[index].sent = now
            retransmissions += 1
        }
    }

    consuming func sample(elapsed: Double, processorSeconds: Double) -> Sample {
        let sorted = latencies.sorted()
        func percentile(_ part: Double) -> Double {
            sorted.isEmpty ? 0 : Double(sorted[Int(Double(sorted.count - 1) * part)]) * 1e6
        }
        return Sample(
            iops: Double(sorted.count) / elapsed,
            megabytesPerSecond: Double(sorted.count * workload.sectors * 512) / elapsed / 1e6,
            p50Microseconds: percentile(0.5).rounded(),
            p99Microseconds: percentile(0.99).rounded(),
            cpuMicroseconds: sorted.isEmpty ? 0 : processorSeconds * 1e6 / Double(sorted.count),
            retransmissions: retransmissions, errors: errors)
    }
}

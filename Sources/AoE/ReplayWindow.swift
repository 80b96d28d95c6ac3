/// What the replay window has to know of one target.
struct WriteHistory {
    /// Not used again for another target of this process.
    let target: UInt64
    /// The number of its latest write, plus one; 0 for none.
    fileprivate var latest: UInt64 = 0
    /// How many there have been.
    fileprivate var count: UInt64 = 0

    init(target: UInt64) { self.target = target }
}

/// Remembers the last writes, so that a copy of one of them that arrives late does not undo a later one.
///
/// Networks duplicate and delay frames, and initiators send a write again, Linux's under another tag. As long as nothing
/// else has been written to the same sectors, to write them again does no harm. Otherwise a frame that looks like a copy
/// is passed over once. Nobody waits for an answer to a copy; a write that only looks like one, because its initiator
/// reuses tags or writes the same again, is sent again by its initiator and then carried out. So nothing is ever
/// answered that was not done.
///
/// All targets of a process share the window, so that its size does not go by their number; each has its own
/// `WriteHistory`, and nothing of one target is ever compared with a write of another.
///
/// Raw memory, allocated once: a write must not cost an allocation.
struct ReplayWindow: ~Copyable {
    /// What is to be done with a write.
    enum Judgement: Equatable {
        /// Carry it out, and tell `end` of it by this number.
        case execute(UInt64)
        /// It has been carried out: answer it.
        case acknowledge
        /// Pass it over.
        case drop
    }

    private enum State: UInt8 { case pending, done, failed }

    private struct Entry {
        var target: UInt64
        /// Its place among the target's writes.
        var ordinal: UInt64
        /// The number of the target's write before it, plus one; 0 for none.
        var previous: UInt64
        var source: UInt64
        var tag: UInt32
        var state: State
        var sector: Int64
        var count: Int
        var content: UInt64
    }

    /// The writes of one target that are remembered at most. At 200,000 writes a second they are 20 ms, which is long for
    /// a network that duplicates. It bounds, too, what looking for a later write on the same sectors costs.
    static let perTarget = 4096
    private static let shedCapacity = 64
    private let capacity: Int
    private let entries: UnsafeMutablePointer<Entry>
    /// The number of the latest write with this hash, plus one; 0 for none.
    private let index: UnsafeMutablePointer<UInt64>
    private var next: UInt64 = 0
    private let shed = UnsafeMutablePointer<UInt64>.allocate(capacity: shedCapacity)
    private var nextShed = 0
    /// Clients must not be able to find contents with the same hash.
    private let seed = UInt64.random(in: .min ... .max)

    /// - Parameter capacity: the writes of all targets that are remembered; a power of two.
    init(capacity: Int = perTarget) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0)
        self.capacity = capacity
        entries = .allocate(capacity: capacity)
        index = .allocate(capacity: 2 * capacity)
        index.initialize(repeating: 0, count: 2 * capacity)
        shed.initialize(repeating: 0, count: Self.shedCapacity)
    }

    deinit {
        entries.deallocate()
        index.deallocate()
        shed.deallocate()
    }

    mutating func judge(
        _ history: inout WriteHistory, source: MACAddress, tag: UInt32, sector: Int64, count: Int,
        bytes: UnsafeRawPointer
    ) -> Judgement {
        let content = Self.hash(bytes, count: count * Wire.sectorSize, seed: seed)
        let key = Self.mix(
            content ^ history.target ^ Self.mix(source.value ^ UInt64(bitPattern: sector) &* 0x9e37_79b9_7f4a_7c15))
        let bucket = Int(key & UInt64(2 * capacity - 1))
        if let verdict = judgeCopy(history, bucket, source, tag, sector, count, content) { return verdict }
        entries[slot(next)] = Entry(
            target: history.target, ordinal: history.count, previous: history.latest, source: source.value, tag: tag,
            state: .pending, sector: sector, count: count, content: content)
        next += 1
        history.latest = next
        history.count += 1
        index[bucket] = next
        return .execute(next - 1)
    }

    /// A write that was to be carried out has ended.
    mutating func end(_ number: UInt64, succeeded: Bool) {
        if next - number <= UInt64(capacity) { entries[slot(number)].state = succeeded ? .done : .failed }
    }

    private func slot(_ number: UInt64) -> Int { Int(number & UInt64(capacity - 1)) }

    /// nil where the write is none that the window has seen, or one that may be carried out all the same.
    private mutating func judgeCopy(
        _ history: WriteHistory, _ bucket: Int, _ source: MACAddress, _ tag: UInt32, _ sector: Int64, _ count: Int,
        _ content: UInt64
    ) -> Judgement? {
        guard index[bucket] > 0, next - (index[bucket] - 1) <= UInt64(capacity) else { return nil }
        let number = index[bucket] - 1
        let earlier = entries[slot(number)]
        guard earlier.target == history.target, history.count - earlier.ordinal <= UInt64(Self.perTarget),
            earlier.source == source.value, earlier.sector == sector, earlier.count == count,
            earlier.content == content
        else { return nil }
        let isSameTag = earlier.tag == tag
        switch earlier.state {
        case .failed: return nil
        case .pending: return isSameTag ? .drop : nil
        case .done: break
        }
        guard isOverwritten(history, since: number) else { return isSameTag ? .acknowledge : nil }
        // The lower half of Linux's tags counts its requests: a lower one was sent before.
        let isEarlier = Int16(truncatingIfNeeded: tag &- earlier.tag) < 0
        return (isSameTag || isEarlier) && passesOver(source, tag) ? .drop : nil
    }

    private func isOverwritten(_ history: WriteHistory, since number: UInt64) -> Bool {
        let earlier = entries[slot(number)]
        // What is younger than a write that is remembered is remembered too.
        var position = history.latest
        while position > number + 1 {
            let later = entries[slot(position - 1)]
            if later.sector < earlier.sector + Int64(earlier.count), earlier.sector < later.sector + Int64(later.count),
                later.state != .failed
            {
                return true
            }
            position = later.previous
        }
        return false
    }

    /// Whether the frame has not been passed over already.
    private mutating func passesOver(_ source: MACAddress, _ tag: UInt32) -> Bool {
        let mark = Self.mix(source.value << 16 ^ UInt64(tag)) | 1
        for position in 0..<Self.shedCapacity where shed[position] == mark {
            shed[position] = 0
            return false
        }
        shed[nextShed] = mark
        nextShed = (nextShed + 1) % Self.shedCapacity
        return true
    }

    /// The finishing steps of MurmurHash3's 64 bits.
    @inline(__always) private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ mixed >> 33) &* 0xff51_afd7_ed55_8ccd
        mixed = (mixed ^ mixed >> 33) &* 0xc4ce_b9fe_1a85_ec53
        return mixed ^ mixed >> 33
    }

    /// A hash over whole sectors: four lanes, so that the processor multiplies several at a time, each of two words folded
    /// into one.
    private static func hash(_ bytes: UnsafeRawPointer, count: Int, seed: UInt64) -> UInt64 {
        var (first, second, third, fourth) = (seed, ~seed, mix(seed), mix(~seed))
        var offset = 0
        while offset < count {
            first = fold(first, bytes, offset, seed)
            second = fold(second, bytes, offset + 16, seed)
            third = fold(third, bytes, offset + 32, seed)
            fourth = fold(fourth, bytes, offset + 48, seed)
            offset += 64
        }
        return mix(first ^ mix(second ^ mix(third ^ mix(fourth))))
    }

    @inline(__always) private static func fold(
        _ lane: UInt64, _ bytes: UnsafeRawPointer, _ offset: Int, _ secret: UInt64
    ) -> UInt64 {
        let low = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let high = bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
        let product = (low ^ secret).multipliedFullWidth(by: high ^ lane)
        return product.high ^ product.low &+ lane
    }
}

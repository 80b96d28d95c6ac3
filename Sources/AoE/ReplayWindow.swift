/// What the replay window has to know of one target.
struct WriteHistory {
    /// Not used again for another target of this process.
    let target: UInt64
    /// The number of its latest write or trim, plus one; 0 for none.
    fileprivate var latest: UInt64 = 0
    /// How many there have been, of which only differences are of interest.
    fileprivate var count: UInt32 = 0

    init(target: UInt64) { self.target = target }
}

/// Remembers the last writes, so that a copy of one of them that arrives late does not undo a later one. A trim is a
/// write, too.
///
/// Networks duplicate and delay frames, and initiators send a write again. Linux's does so under another tag, where it has
/// several interfaces from another address, and with the page as it is by then (skb_fillup puts pages into frames, resend
/// sends them again, drivers/block/aoe/aoecmd.c): even the bytes of a copy need not be those of its original. So a copy is
/// known by where it writes and by its tag, which tells whether it was sent before what was carried out there, and never by
/// who has sent it. As long as the same bytes are in its sectors it is answered: it is done. Otherwise a frame that looks
/// like a copy is passed over, and so are all that look like one of the same write for the next second. Nobody waits for an
/// answer to a copy. A write that only looks like one, because its initiator reuses tags or another host's clock says
/// something else, is sent again by its initiator, and carried out after that second. So nothing is ever answered that was
/// not done.
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

    private struct Write {
        let target: UInt64
        let content: UInt64
        let sector: Int64
        /// The first sector behind it.
        let end: Int64
        let tag: UInt32

        @inline(__always) func isAtSamePlace(as other: Write) -> Bool {
            sector == other.sector && end == other.end && target == other.target
        }

        /// Whether they write the same to the same place.
        @inline(__always) func isSame(as other: Write) -> Bool {
            content == other.content && isAtSamePlace(as: other)
        }

        /// Whether it was sent before the other one, where both have the tags of one host. Linux's have its clock in the
        /// lower half, and a count of its requests in the upper one (newtag, drivers/block/aoe/aoecmd.c); others count in
        /// the lower half. With other bytes it may as well be a write of another host, whose clock says anything: then it
        /// has to be before in both halves, and not long. The same upper half is no host's count but a number that goes on
        /// in the lower one, which has gone round within few requests where it holds something else as well.
        @inline(__always) func wasSentBefore(_ other: Write) -> Bool {
            let ticks = Int16(truncatingIfNeeded: other.tag &- tag)
            let count = (other.tag >> 16 &- tag >> 16) & 0x7fff
            if ticks == 0 { return count > 0 && count < 0x4000 }
            if content == other.content { return ticks > 0 }
            guard count > 0 else { return other.tag > tag && other.tag &- tag <= UInt32(Write.late) }
            return ticks > 0 && ticks <= Write.late && count < 0x4000
        }

        /// What Linux's clock counts in the time for which copies are expected, at 1000 ticks a second.
        private static let late: Int16 = 10_000
    }

    /// A line of the processor's cache. Earlier ones are named by how far their numbers lie before its own; 0 for none.
    private struct Entry {
        let write: Write
        /// Its place among those of its target.
        let ordinal: UInt32
        /// The one of its target before it.
        let previous: UInt32
        /// The next ones in the lists of their hashes, with the tag and without.
        let sameFrame: UInt32
        let samePlace: UInt32
        let received: UInt32
        /// When the first frame that looked like a late copy of it was passed over; 0 for never.
        var passedOver: UInt32
        var state: State
    }

    /// The writes of one target that are remembered at most. At 200,000 writes a second they are 20 ms, which is long
    /// for a network that duplicates. It bounds, too, what looking for a later write on the same sectors costs.
    static let perTarget = 4096
    /// How long copies of one write are passed over after the first of them.
    private static let patience = UInt32(1_000_000_000 >> 20)
    /// How long after a retransmission its first copy may arrive: longer than a network card keeps a frame that it
    /// cannot send, and less than half of what Linux's tags count, which is 32 seconds at 1000 ticks a second.
    private static let overtaking = UInt32(10_000_000_000 >> 20)
    /// The writes to one place that are looked at for one that was sent later. There are more only where one place is
    /// written all the time, and there the newest tell.
    private static let depth = 16
    private let capacity: Int
    private let entries: UnsafeMutablePointer<Entry>
    /// Where the lists of entries with the same hash begin, the latest first: its number, plus one; 0 for none. First
    /// the lists of places, then those of places and tags. Where an entry is too old to be there still, its list ends.
    private let heads: UnsafeMutablePointer<UInt64>
    private var next: UInt64 = 0
    /// Clients must not be able to find contents, or places, with the same hash.
    private let seed = UInt64.random(in: .min ... .max)

    /// - Parameter capacity: the writes of all targets that are remembered; a power of two.
    init(capacity: Int = perTarget) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0)
        self.capacity = capacity
        entries = UnsafeMutableRawPointer.allocate(byteCount: capacity * MemoryLayout<Entry>.stride, alignment: 64)
            .bindMemory(to: Entry.self, capacity: capacity)
        heads = .allocate(capacity: 4 * capacity)
        heads.initialize(repeating: 0, count: 4 * capacity)
    }

    deinit {
        entries.deallocate()
        heads.deallocate()
    }

    /// - Parameter now: when the write was received, in nanoseconds of `Clock`.
    mutating func judge(
        _ history: inout WriteHistory, tag: UInt32, sector: Int64, count: Int, bytes: UnsafeRawPointer, at now: Int64
    ) -> Judgement {
        let content = Self.hash(bytes, count: count * Wire.sectorSize, seed: seed)
        let write = Write(
            target: history.target, content: content, sector: sector, end: sector + Int64(count), tag: tag)
        return judge(write, &history, Self.moment(now))
    }

    /// The same for a trim, which changes sectors that may lie anywhere between two.
    /// - Parameter ranges: one sector, as it was received.
    mutating func judgeTrim(
        _ history: inout WriteHistory, tag: UInt32, from first: Int64, to end: Int64, ranges: UnsafeRawPointer,
        at now: Int64
    ) -> Judgement {
        // With another seed it is never the same as a write of these bytes.
        let content = Self.hash(ranges, count: Wire.sectorSize, seed: ~seed)
        let write = Write(target: history.target, content: content, sector: first, end: end, tag: tag)
        return judge(write, &history, Self.moment(now))
    }

    /// What was to be carried out has ended.
    mutating func end(_ number: UInt64, succeeded: Bool) {
        if isRemembered(number) { entries[slot(number)].state = succeeded ? .done : .failed }
    }

    private mutating func judge(_ write: Write, _ history: inout WriteHistory, _ now: UInt32) -> Judgement {
        let key = Self.mix(
            seed ^ write.target ^ Self.mix(UInt64(bitPattern: write.sector &* 0x1_0001 &+ write.end)))
        let mask = UInt64(2 * capacity - 1)
        let places = heads + Int(key & mask)
        let frames = heads + 2 * capacity + Int(Self.mix(key ^ UInt64(write.tag)) & mask)
        if let verdict = judgeCopy(history, write, frames.pointee, places.pointee, now) { return verdict }
        entries[slot(next)] = Entry(
            write: write, ordinal: history.count, previous: distance(history.latest),
            sameFrame: distance(frames.pointee), samePlace: distance(places.pointee), received: now, passedOver: 0,
            state: .pending)
        next += 1
        history.latest = next
        history.count &+= 1
        frames.pointee = next
        places.pointee = next
        return .execute(next - 1)
    }

    private func slot(_ number: UInt64) -> Int { Int(number & UInt64(capacity - 1)) }

    private func isRemembered(_ number: UInt64) -> Bool { next - number <= UInt64(capacity) }

    /// How far a number, of which one more is given, lies before the next; 0 for none, and for what is forgotten then.
    private func distance(_ position: UInt64) -> UInt32 {
        position > 0 && next - position < UInt64(capacity - 1) ? UInt32(truncatingIfNeeded: next - position + 1) : 0
    }

    /// nil where the write is none that the window has seen, or one that may be carried out all the same.
    private func judgeCopy(
        _ history: WriteHistory, _ write: Write, _ frames: UInt64, _ places: UInt64, _ now: UInt32
    ) -> Judgement? {
        guard let number = findFrame(write, history, from: frames) else {
            return judgeLate(history, write, places, now)
        }
        let sent = entries + slot(number)
        if sent.pointee.write.content == write.content { return judgeSame(history, number, now) }
        // A tag that is used again for other bytes, or the frame with its page as that was when it left.
        return now &- sent.pointee.received < Self.overtaking ? judgeOther(number, now) : nil
    }

    /// The same: a write that was sent before one that has arrived already.
    private func judgeLate(
        _ history: WriteHistory, _ write: Write, _ places: UInt64, _ now: UInt32
    ) -> Judgement? {
        var position = places
        for _ in 0..<Self.depth {
            guard position > 0, isRemembered(position - 1) else { return nil }
            let (number, entry) = (position - 1, entries + slot(position - 1))
            guard now &- entry.pointee.received < Self.overtaking else { return nil }
            if entry.pointee.write.isAtSamePlace(as: write), write.wasSentBefore(entry.pointee.write) {
                // Whether older ones are overwritten takes too long to find out: they are passed over.
                return entry.pointee.write.content == write.content && isRecent(entry, history)
                    ? judgeSame(history, number, now) : judgeOther(number, now)
            }
            if entry.pointee.samePlace == 0 { return nil }
            position -= UInt64(entry.pointee.samePlace)
        }
        return nil
    }

    /// What to do with the same bytes for the same place once more.
    private func judgeSame(_ history: WriteHistory, _ number: UInt64, _ now: UInt32) -> Judgement? {
        switch entries[slot(number)].state {
        case .pending: return .drop
        case .done where !isOverwritten(history, since: number): return .acknowledge
        case .failed where !isOverwritten(history, since: number): return nil
        case .done, .failed: return passesOver(number, now) ? .drop : nil
        }
    }

    /// What to do with other bytes for the same place that were sent before, or at the same time.
    private func judgeOther(_ number: UInt64, _ now: UInt32) -> Judgement? {
        entries[slot(number)].state == .pending || passesOver(number, now) ? .drop : nil
    }

    /// The target's latest write to this place with this tag; nil where none is remembered.
    private func findFrame(_ write: Write, _ history: WriteHistory, from head: UInt64) -> UInt64? {
        guard head > 0 else { return nil }
        var number = head - 1
        while isRemembered(number) {
            let entry = entries + slot(number)
            if entry.pointee.write.tag == write.tag, entry.pointee.write.isAtSamePlace(as: write) {
                return isRecent(entry, history) ? number : nil
            }
            if entry.pointee.sameFrame == 0 { return nil }
            number -= UInt64(entry.pointee.sameFrame)
        }
        return nil
    }

    /// Whether a write of the target is among the last that are remembered of it.
    private func isRecent(_ entry: UnsafeMutablePointer<Entry>, _ history: WriteHistory) -> Bool {
        history.count &- entry.pointee.ordinal <= UInt32(Self.perTarget)
    }

    /// Whether anything else has been written to its sectors, or may have been: what fails half way has written too.
    private func isOverwritten(_ history: WriteHistory, since number: UInt64) -> Bool {
        let earlier = entries[slot(number)].write
        // What is younger than a write that is remembered is remembered too.
        var position = history.latest - 1
        while position > number {
            let later = entries + slot(position)
            if later.pointee.write.sector < earlier.end, earlier.sector < later.pointee.write.end,
                !later.pointee.write.isSame(as: earlier)
            {
                return true
            }
            position -= UInt64(later.pointee.previous)
        }
        return false
    }

    /// Whether late copies of a write are still passed over: who sends it a second after the first of them wants it.
    private func passesOver(_ number: UInt64, _ now: UInt32) -> Bool {
        let entry = entries + slot(number)
        if entry.pointee.passedOver == 0 { entry.pointee.passedOver = now }
        return now &- entry.pointee.passedOver < Self.patience
    }

    /// Nanoseconds in a unit that is a little longer than a millisecond and costs no division. It begins again after 52
    /// days; never 0.
    private static func moment(_ nanoseconds: Int64) -> UInt32 { UInt32(truncatingIfNeeded: nanoseconds >> 20) | 1 }
}

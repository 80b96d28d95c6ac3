import CAIO
import CLinux
import Glibc

/// Requests of a batch that follow each other on the backing, on their way to become one transfer.
struct Transfer {
    var leader: Int32 = -1
    var last: Int32 = -1
    var changes = false
    var end: Int64 = 0
    var count = 0
}

extension BlockEngine {
    /// Starts everything that may start. Afterwards no request needs its caller's bytes any more. What is for the kernel
    /// waits for the pool's `submit`; an engine with its own pool calls that itself.
    public mutating func submit() {
        hasLooked = false
        var progressed = true
        // Through the page cache a transfer has ended when it was started, and those that waited for it may start too.
        while progressed, !queue.isEmpty { progressed = startQueued() && !backing.isDirect }
        keepBytes()
        startSync()
        ownPool?.submit()
    }

    /// One pass over the queue. Returns whether anything was started.
    private mutating func startQueued() -> Bool {
        var waiting = SlotList()
        var progressed = false
        while !queue.isEmpty {
            let index = queue.removeFirst(in: slots)
            if mayStart(Int(index), waitingBefore: waiting) {
                start(Int(index))
                progressed = true
            } else {
                waiting.append(index, in: slots)
            }
        }
        queue = waiting
        closeTransfer()
        return progressed
    }

    private func mayStart(_ index: Int, waitingBefore: SlotList) -> Bool {
        if changingCount == 0 { return true }
        let request = slots[index]
        if request.operation == .flush {
            return !anyRunning(waitingBefore) { $0.operation.changes && $0.sequence < request.sequence }
        }
        return !anyRunning(waitingBefore) { $0.conflicts(with: request) }
    }

    @inline(__always)
    private func anyRunning(_ waiting: SlotList, _ matches: (Slot) -> Bool) -> Bool {
        var index = firstRunning
        while index >= 0 {
            if matches(slots[Int(index)]) { return true }
            index = slots[Int(index)].runningAfter
        }
        index = waiting.first
        while index >= 0 {
            if matches(slots[Int(index)]) { return true }
            index = slots[Int(index)].next
        }
        return false
    }

    /// Whether a read may be answered from the mapping. A file that has become shorter shows zeros up to the end of its
    /// last page, where a read would be short: its length is looked at once for the reads of a batch.
    private mutating func mapsRead() -> Bool {
        guard mapping != nil else { return false }
        if !hasLooked {
            hasLooked = true
            mapsWhole = backing.isWhole
        }
        return mapsWhole
    }

    private mutating func start(_ index: Int) {
        addRunning(index)
        switch slots[index].operation {
        case .flush:
            removeRunning(index)
            slots[index].state = .unsynced
            unsynced.append(Int32(index), in: slots)
        case .trim:
            end(index, trimAll(index))
        case .read where mapsRead():
            slots[index].data = mapping.unsafelyUnwrapped + Int(slots[index].offset)
            completed.append(Int32(index), in: slots)
        case .read, .verify:
            slots[index].data = ownBytes(index) + Int(slots[index].offset - slots[index].start)
            if backing.isDirect { join(index) } else { end(index, readThroughCache(index)) }
        case .write:
            if backing.isDirect { prepareDirectWrite(index) }
            join(index)
        }
    }

    private func trimAll(_ index: Int) -> Int32 {
        let ranges = trimRanges(index)
        for position in 0..<slots[index].length {
            let result = backing.trim(ranges[position])
            if result != 0 { return result }
        }
        return 0
    }

    /// Brings the bytes of a write to where direct I/O takes them from; those of an unaligned one beside it, until the
    /// blocks around them have been read.
    private mutating func prepareDirectWrite(_ index: Int) {
        let request = slots[index]
        let isWhole = request.offset == request.start && request.end == request.start + Int64(request.length)
        let place = isWhole ? ownBytes(index) : staging(index)
        if let data = request.data, data != place { place.copyMemory(from: data, byteCount: request.length) }
        slots[index].data = place
        slots[index].isFilled = isWhole
    }

    /// Adds a request to the transfer that is being made, or begins another one.
    mutating func join(_ index: Int) {
        let request = slots[index]
        let changes = request.operation == .write && (request.isFilled || !backing.isDirect)
        let joins =
            transfer.leader >= 0 && transfer.changes == changes && transfer.end == request.start
            && transfer.count < BlockPool.mergeLimit && !request.isAlone && !slots[Int(transfer.leader)].isAlone
        if !joins {
            closeTransfer()
            transfer.leader = Int32(index)
            transfer.changes = changes
        } else {
            slots[Int(transfer.last)].next = Int32(index)
        }
        slots[index].next = -1
        let isOwn = backing.isDirect
        vector(transfer.leader)[transfer.count] = iovec(
            iov_base: isOwn ? ownBytes(index) : request.data,
            iov_len: isOwn ? Int(request.end - request.start) : request.length)
        transfer.last = Int32(index)
        transfer.end = request.end
        transfer.count += 1
    }

    /// Hands the transfer that was being made to the kernel's queue, or through the page cache at once.
    mutating func closeTransfer() {
        guard transfer.leader >= 0 else { return }
        let made = transfer
        transfer = Transfer()
        let leader = Int(made.leader)
        let offset = slots[leader].start
        guard backing.isDirect else { return writeThroughCache(made) }
        let control = shared.pointee.controls + leader
        if made.changes {
            io_prep_pwritev(control, backing.descriptor, vector(made.leader), Int32(made.count), offset)
        } else {
            io_prep_preadv(control, backing.descriptor, vector(made.leader), Int32(made.count), offset)
        }
        giveToKernel(leader)
    }

    /// Leaves the control of a slot for the pool's `submit`.
    func giveToKernel(_ leader: Int) {
        let control = shared.pointee.controls + leader
        io_set_eventfd(control, shared.pointee.completionDescriptor)
        control.pointee.data = mark(leader)
        shared.pointee.submissions[shared.pointee.submissionCount] = control
        shared.pointee.submissionCount += 1
    }

    private func vector(_ leader: Int32) -> UnsafeMutablePointer<iovec> {
        shared.pointee.vectors + Int(leader) * BlockPool.mergeLimit
    }

    /// Copies what waiting writes still have in their caller's memory.
    private mutating func keepBytes() {
        var waiting = queue.first
        while waiting >= 0 {
            let index = Int(waiting)
            waiting = slots[index].next
            guard slots[index].operation == .write, let data = slots[index].data else { continue }
            let place = backing.blockSize > 512 ? staging(index) : ownBytes(index)
            if data != place {
                place.copyMemory(from: data, byteCount: slots[index].length)
                slots[index].data = place
            }
        }
    }

    /// Writes a transfer at once; where that fails each request alone, for nobody knows whose fault it was.
    private mutating func writeThroughCache(_ made: Transfer) {
        let first = Int(made.leader)
        let offset = slots[first].offset
        let count = Self.untilDone {
            pwritev(backing.descriptor, vector(made.leader), Int32(made.count), off_t(offset))
        }
        if count == Int(made.end - offset) || made.count == 1 {
            return endTransfer(made.leader, count < 0 ? -Int(errno) : count)
        }
        var member = made.leader
        while member >= 0 {
            let index = Int(member)
            member = slots[index].next
            let request = slots[index]
            let count = Self.untilDone {
                pwrite(backing.descriptor, request.data, request.length, off_t(request.offset))
            }
            end(index, count == request.length ? 0 : count < 0 ? errno : Self.shortTransfer)
        }
    }

    /// A plain read of the bytes asked for, through the page cache. Returns 0 or the error.
    func readThroughCache(_ index: Int) -> Int32 {
        let request = slots[index]
        let count = Self.untilDone {
            pread(backing.descriptor, ownBytes(index), request.length, off_t(request.offset))
        }
        if count < 0 { return errno }
        return count == request.length ? 0 : Self.shortTransfer
    }

    /// A completion of the ring, too, interrupts a transfer on file systems that can be interrupted.
    @inline(__always)
    private static func untilDone(_ transfer: () -> Int) -> Int {
        while true {
            let count = transfer()
            if count >= 0 || errno != EINTR { return count }
        }
    }

    private mutating func addRunning(_ index: Int) {
        slots[index].state = .running
        slots[index].runningBefore = -1
        slots[index].runningAfter = firstRunning
        if firstRunning >= 0 { slots[Int(firstRunning)].runningBefore = Int32(index) }
        firstRunning = Int32(index)
    }

    mutating func removeRunning(_ index: Int) {
        let (before, after) = (slots[index].runningBefore, slots[index].runningAfter)
        if before >= 0 { slots[Int(before)].runningAfter = after } else { firstRunning = after }
        if after >= 0 { slots[Int(after)].runningBefore = before }
        if slots[index].operation.changes { changingCount -= 1 }
    }
}

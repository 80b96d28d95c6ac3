import CAIO
import CLinux
import Glibc

extension BlockEngine {
    /// An eventfd that becomes readable with each transfer that the kernel has ended; then call `reap`.
    public var completionDescriptor: Int32 { shared.pointee.completionDescriptor }

    /// Takes from the kernel what it has ended, and starts what waited for it. Only for an engine with its own pool.
    public mutating func reap() {
        guard let count = ownPool?.collect(), count > 0 else { return }
        for position in 0..<count { if let completion = ownPool?.completion(position) { end(completion) } }
        settle()
    }

    /// Takes one of the pool's completions that is this engine's; after the last one call `settle`.
    public mutating func end(_ completion: BlockPool.Completion) { endControl(completion.leader, completion.result) }

    /// Starts what has waited for the completions that were taken; then call the pool's `submit`.
    public mutating func settle() {
        closeTransfer()
        submit()
    }

    /// What the control of a slot came to.
    mutating func endControl(_ leader: Int, _ result: Int) {
        // Only a request that is written already can have led the group of a sync.
        if slots[leader].state == .unsynced { endSync(result) } else { endTransfer(Int32(leader), result) }
    }

    /// Ends each request of a transfer. Where a merged one has failed or came back short, nobody knows whose fault it
    /// was: each is tried again alone.
    mutating func endTransfer(_ leader: Int32, _ result: Int) {
        var expected = 0
        var member = leader
        while member >= 0 {
            expected +=
                backing.isDirect ? Int(slots[Int(member)].end - slots[Int(member)].start) : slots[Int(member)].length
            member = slots[Int(member)].next
        }
        let isMerged = slots[Int(leader)].next >= 0
        member = leader
        while member >= 0 {
            let index = Int(member)
            member = slots[index].next
            if result == expected {
                endPart(index)
            } else if isMerged {
                tryAlone(index)
            } else {
                end(index, result < 0 ? Int32(-result) : Self.shortTransfer)
            }
        }
    }

    /// A transfer of the slot has ended well: the request has too, unless it was the first half of an unaligned write.
    private mutating func endPart(_ index: Int) {
        let request = slots[index]
        guard request.operation == .write, backing.isDirect, !request.isFilled else { return end(index, 0) }
        let place = ownBytes(index) + Int(request.offset - request.start)
        place.copyMemory(from: request.data.unsafelyUnwrapped, byteCount: request.length)
        slots[index].isFilled = true
        join(index)
    }

    /// Puts a request back to its place in the order of arrival.
    private mutating func tryAlone(_ index: Int) {
        removeRunning(index)
        if slots[index].operation.changes { changingCount += 1 }
        slots[index].isAlone = true
        slots[index].state = .queued
        queue.insert(Int32(index), in: slots)
    }

    /// Ends a running request; a good write of a durable engine still has to be synced.
    mutating func end(_ index: Int, _ result: Int32) {
        removeRunning(index)
        // What a sync has failed meanwhile stays failed.
        if result != 0 { slots[index].result = result }
        if slots[index].result == 0, slots[index].operation.changes, durability == .durable {
            slots[index].state = .unsynced
            unsynced.append(Int32(index), in: slots)
        } else {
            slots[index].state = .done
            completed.append(Int32(index), in: slots)
        }
    }

    /// Begins a sync for everything that waits for one, unless one is under way: it may have begun before some of it was
    /// written. While one runs the next group gathers.
    mutating func startSync() {
        guard !isSyncing, !unsynced.isEmpty else { return }
        swap(&syncing, &unsynced)
        isSyncing = true
        syncCount += 1
        let leader = Int(syncing.first)
        io_prep_fdsync(shared.pointee.controls + leader, backing.descriptor)
        giveToKernel(leader)
    }

    /// Ends every request that a sync has covered. One that has failed fails, too, what was written while it ran: the
    /// kernel tells of what it has lost only once, and would tell the next sync that all is well.
    private mutating func endSync(_ result: Int) {
        isSyncing = false
        let error = result < 0 ? Int32(-result) : 0
        while !syncing.isEmpty { endSynced(syncing.removeFirst(in: slots), error) }
        if error != 0 { failWritten(error) }
    }

    private mutating func endSynced(_ index: Int32, _ result: Int32) {
        slots[Int(index)].state = .done
        slots[Int(index)].result = result
        completed.append(index, in: slots)
    }

    private mutating func failWritten(_ error: Int32) {
        while !unsynced.isEmpty { endSynced(unsynced.removeFirst(in: slots), error) }
        // The device may be done with those under way, and have lost them with the others. That holds without a sync for each
        // write, too: who has asked for this one is told of what ended before it, and the next would vouch for the rest.
        var index = firstRunning
        while index >= 0 {
            if slots[Int(index)].operation == .write { slots[Int(index)].result = error }
            index = slots[Int(index)].runningAfter
        }
    }
}

import BlockServer
import CLinux
import Glibc

/// What is done for every frame.
extension AoEServer {
    /// Frames of an interface that are looked at before answers are sent.
    private static let batch = 64
    private static let sendLimitMilliseconds: Int64 = 1_000

    /// One batch. Returns whether there is more to do at once.
    mutating func round() -> Bool {
        var now = Clock.nanoseconds()
        var taken = 0
        // The first one gets what room there is. It is the next one's turn only when frames were taken: by the rounds it
        // could always be the same one's, as each completion takes a round of its own, and what it makes room for another.
        if firstPort >= ports.end { firstPort = 0 }
        var turn = firstPort
        for _ in 0..<ports.end {
            if ports.holds(turn) { taken += takeFrames(turn, now) }
            turn = turn + 1 < ports.end ? turn + 1 : 0
        }
        if taken > 0 { firstPort += 1 }
        if taken > 0 || activeCount > 0 { submitActive() }
        for port in 0..<ports.end where ports.holds(port) { ports[port].pointee.packets.giveBack() }
        if activeCount > 0 {
            collect()
            now = Clock.nanoseconds()
            answerActive(now)
        }
        for port in 0..<ports.end where ports.holds(port) { transmit(port) }
        return retireIdle() || hasFrames
    }

    /// Whether frames wait that can be taken.
    var hasFrames: Bool {
        for port in 0..<ports.end where ports.holds(port) {
            if ports[port].pointee.packets.hasFrame, !isBlocked(port) { return true }
        }
        return false
    }

    /// Whether an interface's frames have to wait. With one target they do so in the ring, until it has room. With
    /// several they would be in the way of the others'.
    @inline(__always) private func isBlocked(_ port: Int) -> Bool {
        let only = ports[port].pointee.onlyTarget
        return only >= 0 && !exports[only].pointee.hasRoom
    }

    /// Something has to be tried again soon, although nothing will tell when: the kernel had no room.
    var isStalled: Bool {
        for port in 0..<ports.end where ports.holds(port) && ports[port].pointee.stuckSince > 0 { return true }
        return blockPool.isStalled
    }

    /// Takes a batch of an interface's frames. Returns how many.
    private mutating func takeFrames(_ number: Int, _ now: Int64) -> Int {
        let port = ports[number]
        var taken = 0
        while taken < Self.batch, port.pointee.packets.hasFrame, !isBlocked(number) {
            taken += 1
            if let frame = port.pointee.packets.next(), frame.length >= Wire.headerLength {
                dispatch(frame, number, now)
            }
        }
        return taken
    }

    /// Brings a frame to the target that it is for; those with wildcards to all that they mean.
    private mutating func dispatch(_ frame: FrameView, _ port: Int, _ now: Int64) {
        let (shelf, slot) = (frame.half(Wire.Offset.shelf), frame.byte(Wire.Offset.slot))
        if shelf == 0xffff || slot == 0xff {
            for target in 0..<exports.end where exports.holds(target) {
                if exports[target].pointee.machine.address.answers(shelf: shelf, slot: slot) {
                    deliver(frame, target, port, now)
                }
            }
        } else {
            let target = addresses.find(shelf: shelf, slot: slot)
            if target >= 0 { deliver(frame, target, port, now) }
        }
    }

    private mutating func deliver(_ frame: FrameView, _ target: Int, _ number: Int, _ now: Int64) {
        let (export, port) = (exports[target], ports[number])
        guard export.pointee.isServed(on: number) else { return }
        // Many targets may answer one frame.
        if port.pointee.queue.room == 0 { transmit(number) }
        guard export.pointee.hasRoom, port.pointee.queue.room > 0 else {
            export.pointee.counters.dropped &+= 1
            return
        }
        export.pointee.machine.ownAddress = port.pointee.interface.address
        export.pointee.machine.maximumSectors = port.pointee.maximumSectors
        export.pointee.receive(frame, port: number, at: now, &port.pointee.queue, &commons)
        if !export.pointee.isActive, !export.pointee.engine.isIdle {
            export.pointee.isActive = true
            active[activeCount] = Int32(target)
            activeCount += 1
        }
        if export.pointee.hasNews { advertiseNews(of: target) }
    }

    /// Starts what was received.
    private mutating func submitActive() {
        for position in 0..<activeCount {
            let engine = exports[Int(active[position])]
            if engine.pointee.engine.hasWork { engine.pointee.engine.submit() }
        }
        blockPool.submit()
    }

    /// Gives every target what the kernel has ended of it.
    private mutating func collect() {
        let count = blockPool.collect()
        if count == 0 { return }
        for position in 0..<count {
            let completion = blockPool.completion(position)
            exports[completion.engine].pointee.engine.end(completion)
        }
        for position in 0..<activeCount { exports[Int(active[position])].pointee.engine.settle() }
        blockPool.submit()
    }

    /// Queues the answers to what has ended, each on the interface that its request came from.
    private mutating func answerActive(_ now: Int64) {
        for position in 0..<activeCount {
            let export = exports[Int(active[position])]
            while let number = export.pointee.nextAnswerPort(commons) {
                let port = ports[number]
                if port.pointee.queue.room == 0 { transmit(number) }
                if port.pointee.queue.room > 0 {
                    export.pointee.answer(at: now, &port.pointee.queue, &commons)
                } else {
                    export.pointee.dropAnswer(at: now, &commons)
                }
            }
        }
    }

    /// Sends what is queued for an interface. What an interface does not take at once is tried again for a second, while
    /// the others are served, and then given up: initiators ask again.
    mutating func transmit(_ number: Int) {
        let port = ports[number]
        if port.pointee.queue.count == 0 { return }
        while port.pointee.queue.sent < port.pointee.queue.count {
            let position = port.pointee.queue.sent
            let count = xenlvs_sendmmsg(
                port.pointee.packets.descriptor, port.pointee.queue.messages + position,
                UInt32(port.pointee.queue.count - position), Int32(MSG_DONTWAIT))
            if count > 0 {
                port.pointee.queue.sent += Int(count)
                continue
            }
            switch errno {
            case EINTR: continue
            case EFAULT: repair(port, position)
            case EAGAIN, ENOBUFS:
                if waits(port) { return }
            case ENETDOWN:
                // The socket tells of it only once.
                port.pointee.wasDown = true
                giveUp(port, position)
            default: giveUp(port, position)
            }
        }
        port.pointee.stuckSince = 0
        release(port)
    }

    /// Whether an interface that takes no frames is waited for still; otherwise what it was to send is given up.
    private func waits(_ port: UnsafeMutablePointer<Port>) -> Bool {
        let now = Clock.milliseconds()
        if port.pointee.stuckSince == 0 { port.pointee.stuckSince = now }
        if now - port.pointee.stuckSince < Self.sendLimitMilliseconds { return true }
        while port.pointee.queue.sent < port.pointee.queue.count { giveUp(port, port.pointee.queue.sent) }
        return false
    }

    private func giveUp(_ port: UnsafeMutablePointer<Port>, _ position: Int) {
        let owner = port.pointee.queue.owner(position)
        if !owner.isNone { exports[owner.number].pointee.counters.dropped &+= 1 }
        port.pointee.queue.sent = position + 1
    }

    private func repair(_ port: UnsafeMutablePointer<Port>, _ position: Int) {
        let owner = port.pointee.queue.owner(position)
        if owner.isNone {
            giveUp(port, position)
        } else {
            exports[owner.number].pointee.repair(owner.place, position, port.pointee.queue, commons)
        }
    }

    /// Empties a queue, whose frames are sent or given up, and frees their slots.
    private func release(_ port: UnsafeMutablePointer<Port>) {
        for position in 0..<port.pointee.queue.count {
            let owner = port.pointee.queue.owner(position)
            if !owner.isNone { exports[owner.number].pointee.engine.release(owner.place) }
        }
        port.pointee.queue.removeAll()
    }

    /// Takes the targets without requests from the list. Returns whether one of the others can go on at once.
    private mutating func retireIdle() -> Bool {
        var kept = 0
        var isReady = false
        for position in 0..<activeCount {
            let export = exports[Int(active[position])]
            if export.pointee.engine.isIdle {
                export.pointee.isActive = false
                export.pointee.formerPorts = 0
            } else {
                if export.pointee.engine.isReady { isReady = true }
                active[kept] = active[position]
                kept += 1
            }
        }
        activeCount = kept
        return isReady
    }
}

import BlockServer
import Glibc
import HostModel

/// Adding, changing and removing targets while others are served. For the server's own thread; others use `ServerOrders`.
extension AoEServer {
    /// Takes a target in, which is served on no interface yet. Throws `.busy` where its address is served already, and
    /// `.refused` where there are too many.
    public mutating func add(_ export: consuming Export) throws(Failure) -> TargetID {
        let address = export.machine.address
        precondition(limits.shard.holds(address), "its frames do not come here")
        guard addresses.find(shelf: address.shelf, slot: address.slot) < 0 else {
            throw Failure(.busy, "cannot serve \(address)", why: "this process serves that address already")
        }
        guard let number = exports.firstFree else {
            throw Failure(.refused, "cannot serve \(address)", why: "there are \(exports.capacity) targets already")
        }
        generations[number] = Generation.next()
        export.number = number
        exports.put(export, at: number)
        addresses.set(address, to: number)
        return TargetID(number: number, generation: generations[number])
    }

    /// Serves a target on an interface from now on, and announces it there. Throws `.notFound` where there is no such
    /// interface, `.refused` where there are too many or it is not Ethernet.
    public mutating func serve(_ id: TargetID, on interface: String) throws(Failure) {
        let target = try number(of: id)
        let port = try self.port(on: interface)
        guard !exports[target].pointee.isServed(on: port) else { return }
        exports[target].pointee.ports |= 1 << UInt64(port)
        countTargets(of: port)
        advertise(target, on: port)
        transmit(port)
    }

    private mutating func port(on name: String) throws(Failure) -> Int {
        removeIfUnused()
        for port in 0..<ports.end where ports.holds(port) && ports[port].pointee.name == name {
            guard ports[port].pointee.isBound else {
                throw Failure(.notFound, "cannot serve on the interface \(name)", why: "it has gone")
            }
            return port
        }
        guard let number = ports.firstFree else {
            throw Failure(
                .refused, "cannot serve on the interface \(name)",
                why: "targets are served on \(ports.capacity) interfaces already")
        }
        let port = try Port(
            on: name, shard: limits.shard, frames: limits.waitingFrames, answers: min(limits.requests, 256) + 64)
        // Edges, because frames that have to wait for room would be ready all the time. Those that need not wait are all
        // taken before events are waited for (`hasFrames`).
        try events.add(port.packets.descriptor, as: .frames, edges: true)
        ports.put(port, at: number)
        return number
    }

    mutating func countTargets(of port: Int) {
        var (count, last) = (0, -1)
        for target in 0..<exports.end
        where exports.holds(target) && exports[target].pointee.ports >> UInt64(port) & 1 == 1 {
            (count, last) = (count + 1, target)
        }
        ports[port].pointee.targetCount = count
        ports[port].pointee.onlyTarget = count == 1 ? last : -1
    }

    /// Lets the interfaces go on which no target is served any more. One stays while a target that was withdrawn there has
    /// something under way: its answer goes where the request came from. It goes with a later order then.
    mutating func removeIfUnused() {
        for port in 0..<ports.end where ports.holds(port) && ports[port].pointee.targetCount == 0 {
            var isOwed = false
            for target in 0..<exports.end where exports.holds(target) {
                if exports[target].pointee.formerPorts >> UInt64(port) & 1 == 1 { isOwed = true }
            }
            if !isOwed { _ = ports.remove(port) }
        }
    }

    /// Answers on an interface again and announces its targets there, unless it has fallen silent once more since.
    public mutating func speak(on name: String, after silence: UInt64) throws(Failure) {
        for number in 0..<ports.end where ports.holds(number) && ports[number].pointee.name == name {
            guard ports[number].pointee.silence == silence else { return }
            try ports[number].pointee.speak()
            guard ports[number].pointee.silence == nil else { return }
            for target in 0..<exports.end where exports.holds(target) { advertise(target, on: number) }
            transmit(number)
        }
    }

    /// Serves a target on an interface no longer; nothing happens where it is not. What it has under way there is answered.
    public mutating func withdraw(_ id: TargetID, from name: String) {
        let target = id.number
        guard exports.holds(target), generations[target] == id.generation else { return }
        for port in 0..<ports.end where ports.holds(port) && ports[port].pointee.name == name {
            exports[target].pointee.withdraw(from: port)
            countTargets(of: port)
        }
        removeIfUnused()
    }

    /// Takes no more frames for a target. What it has under way is brought to its end; then `remove` takes it out.
    public mutating func close(_ id: TargetID) throws(Failure) {
        exports[try number(of: id)].pointee.isLeaving = true
    }

    /// Takes a closed target out, whose address is free then; nil while it has requests under way. Whoever gets it lets
    /// it go: to close its backing may take a while.
    public mutating func remove(_ id: TargetID) throws(Failure) -> Export? {
        let target = try number(of: id)
        // One whose last answer has left since the last round, by another order, is on the list of active ones still.
        guard exports[target].pointee.isLeaving, exports[target].pointee.engine.isIdle,
            !exports[target].pointee.isActive
        else { return nil }
        let (address, served) = (exports[target].pointee.machine.address, exports[target].pointee.ports)
        addresses.clear(address)
        let export = exports.remove(target)
        for port in 0..<ports.end where served >> UInt64(port) & 1 == 1 { countTargets(of: port) }
        removeIfUnused()
        return export
    }

    /// Takes the present size of a target's backing and announces it where it has grown. Returns the size in bytes.
    public mutating func rescan(_ id: TargetID) throws(Failure) -> (size: ByteCount, hasGrown: Bool) {
        let target = try number(of: id)
        let hasGrown = try exports[target].pointee.grow()
        if hasGrown {
            for port in 0..<ports.end where ports.holds(port) {
                advertise(target, on: port)
                transmit(port)
            }
        }
        return (exports[target].pointee.engine.backing.size, hasGrown)
    }

    public func statistics(of id: TargetID) throws(Failure) -> ExportStatistics {
        exports[try number(of: id)].pointee.statistics(at: Clock.nanoseconds())
    }

    /// Every interface that a target is served on.
    public var portStatus: [PortStatus] {
        (0..<ports.end).compactMap { ports.holds($0) ? ports[$0].pointee.status : nil }
    }

    private func number(of id: TargetID) throws(Failure) -> Int {
        guard exports.holds(id.number), generations[id.number] == id.generation else {
            throw Failure(.notFound, "there is no such target any more")
        }
        return id.number
    }
}

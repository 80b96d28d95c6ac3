import BlockServer
import CLinux
import Glibc
import HostModel

extension AoEServer {
    private static let hopeLimit = 8
    private static let lookoutNanoseconds: Int64 = 25_000
    private static let drainLimitMilliseconds: Int64 = 30_000
    /// So that it is done before a second has passed: events are waited for that long.
    private static let lookAgainMilliseconds: Int64 = 500

    /// Serves until `stop` is readable; then no more frames are taken, and what is under way is brought to its end.
    /// - Parameter orders: what other threads ask of the server meanwhile.
    /// Throws `.outcomeUnknown` where ending takes longer than 30 seconds.
    public mutating func run(stop: Int32, orders: ServerOrders? = nil) throws(Failure) {
        try events.add(stop, as: .stop)
        if let orders { try events.add(orders.descriptor, as: .orders) }
        defer { orders?.close() }
        var rounds = 0
        while true {
            let isBusy = round()
            rounds &+= 1
            // While frames keep coming the others are looked at now and then.
            if isBusy || awaitsNext(), rounds & 63 != 0 { continue }
            let ready = events.wait(milliseconds: isBusy ? 0 : isStalled ? 1 : 1000)
            if ready.contains(.orders) { orders?.carryOut(&self) }
            if ready.contains(.stop) { break }
            if ready.contains(.links) || ready.contains(.frames) && !hasFrames && takeErrors() || isLookDue {
                interfacesChanged()
            }
        }
        try drain()
    }

    /// Looks out for a next frame for a moment, where the last ones came soon after their answers: an initiator with one
    /// request at a time then does not wait for this thread to wake up. Costs no more than going to sleep does.
    private mutating func awaitsNext() -> Bool {
        idleMoments &+= 1
        // Now and then it is tried without hope, to find out whether it pays again.
        guard activeCount == 0, hope > 0 || idleMoments & 31 == 0 else { return false }
        let end = Clock.nanoseconds() + Self.lookoutNanoseconds
        repeat {
            for _ in 0..<32 where hasFrames {
                hope = min(hope + 1, Self.hopeLimit)
                return true
            }
        } while Clock.nanoseconds() < end
        hope = max(hope - 1, 0)
        return false
    }

    /// Takes the errors of all sockets, which would keep them ready for ever. Returns whether an interface has been down
    /// since the last look.
    private func takeErrors() -> Bool {
        var wasDown = false
        for port in 0..<ports.end where ports.holds(port) {
            ports[port].pointee.takeError()
            if ports[port].pointee.wasDown { wasDown = true }
        }
        return wasDown
    }

    private var isLookDue: Bool { lookAt != 0 && Clock.milliseconds() >= lookAt }

    /// Looks at all interfaces again after one has changed; before long once more where the kernel does not say how one is.
    mutating func interfacesChanged() {
        links.drain()
        _ = takeErrors()
        var failures: [Failure] = []
        for number in 0..<ports.end where ports.holds(number) {
            switch ports[number].pointee.refresh() {
            case .none: break
            case .gone: report("the interface \(ports[number].pointee.name) has gone; waiting for it to come back")
            case .failed(let failure): failures.append(failure)
            case .changed: if ports[number].pointee.interface.isUp { advertiseAll(on: number) }
            }
        }
        for failure in failures where !lookFailures.contains(failure) { report(failure.description) }
        lookFailures = failures
        lookAt = failures.isEmpty ? 0 : Clock.milliseconds() + Self.lookAgainMilliseconds
    }

    private mutating func advertiseAll(on port: Int) {
        for target in 0..<exports.end where exports.holds(target) { advertise(target, on: port) }
        transmit(port)
    }

    /// Queues the announcement of a target for an interface that it is served on, unless that is silent: all are announced
    /// when it speaks again.
    mutating func advertise(_ target: Int, on number: Int) {
        let (export, port) = (exports[target], ports[number])
        guard export.pointee.isServed(on: number), port.pointee.silence == nil else { return }
        if port.pointee.queue.room == 0 { transmit(number) }
        guard port.pointee.queue.room > 0 else { return }
        export.pointee.machine.ownAddress = port.pointee.interface.address
        export.pointee.machine.maximumSectors = port.pointee.maximumSectors
        export.pointee.advertise(&port.pointee.queue)
    }

    /// Queues the announcement of what a client has set, for all interfaces of the target. That happens as often as
    /// `SaveBudget` lets clients set something: a client cannot make a storm of it.
    @inline(never)
    mutating func advertiseNews(of target: Int) {
        exports[target].pointee.hasNews = false
        for number in 0..<ports.end where ports.holds(number) { advertise(target, on: number) }
    }

    private mutating func drain() throws(Failure) {
        for target in 0..<exports.end where exports.holds(target) { exports[target].pointee.isLeaving = true }
        let deadline = Clock.milliseconds() + Self.drainLimitMilliseconds
        while activeCount > 0 {
            _ = round()
            if activeCount == 0 { break }
            guard Clock.milliseconds() < deadline else {
                let first = exports[Int(active[0])]
                throw Failure(
                    .outcomeUnknown, "cannot end the target \(first.pointee.machine.address)",
                    why: "requests to \(first.pointee.engine.backing.path) did not end within 30 seconds",
                    remedy: "look at the device and at the kernel log")
            }
            _ = events.wait(milliseconds: 1)
        }
    }
}

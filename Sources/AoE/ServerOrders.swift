import CLinux
import Dispatch
import Glibc
import HostModel
import Synchronization

/// What other threads ask of a server while it runs. It looks here only when it is told to, so that this costs its
/// requests nothing.
public final class ServerOrders: Sendable {
    private struct Order: Sendable {
        let number: UInt64
        let run: @Sendable (inout AoEServer) -> Void
        /// Tells who waits for it that it is never carried out.
        let refuse: @Sendable () -> Void
    }

    private struct Waiting {
        /// An order that is here has not begun, and one that is not here has begun or never does.
        var orders: [Order] = []
        var isClosed = false
    }

    /// An eventfd that is readable while orders wait.
    let descriptor: Int32
    private let waiting = Mutex(Waiting())
    private let beginMilliseconds: Int
    private let endMilliseconds: Int
    private static let ending = Failure(.refused, "the target server is ending")

    public convenience init() throws(Failure) { try self.init(beginMilliseconds: 10_000) }

    /// - Parameters:
    ///   - beginMilliseconds: how long an order may wait until it is begun.
    ///   - endMilliseconds: how long one that was begun is waited for after that.
    init(beginMilliseconds: Int, endMilliseconds: Int = 30_000) throws(Failure) {
        self.beginMilliseconds = beginMilliseconds
        self.endMilliseconds = endMilliseconds
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw Failure.system("cannot make a descriptor for orders") }
    }

    deinit { Glibc.close(descriptor) }

    /// Runs `body` on the server's thread, between two rounds, and returns what it returns. Throws `.failed` where it has
    /// not begun within ten seconds: it never does then. One that has begun is waited for half a minute more; then
    /// `.outcomeUnknown` is thrown. `.refused` where the server is ending.
    public func perform<Result: Sendable>(
        _ body: @escaping @Sendable (inout AoEServer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let box = Box<Swift.Result<Result, Failure>>()
        let number = Generation.next()
        let isTaken = waiting.withLock { waiting in
            guard !waiting.isClosed else { return false }
            waiting.orders.append(
                Order(
                    number: number,
                    run: { server in
                        let result: Swift.Result<Result, Failure>
                        do throws(Failure) { result = .success(try body(&server)) } catch { result = .failure(error) }
                        box.finish(result)
                    },
                    refuse: { box.finish(.failure(Self.ending)) }))
            return true
        }
        guard isTaken else { throw Self.ending }
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
        if let result = box.wait(milliseconds: beginMilliseconds) { return try result.get() }
        // What it would have made is not to come later, when nobody knows of it any more.
        let isTakenBack = takeBack(number)
        if !isTakenBack, let result = box.wait(milliseconds: endMilliseconds) { return try result.get() }
        throw Failure(
            isTakenBack ? .failed : .outcomeUnknown, "the target server does not answer",
            why: isTakenBack
                ? "it has been busy for ten seconds, and what was asked of it was not done"
                : "it has begun what was asked of it and does not come to an end",
            remedy: "look for a device that hangs, and at the kernel log")
    }

    /// Carries out what waits.
    func carryOut(_ server: inout AoEServer) {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        server.removeIfUnused()
        // One at a time, because those behind it may be taken back meanwhile. What comes from now on makes the descriptor
        // readable again, so that frames are looked at in between.
        for _ in 0..<waiting.withLock({ $0.orders.count }) {
            guard let order = waiting.withLock({ $0.orders.isEmpty ? nil : $0.orders.removeFirst() }) else { return }
            order.run(&server)
        }
    }

    /// Takes no more orders: the server has ended.
    func close() {
        let left = waiting.withLock { waiting in
            let left = waiting.orders
            waiting.isClosed = true
            waiting.orders = []
            return left
        }
        for order in left { order.refuse() }
    }

    /// Returns whether the order had not begun; then it never does. What it brought along is let go here, and not under
    /// the lock: that may take a while.
    private func takeBack(_ number: UInt64) -> Bool {
        let order = waiting.withLock { waiting -> Order? in
            guard let place = waiting.orders.firstIndex(where: { $0.number == number }) else { return nil }
            return waiting.orders.remove(at: place)
        }
        return order != nil
    }

    /// Where an order's result is waited for.
    private final class Box<Value: Sendable>: Sendable {
        private let place = Mutex<Value?>(nil)
        private let done = DispatchSemaphore(value: 0)

        func finish(_ value: Value) {
            place.withLock { $0 = value }
            done.signal()
        }

        func wait(milliseconds: Int) -> Value? {
            guard done.wait(timeout: .now() + .milliseconds(milliseconds)) == .success else { return nil }
            return place.withLock { $0 }
        }
    }
}

extension ServerOrders {
    /// The interfaces that have come up or back and are silent: whoever keeps the targets asks there whether others have
    /// their addresses, and then has the server `speak`.
    public func silentPorts() throws(Failure) -> [PortStatus] {
        try perform { server throws(Failure) in server.portStatus.filter { $0.isUp && $0.silence != nil } }
    }
}

/// Carries a value that cannot be copied from one thread to another, once.
public final class Handover<Value: ~Copyable>: @unchecked Sendable {
    // Its giver has put it before anybody else knows of the handover, and only one thread takes it.
    private var value: Value?

    public init(_ value: consuming Value) { self.value = consume value }

    public func take() -> Value? {
        let taken = value.take()
        return taken
    }
}

import CLinux
import Dispatch
import Glibc
import HostModel
import Synchronization

/// What other threads ask of a server while it runs. It looks here only when it is told to, so that this costs its
/// requests nothing.
public final class ServerOrders: Sendable {
    private typealias Order = @Sendable (inout AoEServer) -> Void

    private struct Waiting {
        var orders: [Order] = []
        var isClosed = false
    }

    /// An eventfd that is readable while orders wait.
    let descriptor: Int32
    private let waiting = Mutex(Waiting())
    private static let limitMilliseconds = 10_000

    public init() throws(Failure) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw Failure.system("cannot make a descriptor for orders") }
    }

    deinit { Glibc.close(descriptor) }

    /// Runs `body` on the server's thread, between two rounds, and returns what it returns. Throws `.outcomeUnknown` where
    /// it has not run within ten seconds; it may still do so later.
    public func perform<Result: Sendable>(
        _ body: @escaping @Sendable (inout AoEServer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let place = Mutex<Swift.Result<Result, Failure>?>(nil)
        let box = Box(place)
        let isTaken = waiting.withLock { waiting in
            guard !waiting.isClosed else { return false }
            waiting.orders.append { server in
                let result: Swift.Result<Result, Failure>
                do throws(Failure) { result = .success(try body(&server)) } catch { result = .failure(error) }
                box.finish(result)
            }
            return true
        }
        guard isTaken else { throw Failure(.refused, "the target server is ending") }
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
        guard let result = box.wait(milliseconds: Self.limitMilliseconds) else {
            throw Failure(
                .outcomeUnknown, "the target server does not answer", why: "it has been busy for ten seconds",
                remedy: "look for a device that hangs, and at the kernel log")
        }
        return try result.get()
    }

    /// Carries out what waits.
    func carryOut(_ server: inout AoEServer) {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        let orders = waiting.withLock { waiting in
            defer { waiting.orders = [] }
            return waiting.orders
        }
        for order in orders { order(&server) }
    }

    /// Takes no more orders: the server has ended.
    func close() {
        waiting.withLock { waiting in
            waiting.isClosed = true
            waiting.orders = []
        }
    }

    /// Where an order's result is waited for.
    private final class Box<Value: Sendable>: Sendable {
        private let place: Mutex<Value?>
        private let done = DispatchSemaphore(value: 0)

        init(_ place: consuming Mutex<Value?>) { self.place = place }

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

import AoE
import BlockServer
import Dispatch
import Glibc
import HostModel
import Hosts
import Serving
import Synchronization

/// A thread that serves, with its server.
final class TargetThread: Sendable {
    let server: ShardServer
    private let orders: ServerOrders
    private let handover: Handover<AoEServer>
    private let reading: Int32
    private let writing: Int32
    private let outcome = Mutex<Result<Void, Failure>?>(nil)
    private let done = DispatchSemaphore(value: 0)
    private let deviceWait = DeviceWait()
    private let shard: Shard
    /// More than the server takes to give up what does not end.
    private static let endSeconds = 40

    /// - Parameter shard: whose targets it serves.
    init(_ shard: Shard) throws(Failure) {
        var pair: [Int32] = [-1, -1]
        guard pipe(&pair) == 0 else { throw Failure(.failed, "cannot make a pipe") }
        self.shard = shard
        (reading, writing) = (pair[0], pair[1])
        orders = try ServerOrders()
        let server = try AoEServer(AoEServer.Limits.shared.part(shard), report: Log.say)
        self.server = ShardServer(orders: orders, pool: server.pool)
        handover = Handover(server)
    }

    func start() throws(Failure) {
        try BackgroundThread.start { [self] in
            guard var server = handover.take() else { return }
            deviceWait.begin()
            var result = Result<Void, Failure>.success(())
            do throws(Failure) { try server.run(stop: reading, orders: orders) } catch { result = .failure(error) }
            outcome.withLock { $0 = result }
            done.signal()
            // A device that hangs would hold the server's end up for ever.
            if case .failure = result { while true { sleep(3600) } }
        }
    }

    var hasEnded: Bool { outcome.withLock { $0 != nil } }

    /// Whether the thread waits for a device, or carries out an order in time.
    func isAlive() -> Bool {
        let isWaiting = deviceWait.isUnderWay { time in
            Log.say(
                "thread \(shard.number + 1) of \(shard.count) has waited for a file or device for "
                    + "\(time.components.seconds) seconds; none of its exports is served meanwhile: look at what is exported "
                    + "through the page cache ('xenlvs exports', 'buffered'), and at the kernel log")
        }
        return isWaiting || (try? orders.perform { server throws(Failure) in true }) ?? false
    }

    /// Has it end after what is under way.
    func stop() { _ = write(writing, "x", 1) }

    /// Waits for the end. Throws what kept it from that.
    func waitForEnd() throws(Failure) {
        guard done.wait(timeout: .now() + .seconds(Self.endSeconds)) == .success else {
            throw Failure(
                .outcomeUnknown, "cannot end the exports", why: "they did not end within \(Self.endSeconds) seconds",
                remedy: "look for a device that hangs, and at the kernel log")
        }
        try outcome.withLock { $0 }?.get()
    }
}

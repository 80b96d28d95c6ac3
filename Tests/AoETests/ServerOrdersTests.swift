import Foundation
import Glibc
import HostModel
import Synchronization
import Testing

@testable import AoE

@Suite("Orders to a server")
struct ServerOrdersTests {
    @Test("One that was not begun in time never is, and what it has brought is let go")
    func notBegun() throws {
        let orders = try ServerOrders(beginMilliseconds: 50)
        let runs = Counter()
        weak var brought: Counter?
        do {
            let load = Counter()
            brought = load
            #expect(Self.outcome(orders) { load.count() } == .failure(.failed))
        }
        #expect(brought == nil)
        #expect(Self.outcome(orders) { runs.count() } == .failure(.failed))
        var server = try AoEServer(.single(queueDepth: 8), report: { _ in })
        orders.carryOut(&server)
        #expect(runs.value == 0)
    }

    @Test("One that has begun in time is waited for, and one that waits behind it is not begun after its time")
    func behindAnother() throws {
        var server = try AoEServer(.single(queueDepth: 8), report: { _ in })
        let orders = try ServerOrders(beginMilliseconds: 1000)
        let runs = Counter()
        let both = (0..<2).map { _ in
            Background {
                Self.outcome(orders) {
                    runs.count()
                    usleep(2_000_000)
                }
            }
        }
        // Both wait by then.
        usleep(200_000)
        orders.carryOut(&server)
        let outcomes = both.map(\.result)
        #expect(outcomes.contains(.success(true)) && outcomes.contains(.failure(.failed)), "\(outcomes)")
        orders.carryOut(&server)
        #expect(runs.value == 1)
    }

    @Test("One that waits when the server ends is refused at once")
    func ending() throws {
        let orders = try ServerOrders()
        let order = Background { Self.outcome(orders) {} }
        var request = pollfd(fd: orders.descriptor, events: Int16(POLLIN), revents: 0)
        #expect(poll(&request, 1, 5000) == 1)
        let start = ContinuousClock.now
        orders.close()
        #expect(order.result == .failure(.refused))
        #expect(Self.outcome(orders) {} == .failure(.refused))
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    /// What an order came to, and with which code it failed.
    private enum Outcome: Equatable {
        case success(Bool)
        case failure(Failure.Code)
    }

    private static func outcome(_ orders: ServerOrders, _ body: @escaping @Sendable () -> Void) -> Outcome {
        do throws(Failure) {
            return .success(
                try orders.perform { _ throws(Failure) in
                    body()
                    return true
                })
        } catch { return .failure(error.code) }
    }

    private final class Counter: Sendable {
        private let number = Atomic<Int>(0)
        var value: Int { number.load(ordering: .acquiring) }
        func count() { number.add(1, ordering: .acquiringAndReleasing) }
    }

    /// Work on a thread of its own.
    private final class Background: Sendable {
        private let outcome = Mutex<Outcome?>(nil)
        private let done = DispatchSemaphore(value: 0)

        init(_ body: @escaping @Sendable () -> Outcome) {
            Thread { [self] in
                let result = body()
                outcome.withLock { $0 = result }
                done.signal()
            }.start()
        }

        /// Waits for it; once.
        var result: Outcome? {
            done.wait()
            return outcome.withLock { $0 }
        }
    }
}

import BlockServer
import Foundation
import Glibc
import HostModel
import Hosts
import Synchronization
import Testing

@testable import AoE
@testable import Serving

@Suite("Exports that come and go")
struct RemovalTests {
    @Test("One that its server has not taken in time is not taken later, and holds neither file nor address")
    func lateServer() throws {
        let place = try Place()
        var server = try AoEServer(.single(queueDepth: 8), report: { _ in })
        let orders = try ServerOrders(beginMilliseconds: 100)
        let record = try place.record(slot: 0)
        let supervisor = try place.supervisor(ShardServer(orders: orders, pool: server.pool), keeping: record)
        #expect(supervisor.start() == 1)
        let (path, address) = (record.path, record.address)
        #expect(throws: Never.self) { _ = try Backing(opening: path, readOnly: false, policy: .buffered) }
        #expect(throws: Never.self) { _ = try AddressClaim(address, on: "nosuch0") }
        orders.carryOut(&server)
        let count = server.exports.end
        #expect(count == 0)
    }

    @Test("An end of an export comes back when the backing is closed, whoever closes it")
    func closedByAnother() throws {
        let place = try Place()
        let running = try RunningServer()
        defer { running.end() }
        let record = try place.record(slot: 1)
        let supervisor = try place.supervisor(running.server, keeping: record)
        #expect(supervisor.start() == 0)
        // As if the clock had taken it, and the device did not close.
        supervisor.update(record.address) { $0.isBeingTaken = true }
        let removal = Removal(record.address, supervisor)
        #expect(!removal.hasEnded(within: .milliseconds(500)))
        supervisor.update(record.address) { $0.isBeingTaken = false }
        #expect(removal.hasEnded(within: .seconds(10)))
        #expect(removal.failure == nil)
        let path = record.path
        #expect(throws: Never.self) { _ = try Backing(opening: path, readOnly: false, policy: .buffered) }
        #expect(supervisor.list(statistics: false).isEmpty)
    }

    @Test(
        "Whether one that a start has brought back is in use nobody knows for a minute; of one that was made since all do",
        arguments: [nil, .seconds(61)] as [Duration?])
    func broughtBack(_ ago: Duration?) throws {
        let place = try Place()
        let running = try RunningServer()
        defer { running.end() }
        // They run at the same time.
        let record = try place.record(slot: ago == nil ? 2 : 4)
        let supervisor = try place.supervisor(running.server, keeping: record)
        #expect(supervisor.start() == 0)
        let request = ControlRequest.unexport(address: "\(record.address)", force: false)
        let refusal = try #require(supervisor.answer(request).refusal, "it was removed")
        #expect(refusal.code == .busy && refusal.remedy?.contains("--force") == true, "\(refusal)")
        #expect(refusal.why?.contains("xenlvsd has been running for ") == true, "\(refusal)")
        supervisor.update(record.address) { $0.broughtBack = ago.map { ContinuousClock.now - $0 } }
        let failure = supervisor.answer(request).refusal
        #expect(failure == nil)
        #expect(supervisor.list(statistics: false).isEmpty)
    }

    @Test("Force goes past what is not known")
    func force() throws {
        let place = try Place()
        let running = try RunningServer()
        defer { running.end() }
        let record = try place.record(slot: 3)
        let supervisor = try place.supervisor(running.server, keeping: record)
        #expect(supervisor.start() == 0)
        let failure = supervisor.answer(.unexport(address: "\(record.address)", force: true)).refusal
        #expect(failure == nil)
    }
}

extension ControlReply {
    fileprivate var refusal: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}

/// An end of an export, on a thread of its own.
private final class Removal: Sendable {
    private let outcome = Mutex<Failure?>(nil)
    private let done = DispatchSemaphore(value: 0)
    var failure: Failure? { outcome.withLock { $0 } }

    init(_ address: AoEAddress, _ supervisor: ExportSupervisor) {
        Thread { [self] in
            if case .failure(let failure) = supervisor.answer(.unexport(address: "\(address)", force: true)) {
                outcome.withLock { $0 = failure }
            }
            done.signal()
        }.start()
    }

    func hasEnded(within time: DispatchTimeInterval) -> Bool { done.wait(timeout: .now() + time) == .success }
}

extension Place {
    /// Of a file here, on an interface that is not there.
    fileprivate func record(slot: Int) throws -> ExportRecord {
        let file = path + "/disk"
        try Data(count: 1 << 16).write(to: URL(fileURLWithPath: file))
        return try ExportRecord(
            address: try AoEAddress(shelf: 4094, slot: slot), path: file, volume: nil,
            interfaces: ["nosuch0"], isReadOnly: false, allowed: [], durability: .writeback, cache: .buffered,
            queueDepth: 8)
    }

    fileprivate func supervisor(_ server: ShardServer, keeping record: ExportRecord) throws -> ExportSupervisor {
        let paths = ServingPaths(Paths(state: path + "/state", run: path + "/run"))
        try FileManager.default.createDirectory(atPath: paths.targets, withIntermediateDirectories: true)
        try ExportStore(path: paths.exports).save([record])
        return try ExportSupervisor(servers: [server], paths: paths, scrutiny: { _ in }, report: { _ in })
    }
}

/// A server on a thread of its own.
private final class RunningServer: Sendable {
    let server: ShardServer
    private let writing: Int32
    private let ended = DispatchSemaphore(value: 0)

    init() throws {
        var pair: [Int32] = [-1, -1]
        try #require(pipe(&pair) == 0)
        let orders = try ServerOrders()
        let made = try AoEServer(.single(queueDepth: 8), report: { _ in })
        server = ShardServer(orders: orders, pool: made.pool)
        let (reading, handover) = (pair[0], Handover(made))
        writing = pair[1]
        Thread { [ended] in
            if var server = handover.take() { try? server.run(stop: reading, orders: orders) }
            ended.signal()
        }.start()
    }

    func end() {
        _ = write(writing, "x", 1)
        ended.wait()
    }
}

import Foundation
import HostModel
import ImageStream
import Migration
import Testing

@testable import Operations

@Suite("A target that takes in what a volume holds")
struct SeedReceiverTests {
    /// Both ends of a channel.
    private final class Channel {
        let input: BoundedIO
        private let output: BoundedIO
        private var isOpen = true

        init() throws {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw Failure(.failed, "cannot make a pipe") }
            input = BoundedIO(descriptor: ends[0], purpose: "the channel")
            output = BoundedIO(descriptor: ends[1], purpose: "the channel")
        }

        deinit {
            input.close()
            end()
        }

        func send(_ frame: Frame) throws { try frame.write(to: output, limit: .seconds(1)) }

        func end() {
            if isOpen { output.close() }
            isOpen = false
        }
    }

    private func code(_ body: () throws -> Void) -> Failure.Code? {
        do { try body() } catch { return (error as? Failure)?.code }
        return nil
    }

    @Test("A source that waits is there, and one that is silent, gone, or says anything else is not waited for")
    func waiting() throws {
        let channel = try Channel()
        var source = SeedSource(channel.input)
        #expect(code { try source.check() } == nil)
        try channel.send(.keepAlive)
        #expect(code { try source.check() } == nil)
        var impatient = SeedSource(channel.input, silence: .milliseconds(20))
        usleep(40_000)
        #expect(code { try impatient.check() } == .unreachable)
        // What has come is heard first, however long this host was at work.
        try channel.send(.keepAlive)
        #expect(code { try impatient.check() } == nil)
        try channel.send(.cancel)
        #expect(code { try source.check() } == .interrupted)
        try channel.send(.data([1]))
        #expect(code { try source.check() } == .refused)
        // However much it had to say.
        try channel.send(.keepAlive)
        channel.end()
        #expect(code { try source.check() } == .unreachable)
    }

    /// What a sender would send of a disk of zeros with one block in it, at `offset`.
    private func frames(_ size: Int, at offset: Int) throws -> [Frame] {
        let path = NSTemporaryDirectory() + "xenlvs-seed-\(UInt64.random(in: 0...UInt64.max))"
        defer { unlink(path) }
        var disk = Data(count: size)
        disk.replaceSubrange(offset..<offset + 4096, with: Data(repeating: 7, count: 4096))
        try disk.write(to: URL(fileURLWithPath: path))
        let compressor = try ZstandardCompressor()
        var (packed, held): ([UInt8], Int64) = ([], 0)
        try SparseStream.read(path, size: Int64(size)) { bytes in
            held += Int64(bytes.count)
            try compressor.compress(bytes) { packed += $0 }
        } reached: { _ in
        }
        try compressor.finish { packed += $0 }
        return [.data(packed), .end(size: held)]
    }

    @Test("Its zeros are written while the source waits, and no longer", arguments: [true, false])
    func zeros(_ isThere: Bool) throws {
        let size = 40 << 20
        let path = NSTemporaryDirectory() + "xenlvs-seed-\(UInt64.random(in: 0...UInt64.max))"
        defer { unlink(path) }
        try Data(repeating: 0xAA, count: size).write(to: URL(fileURLWithPath: path))
        let channel = try Channel()
        let intake = try SeedIntake(path, size: ByteCount(Int64(size)), from: channel.input)
        let sent = try frames(size, at: 39 << 20)
        try intake.take(sent[0])
        if !isThere { channel.end() }
        let expected: Failure.Code? = isThere ? nil : .unreachable
        #expect(code { try intake.take(sent[1]) } == expected)
        #expect(intake.isComplete == isThere)
        let bytes = try #require(FileManager.default.contents(atPath: path))
        #expect(bytes[39 << 20] == 7 && bytes[0] == (isThere ? 0 : 0xAA))
    }

    /// When the step ended, and why it failed.
    private func connect(_ spec: MigrationSpec, _ worker: HostWorker) async -> (ContinuousClock.Instant, Failure?) {
        let order = StepOrder(step: .connectTarget, role: .target, spec: spec, epoch: 3)
        do { _ = try await worker.perform(order) } catch { return (.now, error as? Failure) }
        return (.now, nil)
    }

    @Test("Its replicas connect only when no receiver is at work any more", arguments: [true, false])
    func connectsAlone(_ seeds: Bool) async throws {
        let target = try TargetHost()
        var spec = try TargetHost.spec()
        spec.plan = MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false, seeds: seeds)
        try target.begin(spec)
        let (worker, agreed) = (target.worker, spec)
        let (connecting, released) = try await HostTurn.take(.image, of: spec.id, on: target.host, limit: .seconds(1)) {
            let connecting = Task { await connect(agreed, worker) }
            if seeds { try await Task.sleep(for: .milliseconds(500)) } else { _ = await connecting.value }
            return (connecting, ContinuousClock.now)
        }
        let (ended, failure) = await connecting.value
        #expect((ended > released) == seeds)
        // It went on to look for the replica, of which this host has none.
        #expect(failure?.what.contains("replica") == true, "\(String(describing: failure))")
    }
}

import DiskKit
import Glibc
import HostModel
import Testing

@testable import BlockServer

@Suite("A sync that fails")
struct FailedSyncTests {
    @Test("It fails a write that is under way, and not one that begins later", arguments: Durability.allCases)
    func underWay(_ durability: Durability) throws {
        let file = try TestFile(sectors: 64)
        // Its kernel gets nothing: the test says what comes of each transfer and sync.
        let pool = try BlockPool(requests: 8, maximumTransfer: 8192, doing: "test")
        var engine = BlockEngine(
            backing: try Backing(opening: file.path, readOnly: false, policy: .direct), depth: 8,
            durability: durability, sharing: pool.handle)
        let bytes = Bytes()
        let flush = try take(from: &engine)
        engine.flush(flush)
        engine.submit()
        let write = try take(from: &engine)
        engine.write(write, offset: 0, length: 4096, from: bytes.fill(1, 8))
        engine.submit()
        engine.end(BlockPool.Completion(engine: 0, leader: flush, result: -Int(EIO)))
        engine.settle()
        engine.end(BlockPool.Completion(engine: 0, leader: write, result: 4096))
        engine.settle()
        let first = [engine.nextCompletion(), engine.nextCompletion()]
        #expect(first == [flush, write])
        let (flushed, written) = (engine.result(of: flush), engine.result(of: write))
        #expect(flushed == EIO && written == EIO)
        for slot in [flush, write] { engine.release(slot) }

        let later = try take(from: &engine)
        engine.write(later, offset: 0, length: 4096, from: bytes.fill(2, 8))
        engine.submit()
        engine.end(BlockPool.Completion(engine: 0, leader: later, result: 4096))
        engine.settle()
        if durability == .durable { engine.end(BlockPool.Completion(engine: 0, leader: later, result: 0)) }
        let ended = engine.nextCompletion()
        let result = engine.result(of: later)
        #expect(ended == later && result == 0)
        engine.release(later)
    }

    private func take(from engine: inout BlockEngine) throws -> Int {
        guard let slot = engine.take() else { throw TestEngine.NoSlot() }
        return slot
    }
}

import DiskKit
import Glibc
import HostModel
import Testing

@testable import BlockServer

@Suite("Engines on one pool")
struct SharedPoolTests {
    private func engine(_ file: TestFile, _ number: Int, on pool: borrowing BlockPool) throws -> BlockEngine {
        var engine = BlockEngine(
            backing: try Backing(opening: file.path, readOnly: false, policy: .direct), depth: 8,
            durability: .durable, sharing: pool.handle)
        engine.number = number
        return engine
    }

    private func take(from engine: inout BlockEngine) throws -> Int {
        guard let slot = engine.take() else { throw TestEngine.NoSlot() }
        return slot
    }

    @Test(
        "Each gets what is its own, of transfers and of syncs that the kernel is given together",
        arguments: [true, false])
    func completions(usesRing: Bool) throws {
        let files = [try TestFile(sectors: 64), try TestFile(sectors: 64)]
        let pool = try BlockPool(requests: 16, maximumTransfer: 8192, usesRing: usesRing, doing: "test")
        var first = try engine(files[0], 0, on: pool)
        var second = try engine(files[1], 1, on: pool)
        let bytes = Bytes()
        for number in 0..<8 {
            let (left, right) = (try take(from: &first), try take(from: &second))
            first.write(left, offset: Int64(number) * 4096, length: 512, from: bytes.fill(UInt8(1 + number), 1))
            second.write(right, offset: Int64(number) * 4096, length: 512, from: bytes.fill(UInt8(101 + number), 1))
        }
        first.submit()
        second.submit()
        pool.submit()
        bytes.spoil()
        var ended = [0, 0]
        let deadline = ContinuousClock.now + .seconds(10)
        while ended != [8, 8], ContinuousClock.now < deadline {
            for position in 0..<pool.collect() {
                let completion = pool.completion(position)
                if completion.engine == 0 { first.end(completion) } else { second.end(completion) }
            }
            first.settle()
            second.settle()
            pool.submit()
            ended[0] += release(&first)
            ended[1] += release(&second)
            usleep(100)
        }
        #expect(ended == [8, 8])
        for number in 0..<8 {
            #expect(try files[0].sectors(number * 8..<number * 8 + 1) == sectors([UInt8(1 + number)]))
            #expect(try files[1].sectors(number * 8..<number * 8 + 1) == sectors([UInt8(101 + number)]))
        }
    }

    /// Gives back what has ended well, and says how much it was.
    private func release(_ engine: inout BlockEngine) -> Int {
        var count = 0
        while let slot = engine.nextCompletion() {
            if engine.result(of: slot) == 0 { count += 1 }
            engine.release(slot)
        }
        return count
    }

    @Test("There are no more slots than the pool has, whoever takes them, and one that comes back is for all")
    func bound() throws {
        let files = [try TestFile(sectors: 64), try TestFile(sectors: 64)]
        let pool = try BlockPool(requests: 4, maximumTransfer: 8192, doing: "test")
        var first = try engine(files[0], 0, on: pool)
        var second = try engine(files[1], 1, on: pool)
        var slots: [Int] = []
        for _ in 0..<3 { slots.append(try take(from: &first)) }
        slots.append(try take(from: &second))
        #expect(Set(slots).count == 4)
        let (isFull, none) = (!first.hasFreeSlot && !second.hasFreeSlot, second.take())
        #expect(isFull && none == nil)
        first.release(slots[0])
        let again = second.take()
        #expect(again == slots[0])
        for slot in slots[1...2] { first.release(slot) }
        for slot in [slots[0], slots[3]] { second.release(slot) }
    }
}

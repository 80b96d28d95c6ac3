import CLinux
import DiskKit
import Foundation
import Glibc
import HostModel

@testable import AoE
@testable import BlockServer

/// A target without a wire: frames go straight into an export, and replies are taken out of its queue.
final class BareTarget {
    static let address: [UInt8] = [2, 0, 0, 0, 0, 1]
    let sectors: Int
    private var export: Export
    private var queue = TransmitQueue(capacity: 128)
    private var commons = TargetCommons(window: ReplayWindow(), requests: 32)
    private let store: StateFile

    init(file: TestFile, sectors: Int, stateDirectory: String) throws {
        self.sectors = sectors
        let backing = try Backing(opening: file.path, readOnly: false, policy: .buffered)
        let facts = DeviceFacts(
            sectors: Int64(sectors), serial: "S", firmware: "F", model: "M", isReadOnly: false, physicalBlockSize: 512,
            trims: true, hasWriteCache: true)
        let machine = TargetMachine(
            address: try AoEAddress(shelf: 1, slot: 2), facts: facts, queueDepth: 32, allowed: [],
            state: ClientState(), ownAddress: MACAddress(value: 0x0200_0000_0001), maximumSectors: 16)
        let engine = try BlockEngine(backing: backing, depth: 32, maximumTransfer: 8192, durability: .writeback)
        let store = try StateFile(directory: stateDirectory, address: try AoEAddress(shelf: 1, slot: 2))
        self.store = store
        export = Export(machine: machine, engine: engine, store: store, report: { _ in })
    }

    /// What clients have set does not hold any more.
    func forgetSettings() {
        export.machine.proposed = ClientState()
        export.machine.accept()
    }

    /// What of it was stored last.
    func storedSettings() throws(Failure) -> ClientState { try store.load() }

    /// Handles one frame, received at `now` in nanoseconds, to its end and returns the replies.
    func handle(_ bytes: [UInt8], at now: Int64) -> [[UInt8]] {
        // As long as the frame and no longer, so that the address sanitizer sees a look behind its end.
        let frame = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        frame.copyBytes(from: bytes)
        let view = FrameView(UnsafeRawPointer(frame.baseAddress!), length: bytes.count)
        export.receive(view, port: 0, at: now, &queue, &commons)
        export.engine.submit()
        // What a late look at the frame would find without the sanitizer.
        frame.initializeMemory(as: UInt8.self, repeating: 0xee)
        frame.deallocate()
        var replies: [[UInt8]] = []
        let deadline = ContinuousClock.now + .seconds(5)
        repeat {
            export.engine.reap()
            while queue.room > 0, export.nextAnswerPort(commons) != nil { export.answer(at: now, &queue, &commons) }
            for position in 0..<queue.count {
                let parts = queue.parts(position)
                let count = queue.partCount(position)
                replies.append(
                    (0..<count).flatMap { part in
                        UnsafeRawBufferPointer(start: parts[part].iov_base, count: parts[part].iov_len)
                    })
            }
            for position in 0..<queue.count where !queue.owner(position).isNone {
                export.engine.release(queue.owner(position).place)
            }
            queue.removeAll()
        } while !export.engine.isIdle && ContinuousClock.now < deadline
        return replies
    }
}

import CLinux
import DiskKit
import Foundation
import Glibc
import HostModel
import SeedKit
import Testing

@testable import AoE
@testable import BlockServer

/// A target without a wire: frames go straight into an export, and replies are taken out of its queue.
private final class BareTarget {
    static let address: [UInt8] = [2, 0, 0, 0, 0, 1]
    let sectors: Int
    private var export: Export
    private var queue = TransmitQueue(capacity: 128)
    private var commons = TargetCommons(window: ReplayWindow(), requests: 32)
    private let frame = UnsafeMutableRawBufferPointer.allocate(byteCount: 16384, alignment: 64)

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
        export = Export(machine: machine, engine: engine, store: store, report: { _ in })
    }

    deinit { frame.deallocate() }

    /// Handles one frame to its end and returns the replies.
    func handle(_ bytes: [UInt8]) -> [[UInt8]] {
        frame.copyBytes(from: bytes)
        let view = FrameView(UnsafeRawPointer(frame.baseAddress!), length: bytes.count)
        export.receive(view, port: 0, at: 0, &queue, &commons)
        export.engine.submit()
        // What a late look at the frame would find.
        frame.initializeMemory(as: UInt8.self, repeating: 0xee)
        var replies: [[UInt8]] = []
        let deadline = ContinuousClock.now + .seconds(5)
        repeat {
            export.engine.reap()
            while queue.room > 0, export.nextAnswerPort(commons) != nil { export.answer(at: 0, &queue, &commons) }
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

/// What a disk must hold after a frame, by rules of its own: written from the protocol, and not from the target's code.
private struct Model {
    var disk: [UInt8]
    /// A frame was answered well that nobody can have understood.
    private(set) var isBroken = false

    /// Follows a frame that the target has answered with success; anything else must leave the disk as it is.
    mutating func follow(_ frame: [UInt8], answeredWell: Bool) {
        guard answeredWell, frame.count >= 36, frame[19] == 0 else { return }
        let lba = (0..<6).reduce(0) { $0 | Int(frame[28 + $1]) << (8 * $1) }
        switch frame[27] {
        case 0x30: put(frame, lba & 0xfff_ffff)
        case 0x34: put(frame, lba)
        case 0x06:
            for entry in 0..<64 {
                let at = 36 + entry * 8
                let start = (0..<6).reduce(0) { $0 | Int(frame[at + $1]) << (8 * $1) }
                let count = Int(frame[at + 6]) | Int(frame[at + 7]) << 8
                for byte in start * 512..<(start + count) * 512 { disk[byte] = 0 }
            }
        default: break
        }
    }

    private mutating func put(_ frame: [UInt8], _ lba: Int) {
        let count = Int(frame[26]) * 512
        guard frame.count >= 36 + count, lba * 512 + count <= disk.count else {
            isBroken = true
            return
        }
        disk.replaceSubrange(lba * 512..<lba * 512 + count, with: frame[36..<36 + count])
    }
}

@Suite("Mutated frames")
struct FuzzTests {
    /// 200,000, or as many as `XENLVS_FUZZ_FRAMES` says.
    private static let count =
        ProcessInfo.processInfo.environment["XENLVS_FUZZ_FRAMES"].flatMap { Int($0) } ?? 200_000

    @Test("No frame crashes a target, and none changes a sector but those that it is answered for")
    func frames() throws {
        let sectors = 64
        let file = try TestFile(sectors: sectors, in: "/dev/shm")
        let directory = file.path + ".state"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let target = try BareTarget(file: file, sectors: sectors, stateDirectory: directory)
        var model = Model(disk: [UInt8](repeating: 0, count: sectors * 512))
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededNumbers(seed: seed)
        var (good, silent) = (0, 0)
        for number in 0..<Self.count {
            let frame = Self.frame(&random)
            let replies = target.handle(frame)
            try #require(replies.count <= 1, "seed \(seed), frame \(number)")
            if replies.isEmpty { silent += 1 }
            for reply in replies {
                try #require(reply.count >= 60 && reply[14] & 8 != 0, "seed \(seed), frame \(number)")
                try #require(Array(reply[20..<24]) == Array(frame[20..<24]), "seed \(seed), frame \(number)")
                let isGood = reply[14] & 4 == 0 && reply[19] == 0 && reply[27] == 0x40
                if isGood { good += 1 }
                model.follow(frame, answeredWell: isGood)
                try #require(!model.isBroken, "seed \(seed), frame \(number)")
            }
            if number % 1000 == 999 {
                try #require(try file.sectors(0..<sectors) == model.disk, "seed \(seed), before frame \(number)")
            }
        }
        #expect(good > Self.count / 20, "too few frames were good to find anything: \(good)")
        #expect(silent > Self.count / 100)
    }

    /// A sound frame in which up to four bytes are changed, or that is cut off.
    private static func frame(_ random: inout SeededNumbers) -> [UInt8] {
        var request: Request
        let sector = UInt64(random.below(66))
        let count = 1 + Int(random.below(3))
        switch random.below(12) {
        case 0...3:
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: count * 512)
            request = .ata(flags: 0x41, count: count, random.below(2) == 0 ? 0x34 : 0x30, sector, data: bytes)
        case 4, 5: request = .ata(count: count, random.below(2) == 0 ? 0x24 : 0x20, sector)
        case 6: request = .ata(count: count, [0x42, 0xe7, 0xea, 0xe5, 0xec, 0xb0][Int(random.below(6))], sector)
        case 7:
            let range: [UInt8] = [UInt8(sector), 0, 0, 0, 0, 0, UInt8(count), 0]
            request = .ata(feature: 1, count: 1, 0x06, data: range + [UInt8](repeating: 0, count: 504))
        case 8, 9: request = .configuration(UInt8(random.below(3)), [1, 2, 3])
        case 10: request = Request(command: 2, argument: [0, 0, 0, 1, 0, 1, 2, 0, 0, 0, 0, 0x0a])
        default: request = Request(command: 3, argument: [0, 1, 2, 0, 0, 0, 0, 0x0a])
        }
        request.tag = UInt32(truncatingIfNeeded: random.next())
        var bytes = request.bytes(from: [2, 0, 0, 0, 0, 0x0a])
        for _ in 0..<random.below(5) {
            // Most of what can go wrong is decided by the headers.
            let limit = random.below(4) == 0 ? bytes.count : min(40, bytes.count)
            let position = Int(random.below(UInt64(limit)))
            // A mask or reservation that shuts everybody out would end the test's use.
            if (6..<12).contains(position) || [2, 3].contains(bytes[19]) && position < 28 { continue }
            bytes[position] = UInt8(truncatingIfNeeded: random.next())
        }
        if bytes[19] == 2 || bytes[19] == 3 { bytes[bytes[19] == 2 ? 25 : 24] = 0 }
        if random.below(10) == 0 { bytes.removeLast(Int(random.below(UInt64(bytes.count - 23)))) }
        return bytes
    }
}

extension SeededNumbers {
    fileprivate mutating func below(_ limit: UInt64) -> UInt64 { next() % limit }
}

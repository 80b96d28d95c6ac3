import DiskKit
import Foundation
import SeedKit
import Testing

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
        // Frames come a millisecond apart, which bounds how often what clients set is stored.
        let interval: Int64 = 1_000_000
        var model = Model(disk: [UInt8](repeating: 0, count: sectors * 512))
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededNumbers(seed: seed)
        var (good, silent) = (0, 0)
        for number in 0..<Self.count {
            let frame = Self.frame(&random)
            let replies = target.handle(frame, at: Int64(number + 1) * interval)
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
            // Masks and reservations that shut everybody out would end the test's use.
            if number % 32 == 31 { target.forgetSettings() }
            if number % 1000 == 999 {
                try #require(try file.sectors(0..<sectors) == model.disk, "seed \(seed), before frame \(number)")
            }
        }
        #expect(good > Self.count / 20, "too few frames were good to find anything: \(good)")
        #expect(silent > Self.count / 100)
        _ = try target.storedSettings()
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
        case 8, 9: request = .configuration(UInt8(random.below(4) == 0 ? random.below(5) : random.below(3)), [1, 2, 3])
        case 10: request = Request(command: 2, argument: masks(&random))
        default: request = Request(command: 3, argument: reservation(&random))
        }
        request.tag = UInt32(truncatingIfNeeded: random.next())
        var bytes = request.bytes(from: sender)
        for _ in 0..<random.below(5) {
            // Most of what can go wrong is decided by the headers.
            let limit = random.below(4) == 0 ? bytes.count : min(40, bytes.count)
            let position = Int(random.below(UInt64(limit)))
            // The sender, whom masks and reservations know.
            if (6..<12).contains(position) { continue }
            bytes[position] = UInt8(truncatingIfNeeded: random.next())
        }
        // Down to less than a header.
        if random.below(10) == 0 { bytes.removeLast(Int(random.below(UInt64(bytes.count - 13)))) }
        return bytes
    }

    private static let sender: [UInt8] = [2, 0, 0, 0, 0, 0x0a]
    /// One in so many masks and reservations is an edit: more would shut the sender out most of the time.
    private static let edits: UInt64 = 8

    private static func masks(_ random: inout SeededNumbers) -> [UInt8] {
        let command: UInt8 = random.below(edits) == 0 ? 1 : 0
        var directives: [UInt8] = [0, 1] + sender
        for _ in 0..<random.below(4) { directives += [0, UInt8(random.below(3))] + address(&random) }
        return [0, command, 0, UInt8(directives.count / 8)] + directives
    }

    private static func reservation(_ random: inout SeededNumbers) -> [UInt8] {
        let command = UInt8(random.below(edits) == 0 ? 1 + random.below(2) : 0)
        var holders = random.below(4) == 0 ? [] : sender
        for _ in 0..<random.below(3) { holders += address(&random) }
        return [command, UInt8(holders.count / 6)] + holders
    }

    private static func address(_ random: inout SeededNumbers) -> [UInt8] {
        [2, 0, 0, 0, 0, UInt8(random.below(16))]
    }
}

extension SeededNumbers {
    fileprivate mutating func below(_ limit: UInt64) -> UInt64 { next() % limit }
}

import DiskKit
import Foundation
import Glibc
import Testing

/// What happens between a frame and the disk; `ReplayWindowTests` has the rules alone.
@Suite("Copies of writes")
struct CopyTests {
    /// A target with what a test asks of it, at a time that the test says.
    private final class Stage {
        let file: TestFile
        private let directory: String
        private let target: BareTarget
        var milliseconds: Int64 = 1_000

        init() throws {
            file = try TestFile(sectors: 64, in: "/dev/shm")
            directory = file.path + ".state"
            target = try BareTarget(file: file, sectors: 64, stateDirectory: directory)
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        /// Whether it is answered; an answer that is not good is an error.
        func isAnswered(_ request: Request, _ tag: UInt32, from sender: [UInt8] = Initiator.b) throws -> Bool {
            var request = request
            request.tag = tag
            let replies = target.handle(request.bytes(from: sender), at: milliseconds * 1_000_000)
            for reply in replies { try #require(Reply(bytes: reply).isGood, "\(request)") }
            return !replies.isEmpty
        }
    }

    private func trim(_ sector: UInt8, _ count: UInt8) -> Request {
        let ranges = [sector, 0, 0, 0, 0, 0, count, 0] + [UInt8](repeating: 0, count: 504)
        return .ata(feature: 1, count: 1, 0x06, data: ranges)
    }

    @Test("The first copy of a write that was sent again from another address does not undo the write after it")
    func twoInterfaces() throws {
        let stage = try Stage()
        #expect(try stage.isAnswered(.write(7, sectors(1)), 0x2_0150, from: Initiator.b))
        #expect(try stage.isAnswered(.write(7, sectors(2)), 0x3_0151, from: Initiator.b))
        for _ in 0..<2 { #expect(try !stage.isAnswered(.write(7, sectors(1)), 0x1_0100, from: Initiator.c)) }
        #expect(try !stage.isAnswered(.write(7, sectors(1)), 0x2_0150, from: Initiator.c))
        #expect(try stage.file.sectors(7..<8) == sectors(2))
    }

    @Test("Two hosts that write the same under the same tag wait for a second at most")
    func twoHosts() throws {
        let stage = try Stage()
        let write = Request.write(7, sectors(1))
        #expect(try stage.isAnswered(write, 5, from: Initiator.b))
        #expect(try stage.isAnswered(write, 5, from: Initiator.c))
        #expect(try stage.isAnswered(.write(7, sectors(2)), 6, from: Initiator.b))
        #expect(try !stage.isAnswered(write, 5, from: Initiator.c))
        // The other one goes on writing meanwhile.
        for number in 0..<4 as Range<UInt32> {
            stage.milliseconds += 300
            #expect(try stage.isAnswered(.write(7, sectors(UInt8(3 + number))), 7 + number, from: Initiator.b))
        }
        #expect(try stage.isAnswered(write, 5, from: Initiator.c))
        #expect(try stage.file.sectors(7..<8) == sectors(1))
    }

    @Test("What was trimmed is written again where its initiator uses a tag again, and answered only then")
    func trims() throws {
        let stage = try Stage()
        let write = Request.write(7, sectors(1))
        #expect(try stage.isAnswered(write, 5))
        #expect(try stage.isAnswered(trim(4, 8), 6))
        #expect(try stage.file.sectors(7..<8) == sectors(0))
        #expect(try !stage.isAnswered(write, 5))
        stage.milliseconds += 1_100
        #expect(try stage.isAnswered(write, 5))
        #expect(try stage.file.sectors(7..<8) == sectors(1))
        // The trim itself, late and twice.
        for _ in 0..<2 { #expect(try !stage.isAnswered(trim(4, 8), 6)) }
        #expect(try stage.file.sectors(7..<8) == sectors(1))
        // One of nothing is carried out, too.
        #expect(try stage.isAnswered(trim(0, 0), 7))
    }
}

import Foundation
import HostModel
import Testing

@testable import ImageStream

@Suite("An image as what is new in it")
struct ImageDeltaTests {
    private typealias Page = (number: UInt64, bytes: [UInt8])

    private func page(_ seed: Int) -> [UInt8] {
        (0..<PageBase.pageSize).map { UInt8(truncatingIfNeeded: ($0 / 8) &* seed &+ seed) }
    }

    /// An earlier image that holds a few odd bytes and then these pages, in this order.
    private func makeBase(_ pages: [Page]) throws -> PageBase {
        let path = FileManager.default.temporaryDirectory.path + "/xenlvs-base-\(UInt64.random(in: 0...UInt64.max))"
        defer { unlink(path) }
        let head: [UInt8] = Array(repeating: 7, count: 13)
        try Data(head + pages.flatMap(\.bytes)).write(to: URL(fileURLWithPath: path))
        let places = pages.enumerated().map {
            (number: $1.number, offset: Int64(head.count + $0 * PageBase.pageSize))
        }
        return try PageBase(path: path, pages: places)
    }

    private func encode(_ pages: [Page], base: PageBase?) throws -> (list: [UInt8], copied: Int64) {
        let encoder = DeltaEncoder(base: base)
        var list: [UInt8] = []
        try [1, 2, 3].withUnsafeBytes { try encoder.take($0) { list += $0 } }
        try pages.flatMap(\.bytes).withUnsafeBytes {
            try encoder.take(pages: $0, numbers: pages.map(\.number)[...]) { list += $0 }
        }
        try encoder.finish { list += $0 }
        return (list, encoder.copied)
    }

    private let prefix: [UInt8] = [1, 2, 3].withUnsafeBytes { Array($0) }

    private func decode(_ list: [UInt8], base: PageBase?, piece: Int = .max) throws -> (image: [UInt8], isWhole: Bool) {
        let decoder = DeltaDecoder(base: base)
        var image: [UInt8] = []
        var rest = list[...]
        while !rest.isEmpty {
            try Array(rest.prefix(piece)).withUnsafeBytes { try decoder.decode($0) { image += $0 } }
            rest = rest.dropFirst(piece)
        }
        return (image, decoder.isWhole)
    }

    @Test("Whatever has changed, moved, come or gone, the image comes out as it went in", arguments: 0..<40)
    func roundTrip(_ seed: Int) throws {
        var generator = Xorshift(state: UInt64(seed) + 1)
        let old: [Page] = (0..<12).map { (UInt64($0), page($0)) }.filter { _ in generator.next() % 5 != 0 }
        let base = try makeBase(generator.next() % 3 == 0 ? old.reversed() : old)
        let new: [Page] = (0..<14).compactMap { number -> Page? in
            switch generator.next() % 4 {
            case 0: nil
            case 1: (UInt64(number), page(number + 100))
            default: (UInt64(number), page(number))
            }
        }
        let (list, copied) = try encode(new, base: base)
        let known = new.filter { entry in old.contains { $0.number == entry.number && $0.bytes == entry.bytes } }
        #expect(copied == Int64(known.count * PageBase.pageSize))
        for piece in [Int.max, 1, 7, 4099] {
            let (image, isWhole) = try decode(list, base: base, piece: piece)
            #expect(image == prefix + new.flatMap(\.bytes))
            #expect(isWhole)
        }
    }

    @Test("A guest that has not changed costs a few bytes")
    func unchanged() throws {
        let pages: [Page] = (0..<200).map { (UInt64($0), page($0)) }
        let (list, copied) = try encode(pages, base: try makeBase(pages))
        #expect(copied == 200 * 4096)
        #expect(list.count < 100)
    }

    @Test("Without an earlier image everything is sent as it is")
    func noBase() throws {
        let pages: [Page] = (0..<3).map { (UInt64($0), page($0)) }
        let (list, copied) = try encode(pages, base: nil)
        #expect(copied == 0)
        #expect(try decode(list, base: nil).image == prefix + pages.flatMap(\.bytes))
    }

    @Test("A page number beyond all guests is sent, not looked up")
    func hugeNumber() throws {
        let base = try makeBase([(5, page(5)), (1 << 50, page(6))])
        let (list, copied) = try encode([(1 << 50, page(6)), (.max, page(7))], base: base)
        #expect(copied == 0)
        #expect(try decode(list, base: base).isWhole)
    }

    @Test(
        "What a peer makes up is refused",
        arguments: [
            [0x00, 1, 0, 0, 0], [0x4C, 0, 0, 0, 0], [0x4C, 0xFF, 0xFF, 0xFF, 0xFF],
            // From behind the end, over the end, and with an offset that would wrap.
            [0x43, 1, 0, 0, 0, 0x0D, 0x10, 0, 0, 0, 0, 0, 0], [0x43, 0x0D, 0x10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            [0x43, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ] as [[UInt8]])
    func hostile(_ list: [UInt8]) throws {
        let base = try makeBase([(0, page(1))])
        #expect(base.size == 13 + 4096)
        #expect(throws: Failure.self) { try decode(list, base: base) }
    }

    @Test("A copy without an earlier image is refused, and a list that is cut is not whole")
    func incomplete() throws {
        #expect(throws: Failure.self) { try decode([0x43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], base: nil) }
        for cut in [[0x4C], [0x4C, 3, 0, 0, 0, 9, 9], [0x43, 1, 0, 0, 0, 0]] as [[UInt8]] {
            #expect(try !decode(cut, base: nil).isWhole)
        }
    }
}

private struct Xorshift {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state >> 11
    }
}

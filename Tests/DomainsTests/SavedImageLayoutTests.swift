import HostModel
import Testing

@testable import Domains

@Suite("Where an image has the guest's pages")
struct SavedImageLayoutTests {
    /// Page numbers with where each page begins, and what was left for the last part.
    private func walk(_ bytes: [UInt8]) throws -> (pages: [UInt64: Int], rest: Int) {
        var layout = SavedImageLayout()
        var position = 0
        func read(_ count: Int) throws -> [UInt8] {
            guard bytes.count - position >= count else { throw Failure(.failed, "the end") }
            defer { position += count }
            return Array(bytes[position..<position + count])
        }
        var pages: [UInt64: Int] = [:]
        while true {
            switch try layout.next(read) {
            case .bytes(let count): _ = try read(count)
            case .pages(let numbers):
                for number in numbers {
                    pages[number] = position
                    _ = try read(4096)
                }
            case .rest:
                #expect(try layout.next(read) == .rest)
                return (pages, bytes.count - position)
            }
        }
    }

    /// A record of memory with these entries: a page number and its type.
    private func record(_ entries: [(number: UInt64, type: UInt64)], content: Int) -> [UInt8] {
        var body = ImageBuilder.little(UInt32(entries.count)) + [0, 0, 0, 0]
        for entry in entries { body += ImageBuilder.little(entry.number | entry.type << 60) }
        return body + (0..<content).flatMap { Array(repeating: UInt8(truncatingIfNeeded: $0 + 1), count: 4096) }
    }

    private func image(_ record: [UInt8]) -> [UInt8] {
        ImageBuilder.whole(omitting: 1) { $0.record(1, record) }.bytes
    }

    @Test("Each page is found by its number; those without content have no place", arguments: ["pv", "pvh"])
    func pages(_ type: String) throws {
        let entries: [(UInt64, UInt64)] = [(4, 0), (5, 15), (7, 1), (8, 14), (9, 13), (1 << 40, 12)]
        let bytes = ImageBuilder.whole(type: type, omitting: 1) { $0.record(1, record(entries, content: 3)) }.bytes
        let (pages, rest) = try walk(bytes)
        #expect(Set(pages.keys) == [4, 7, 1 << 40])
        for (number, mark) in [(4, 1), (7, 2), (1 << 40, 3)] as [(UInt64, UInt8)] {
            let place = try #require(pages[number])
            #expect(bytes[place..<place + 4096].allSatisfy { $0 == mark })
        }
        #expect(rest > 0 && rest < 64)
    }

    @Test("Where it is not as expected the rest has no pages")
    func unexpected() throws {
        #expect(try walk(Array(repeating: 0, count: 200)).pages.isEmpty)
        // More content than entries that have some; a record shorter than its entries.
        #expect(try walk(image(record([(1, 0)], content: 2))).pages.isEmpty)
        #expect(try walk(image(ImageBuilder.little(UInt32(1000)) + [0, 0, 0, 0, 1, 2, 3, 4])).pages.isEmpty)
    }

    @Test("Damaged images end the walk, they do not break it")
    func damaged() throws {
        let whole = image(record([(1, 0), (2, 0)], content: 2))
        #expect(try walk(whole).pages.count == 2)
        for position in stride(from: 0, to: 2500, by: 3) {
            var bytes = whole
            bytes[position] ^= 0xA5
            // It either runs to its end or misses bytes; a page lies within the image.
            if let (pages, _) = try? walk(bytes) {
                #expect(pages.values.allSatisfy { $0 + 4096 <= bytes.count })
            }
        }
    }
}

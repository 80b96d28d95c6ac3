import HostModel
import Testing

@testable import Domains

@Suite("A dump of a guest's memory")
struct CoreDumpTests {
    /// Page n is filled with n + 1; the sections lie in the order in which libxc writes them.
    private func dump(_ numbers: [UInt64], isParavirtual: Bool) -> [UInt8] {
        let names = ["", ".shstrtab", ".xen_pages", isParavirtual ? ".xen_p2m" : ".xen_pfn"]
        var letters: [UInt8] = []
        var places: [Int] = []
        for name in names {
            places.append(letters.count)
            letters += Array(name.utf8) + [0]
        }
        var pages: [UInt8] = []
        var table: [UInt8] = []
        for (index, number) in numbers.enumerated() {
            pages += Array(repeating: UInt8(index + 1), count: 4096)
            table += ImageBuilder.little(number)
            if isParavirtual { table += ImageBuilder.little(UInt64(0x77)) }
        }
        let behind = 4096 + pages.count
        let contents = [
            (0, 0), (behind + table.count, letters.count), (4096, pages.count), (behind, table.count),
        ]
        var bytes = header
        for (name, (offset, size)) in zip(places, contents) {
            bytes += ImageBuilder.little(UInt32(name)) + Array(repeating: 0, count: 20)
            bytes += ImageBuilder.little(UInt64(offset)) + ImageBuilder.little(UInt64(size))
            bytes += Array(repeating: 0, count: 24)
        }
        bytes += Array(repeating: 0, count: 4096 - bytes.count)
        return bytes + pages + table + letters
    }

    /// Four sections, of which the second has the names.
    private var header: [UInt8] {
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + Array(repeating: 0, count: 33)
        bytes += ImageBuilder.little(UInt64(64))
        bytes += Array(repeating: 0, count: 10)
        for value in [64, 4, 1] as [UInt16] { bytes += ImageBuilder.little(value) }
        return bytes
    }

    @Test("Each page is found by its number; what is not there has none", arguments: [false, true])
    func pages(_ isParavirtual: Bool) throws {
        let bytes = dump([3, 4, 9, .max], isParavirtual: isParavirtual)
        #expect(CoreDump.isOne(Array(bytes.prefix(CoreDump.headerSize))))
        let pages = try CoreDump.pages(of: SavedImageSource(bytes: bytes))
        #expect(pages.map(\.number) == [3, 4, 9])
        for (index, page) in pages.enumerated() {
            let place = Int(page.offset)
            #expect(bytes[place..<place + 4096].allSatisfy { $0 == UInt8(index + 1) })
        }
    }

    @Test("A file that is cut off anywhere is refused, and so is one whose sections do not fit")
    func damaged() {
        let whole = dump([3, 4], isParavirtual: false)
        for length in [0, 5, 63, 64, 300, 4096, 4097, whole.count - 1] {
            #expect(throws: Failure.self, "\(length)") {
                _ = try CoreDump.pages(of: SavedImageSource(bytes: Array(whole.prefix(length))))
            }
        }
        // In the headers: where they are, how many, which has the names, a section's place and its size.
        for place in [40, 58, 60, 62, 64 + 2 * 64 + 24, 64 + 2 * 64 + 32, 64 + 3 * 64 + 32] {
            var bytes = whole
            bytes[place + 1] ^= 0x41
            #expect(throws: Failure.self, "\(place)") { _ = try CoreDump.pages(of: SavedImageSource(bytes: bytes)) }
        }
        #expect(!CoreDump.isOne(Array(repeating: 0, count: 64)))
    }
}

import HostModel

/// What `xl dump-core` writes of a domain that runs on: its pages, as they were one after another.
///
/// An ELF file of 64 bits, little endian on x86, with section headers alone (`docs/misc/dump-core-format.txt` and
/// `tools/libs/guest/xg_core.c` of Xen 4.17): `.xen_pages` has 4096 bytes for each entry of `.xen_pfn` (PVH and HVM, 8 bytes: the
/// page's number) or of `.xen_p2m` (PV, 16 bytes: the number and the machine's frame). An entry of all ones has no page.
public enum CoreDump {
    public static let pageSize = 4096

    private static let magic: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1]
    public static let headerSize = 64
    private static let sectionSize = 64
    /// As long as section names can be: a dump has seven sections.
    private static let longestNames: UInt64 = 4096
    private static let mostSections = 64

    private struct Section {
        var name: Int
        var offset: UInt64
        var size: UInt64
    }

    /// Whether this is the beginning of one.
    public static func isOne(_ beginning: [UInt8]) -> Bool { beginning.starts(with: magic) }

    /// Where the file has which page, in the file's order. Throws `.failed` for a file that is none, or not whole.
    public static func pages(of source: SavedImageSource) throws(Failure) -> [(number: UInt64, offset: Int64)] {
        let sections = try sections(of: source)
        guard let pages = sections[".xen_pages"] else { throw broken("it has no section .xen_pages") }
        let (table, entry) = try table(in: sections)
        let count = table.size / entry
        guard count == pages.size / UInt64(pageSize), Int64(exactly: pages.offset &+ pages.size) != nil else {
            throw broken("it has \(pages.size) bytes of pages and \(count) numbers of pages")
        }
        var result: [(number: UInt64, offset: Int64)] = []
        result.reserveCapacity(Int(clamping: count))
        let atOnce = UInt64(1 << 16)
        for first in stride(from: UInt64(0), to: count, by: Int(atOnce)) {
            let numbers = SavedImageBytes(
                bytes: try read(source, table.offset + first * entry, Int(min(atOnce, count - first) * entry)))
            for index in 0..<numbers.bytes.count / Int(entry) {
                let number: UInt64 = numbers.little(at: index * Int(entry))
                guard number != .max else { continue }
                result.append((number, Int64(pages.offset + (first + UInt64(index)) * UInt64(pageSize))))
            }
        }
        return result
    }

    private static func table(in sections: [String: Section]) throws(Failure) -> (Section, entry: UInt64) {
        if let translated = sections[".xen_pfn"] { return (translated, 8) }
        if let paravirtual = sections[".xen_p2m"] { return (paravirtual, 16) }
        throw broken("it has no section with the numbers of its pages")
    }

    private static func sections(of source: SavedImageSource) throws(Failure) -> [String: Section] {
        let header = SavedImageBytes(bytes: try read(source, 0, headerSize))
        guard isOne(header.bytes) else { throw broken("it does not begin like one") }
        let (place, size, count, names): (UInt64, UInt16, UInt16, UInt16) = (
            header.little(at: 40), header.little(at: 58), header.little(at: 60), header.little(at: 62)
        )
        guard size == sectionSize, count <= mostSections, names < count else { throw broken("its header is damaged") }
        let table = SavedImageBytes(bytes: try read(source, place, Int(count) * sectionSize))
        var sections: [Section] = []
        for index in 0..<Int(count) {
            let at = index * sectionSize
            let section = Section(
                name: Int(table.little(at: at, as: UInt32.self)), offset: table.little(at: at + 24),
                size: table.little(at: at + 32))
            let (end, isBeyond) = section.offset.addingReportingOverflow(section.size)
            guard !isBeyond, end <= source.length else { throw broken("it is not whole") }
            sections.append(section)
        }
        let text = sections[Int(names)]
        guard text.size <= longestNames else { throw broken("its names are too long") }
        let letters = try read(source, text.offset, Int(text.size))
        let named = sections.map { section in
            (String(decoding: letters.dropFirst(section.name).prefix { $0 != 0 }, as: UTF8.self), section)
        }
        return Dictionary(named) { first, _ in first }
    }

    private static func read(_ source: SavedImageSource, _ offset: UInt64, _ count: Int) throws(Failure) -> [UInt8] {
        let bytes = try source.read(offset, count)
        guard bytes.count == count else { throw broken("it is not whole") }
        return bytes
    }

    private static func broken(_ why: String) -> Failure {
        Failure(.failed, "cannot read the dump of the guest's memory", why: why)
    }
}

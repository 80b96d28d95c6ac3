import Domains
import HostModel
import ImageStream

#if canImport(Glibc)
    import Glibc
#endif

/// Where a base has which of the guest's pages.
enum PageTable {
    /// Reads a file that nobody changes any more: a saved image, or a dump of the memory.
    /// - Parameter hasEnded: asked again and again; ends the reading by throwing.
    static func read(
        _ path: String, hasEnded: @escaping () throws -> Bool
    ) throws -> [(number: UInt64, offset: Int64)] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            throw Failure(.failed, "cannot open \(path)", why: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        let source = try SavedImageSource(descriptor: descriptor, path: path)
        if CoreDump.isOne(try source.read(0, CoreDump.headerSize)) { return try CoreDump.pages(of: source) }
        return try savedPages(path, hasEnded)
    }

    private static func savedPages(
        _ path: String, _ hasEnded: @escaping () throws -> Bool
    ) throws -> [(number: UInt64, offset: Int64)] {
        let file = try GrowingFile(path, piece: 1 << 20, hasEnded: hasEnded) {}
        var layout = SavedImageLayout()
        var pages: [(number: UInt64, offset: Int64)] = []
        while true {
            switch try layout.next(file.bytes) {
            case .bytes(let count): try file.skip(count)
            case .pages(let numbers):
                for (index, number) in numbers.enumerated() {
                    pages.append((number, file.position + Int64(index * PageBase.pageSize)))
                }
                try file.skip(numbers.count * PageBase.pageSize)
            case .rest: return pages
            }
        }
    }
}

import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// An earlier image of the same guest, that both hosts have: its pages need not be sent again.
public final class PageBase: Sendable {
    public static let pageSize = 4096

    /// Its size in bytes.
    public let size: Int64
    private let descriptor: Int32
    /// Where the page of each number begins in the image; -1 where it has none.
    private let offsets: [Int64]

    /// - Parameters:
    ///   - path: a file that nobody changes any more.
    ///   - pages: where it has which page; empty on the side that is only told what to copy.
    public init(path: String, pages: [(number: UInt64, offset: Int64)] = []) throws {
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
            let reason = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw Failure(.failed, "cannot open the earlier image \(path)", why: reason)
        }
        size = Int64(status.st_size)
        offsets = Self.table(pages)
    }

    deinit { close(descriptor) }

    /// A guest of 1 TiB has page numbers below this, and a table of 2 GiB; the pages above are sent.
    private static let mostPages: UInt64 = 1 << 28

    private static func table(_ pages: [(number: UInt64, offset: Int64)]) -> [Int64] {
        let known = pages.lazy.filter { $0.number < mostPages }
        guard let last = known.map(\.number).max() else { return [] }
        var table = [Int64](repeating: -1, count: Int(last) + 1)
        for page in known { table[Int(page.number)] = page.offset }
        return table
    }

    /// Where the page begins; nil where this image has none of that number.
    func offset(of page: UInt64) -> Int64? {
        guard page < UInt64(offsets.count) else { return nil }
        let offset = offsets[Int(page)]
        return offset >= 0 ? offset : nil
    }

    /// Fills `buffer` with what stands at `offset`; false where the image ends before.
    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Bool {
        var filled = 0
        while filled < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled,
                off_t(offset) + off_t(filled))
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure(.failed, "cannot read the earlier image", why: String(cString: strerror(errno)))
            }
            if count == 0 { return false }
            filled += count
        }
        return true
    }
}

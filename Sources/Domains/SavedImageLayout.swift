import HostModel

/// Tells where an image has the guest's pages, from its first byte on, while it is still being written.
///
/// It guides a copy and judges nothing: where the bytes are not what it expects, the rest is one part without pages.
/// The layout is that of ``SavedImage``.
public struct SavedImageLayout {
    /// What comes next in the image.
    public enum Part: Equatable, Sendable {
        /// So many bytes that are no pages.
        case bytes(Int)
        /// A page of 4096 bytes for each of these page numbers.
        case pages([UInt64])
        /// Everything up to the end.
        case rest
    }

    private enum State {
        case header
        case libxlHeaders
        case record
        /// In front of the pages of a record.
        case pageNumbers(UInt32)
        case end
    }

    private var state = State.header

    public init() {}

    /// The next part.
    /// - Parameter read: reads exactly so many bytes at the place that was reached, and moves past them.
    public mutating func next(_ read: (Int) throws -> [UInt8]) throws -> Part {
        switch state {
        case .header:
            let header = SavedImageBytes(bytes: try read(48))
            let configuration: UInt32 = header.little(at: 44)
            guard header.little(at: 32, as: UInt32.self) == SavedImageFormat.byteOrder,
                configuration <= SavedImageFormat.longestConfiguration
            else { break }
            state = .libxlHeaders
            return .bytes(Int(configuration))
        case .libxlHeaders:
            // libxl's header, the empty record that announces libxc's part, and the two headers of that.
            let headers = SavedImageBytes(bytes: try read(16 + 8 + 24 + 16))
            guard headers.big(at: 0, as: UInt64.self) == SavedImageFormat.libxlMark,
                headers.little(at: 16, as: UInt32.self) == LibxlRecord.libxcContext.rawValue,
                headers.little(at: 24, as: UInt64.self) == .max
            else { break }
            state = .record
            return .bytes(0)
        case .record:
            let header = SavedImageBytes(bytes: try read(8))
            let (type, length): (UInt32, UInt32) = (header.little(at: 0), header.little(at: 4))
            guard type != LibxcRecord.end.rawValue, length <= LibxcRecord.longest else { break }
            if type == LibxcRecord.pageData.rawValue, length >= 8 {
                state = .pageNumbers(length)
                return .bytes(0)
            }
            return .bytes(Int(SavedImageFormat.padded(length)))
        case .pageNumbers(let length):
            let count: UInt32 = SavedImageBytes(bytes: try read(8)).little(at: 0)
            guard count > 0, count <= (length - 8) / 8 else { break }
            let numbers = Self.pagesWithContent(try read(8 * Int(count)))
            guard UInt64(length) == 8 + 8 * UInt64(count) + 4096 * UInt64(numbers.count) else { break }
            state = .record
            return .pages(numbers)
        case .end: break
        }
        state = .end
        return .rest
    }

    /// The numbers of the pages whose content follows: a number's upper four bits are the page's type, and the types from
    /// 13 on (broken, allocate only, invalid) have none (`XEN_DOMCTL_PFINFO_*`, `xen/include/public/domctl.h`).
    private static func pagesWithContent(_ bytes: [UInt8]) -> [UInt64] {
        var numbers: [UInt64] = []
        numbers.reserveCapacity(bytes.count / 8)
        bytes.withUnsafeBytes { raw in
            for offset in stride(from: 0, to: raw.count, by: 8) {
                let entry = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                if entry >> 60 < 13 { numbers.append(entry & (1 << 52 - 1)) }
            }
        }
        return numbers
    }
}

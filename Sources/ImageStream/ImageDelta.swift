import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// An image as a list of pieces: bytes as they are, and ranges of an earlier image that the receiver has.
///
/// Each piece begins with a byte of kind and four bytes of length, little endian. A literal (`0x4C`) is followed by its
/// bytes; a copy (`0x43`) by eight bytes, little endian: where in the earlier image it begins. Without an earlier image
/// there are only literals. The list is compressed as a whole and has its checksum from that.
enum ImageDelta {
    enum Kind: UInt8 {
        case literal = 0x4C
        case copy = 0x43
    }

    static let longestLiteral = 1 << 30
    static let shortHeader = 5
    static let copyHeader = 13
}

/// Writes an image as what is new in it.
public final class DeltaEncoder {
    private let base: PageBase?
    private var known: [UInt8]
    /// A copy that the next page may make longer.
    private var copy: (offset: Int64, length: Int)?
    /// Bytes that the receiver takes from the earlier image.
    public private(set) var copied: Int64 = 0

    private static let pagesAtOnce = 256

    /// How many bytes of pages are best given at once.
    public static let longestRun = pagesAtOnce * PageBase.pageSize

    public init(base: PageBase?) {
        self.base = base
        known = [UInt8](repeating: 0, count: base == nil ? 0 : Self.longestRun)
    }

    /// Takes bytes that are no pages.
    public func take(_ bytes: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        try endCopy(emit)
        var rest = bytes
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(ImageDelta.longestLiteral))
            try emitHeader(.literal, piece.count, nil, emit)
            try emit(piece)
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(piece.count))
        }
    }

    /// Takes pages, at most `longestRun` bytes of them, with the number of each.
    public func take(
        pages: UnsafeRawBufferPointer, numbers: ArraySlice<UInt64>, emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        precondition(pages.count == numbers.count * PageBase.pageSize && pages.count <= Self.longestRun)
        guard let base else { return try take(pages, emit: emit) }
        var first = 0
        while first < numbers.count {
            let start = base.offset(of: numbers[numbers.startIndex + first])
            var count = 1
            while first + count < numbers.count,
                follows(base.offset(of: numbers[numbers.startIndex + first + count]), start, count)
            { count += 1 }
            let range = first * PageBase.pageSize..<(first + count) * PageBase.pageSize
            try compare(UnsafeRawBufferPointer(rebasing: pages[range]), with: base, at: start, emit)
            first += count
        }
    }

    /// Ends the image. To be called once.
    public func finish(emit: (UnsafeRawBufferPointer) throws -> Void) throws { try endCopy(emit) }

    private func follows(_ offset: Int64?, _ start: Int64?, _ count: Int) -> Bool {
        guard let start else { return offset == nil }
        return offset == start + Int64(count * PageBase.pageSize)
    }

    /// Takes pages that lie side by side in the earlier image too, from `start` on, or that it does not have.
    private func compare(
        _ pages: UnsafeRawBufferPointer, with base: PageBase, at start: Int64?,
        _ emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let isKnown = try start.map { start in
            try known.withUnsafeMutableBytes {
                try base.read(at: start, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<pages.count]))
            }
        }
        guard let start, isKnown == true else { return try take(pages, emit: emit) }
        var changed = 0
        for page in stride(from: 0, to: pages.count, by: PageBase.pageSize) {
            let isSame = known.withUnsafeBytes {
                memcmp(pages.baseAddress! + page, $0.baseAddress! + page, PageBase.pageSize) == 0
            }
            guard isSame else { continue }
            if changed < page { try take(UnsafeRawBufferPointer(rebasing: pages[changed..<page]), emit: emit) }
            try extendCopy(start + Int64(page), emit)
            changed = page + PageBase.pageSize
        }
        if changed < pages.count { try take(UnsafeRawBufferPointer(rebasing: pages[changed...]), emit: emit) }
    }

    private func extendCopy(_ offset: Int64, _ emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        copied += Int64(PageBase.pageSize)
        if let open = copy, open.offset + Int64(open.length) == offset, open.length < ImageDelta.longestLiteral {
            copy = (open.offset, open.length + PageBase.pageSize)
            return
        }
        try endCopy(emit)
        copy = (offset, PageBase.pageSize)
    }

    private func endCopy(_ emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard let open = copy else { return }
        copy = nil
        try emitHeader(.copy, open.length, open.offset, emit)
    }

    private func emitHeader(
        _ kind: ImageDelta.Kind, _ length: Int, _ offset: Int64?, _ emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        // On the stack: there may be one for every second page.
        try withUnsafeTemporaryAllocation(byteCount: ImageDelta.copyHeader, alignment: 1) { space in
            space[0] = kind.rawValue
            space.storeBytes(of: UInt32(length).littleEndian, toByteOffset: 1, as: UInt32.self)
            space.storeBytes(of: (offset ?? 0).littleEndian, toByteOffset: 5, as: Int64.self)
            let count = offset == nil ? ImageDelta.shortHeader : ImageDelta.copyHeader
            try emit(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(space)[..<count]))
        }
    }
}

/// Puts an image together again. What it is given is hostile: nothing outside the earlier image is read, and no length is
/// believed beyond what it is worth.
public final class DeltaDecoder {
    private enum State {
        case header
        case literal(left: Int)
    }

    private let base: PageBase?
    private var state = State.header
    private var header: [UInt8] = []
    private var space: [UInt8] = []

    public init(base: PageBase?) {
        self.base = base
        header.reserveCapacity(ImageDelta.copyHeader)
    }

    /// Whether what was taken ends with a piece.
    public var isWhole: Bool {
        if case .header = state { header.isEmpty } else { false }
    }

    /// Takes `bytes` of the list and hands on the image's bytes that they stand for.
    public func decode(_ bytes: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch state {
            case .header:
                header.append(rest.removeFirst())
                try takeHeader(emit)
            case .literal(let left):
                let piece = rest.prefix(left)
                try emit(UnsafeRawBufferPointer(rebasing: piece))
                rest = rest.dropFirst(piece.count)
                state = left > piece.count ? .literal(left: left - piece.count) : .header
            }
        }
    }

    /// Acts on a header as soon as all of it is there.
    private func takeHeader(_ emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard let kind = ImageDelta.Kind(rawValue: header[0]) else { throw broken("a piece of an unknown kind") }
        guard header.count == (kind == .copy ? ImageDelta.copyHeader : ImageDelta.shortHeader) else { return }
        let length = Int(header[1..<5].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        guard length > 0, length <= ImageDelta.longestLiteral + DeltaEncoder.longestRun else {
            throw broken("a piece of \(length) bytes")
        }
        switch kind {
        case .literal: state = .literal(left: length)
        case .copy:
            let offset = header[5...].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            try copy(from: offset, length, emit)
        }
        header.removeAll(keepingCapacity: true)
    }

    private func copy(
        from offset: UInt64, _ length: Int, _ emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard let base else { throw broken("a copy from an earlier image, which is not here") }
        guard offset <= UInt64(base.size), UInt64(length) <= UInt64(base.size) - offset else {
            throw broken("a copy from beyond the earlier image's end")
        }
        if space.isEmpty { space = [UInt8](repeating: 0, count: DeltaEncoder.longestRun) }
        var done = 0
        while done < length {
            let count = min(length - done, space.count)
            try space.withUnsafeMutableBytes { buffer in
                let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                guard try base.read(at: Int64(offset) + Int64(done), into: piece) else {
                    throw broken("the earlier image has become shorter")
                }
                try emit(UnsafeRawBufferPointer(piece))
            }
            done += count
        }
    }

    private func broken(_ why: String) -> Failure {
        Failure(.failed, "cannot put the image together", why: why)
    }
}

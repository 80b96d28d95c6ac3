/// Passes a stream on, but for its last bytes, which it keeps until they are released.
///
/// `xl restore` opens the domain's disks when it has read the end of the stream. Holding the tail back lets the target
/// read all of the guest's memory while the source still owns the disks.
public struct TailHolder {
    private let size: Int
    private var held: [UInt8] = []

    /// - Parameter size: how many bytes at the end are kept.
    public init(size: Int) {
        self.size = size
        held.reserveCapacity(size)
    }

    /// Takes `bytes` and hands on what is surely not the tail.
    public mutating func pass(
        _ bytes: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        if bytes.count >= size {
            try held.withUnsafeBytes(emit)
            let split = bytes.count - size
            try emit(UnsafeRawBufferPointer(rebasing: bytes[..<split]))
            held.removeAll(keepingCapacity: true)
            held.append(contentsOf: bytes[split...])
            return
        }
        let surplus = held.count + bytes.count - size
        if surplus > 0 {
            try held.withUnsafeBytes { try emit(UnsafeRawBufferPointer(rebasing: $0[..<surplus])) }
            held.removeFirst(surplus)
        }
        held.append(contentsOf: bytes)
    }

    /// Hands the tail on. To be called once, at the stream's end.
    public mutating func release(emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        try held.withUnsafeBytes(emit)
        held.removeAll()
    }
}

import Synchronization

/// Numbers that are given out once in the life of the process.
enum Generation {
    private static let last = Atomic<UInt64>(0)

    static func next() -> UInt64 { last.add(1, ordering: .relaxed).newValue }
}

import Glibc

/// Asks the kernel for large pages, of which the processor's table of recently used ones covers more memory.
public enum LargePages {
    private static let size: UInt = 2 << 20

    /// Prefers them for what of a range is made of whole ones. Where the kernel has none nothing changes.
    public static func prefer(_ memory: UnsafeMutableRawPointer, _ length: Int) {
        let begin = (UInt(bitPattern: memory) + size - 1) / size * size
        let end = (UInt(bitPattern: memory) + UInt(length)) / size * size
        if begin < end { madvise(UnsafeMutableRawPointer(bitPattern: begin), Int(end - begin), MADV_HUGEPAGE) }
    }
}

import Glibc
import HostModel

/// A file without contents of its own.
public enum SparseFile {
    /// Makes the file (0600) where there is none, and lets it have the size; what it holds stays.
    public static func make(_ path: String, size: ByteCount) throws(Failure) {
        let what = "cannot make \(path)"
        let file = try FileDescriptor(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, doing: what)
        guard ftruncate(file.number, off_t(size.bytes)) == 0 else { throw Failure.system(what) }
    }
}

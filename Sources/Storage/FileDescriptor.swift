import Glibc
import HostModel

/// An open file that is closed when it goes out of scope.
struct FileDescriptor: ~Copyable {
    let number: Int32

    /// Opens `path`, below `directory` where one is given. Throws `.failed`, or `.notFound` for ENOENT.
    init(
        opening path: String, in directory: Int32 = AT_FDCWD, flags: Int32, mode: mode_t = 0, doing what: String
    ) throws(Failure) {
        number = openat(directory, path, flags | O_CLOEXEC, mode)
        guard number >= 0 else { throw Failure.system(what) }
    }

    deinit { close(number) }

    /// Makes what was written to the file, or the names in the directory, survive a power cut.
    borrowing func synchronise(doing what: String) throws(Failure) {
        guard fsync(number) == 0 else { throw Failure.system(what) }
    }
}

/// What `lstat` tells of a name, as far as xenlvs asks.
enum FileKind: String, Sendable {
    case directory = "a directory"
    case regularFile = "a regular file"
    case symbolicLink = "a symbolic link"
    case blockDevice = "a block device"
    case characterDevice = "a character device"
    case other = "neither file, directory, link nor device"

    init(mode: mode_t) {
        self =
            switch mode & S_IFMT {
            case S_IFDIR: .directory
            case S_IFREG: .regularFile
            case S_IFLNK: .symbolicLink
            case S_IFBLK: .blockDevice
            case S_IFCHR: .characterDevice
            default: .other
            }
    }
}

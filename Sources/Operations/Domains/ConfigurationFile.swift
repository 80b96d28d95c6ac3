import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// A file that is there complete and durable, or not at all.
public enum ConfigurationFile {
    /// Writes `text` to `path` (0644), by way of a file beside it.
    /// - Parameter replacing: whether a regular file that is there is replaced; nothing else ever is.
    /// - Throws: `.refused` where something is there already, `.failed` where it cannot be written.
    public static func write(_ text: String, to path: String, replacing: Bool) throws(Failure) {
        let what = "cannot write \(path)"
        var status = stat()
        if lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw Failure(.refused, what, why: "something that is no regular file is there")
            }
            guard replacing else {
                throw Failure(
                    .refused, what, why: "the file is there already", remedy: "give another one, or --force")
            }
        }
        let temporary = path + ".xenlvs-new"
        unlink(temporary)
        defer { unlink(temporary) }
        try fill(temporary, Array(text.utf8), doing: what)
        // link(2), unlike rename(2), does not replace a file that has appeared meanwhile.
        guard replacing ? rename(temporary, path) == 0 : link(temporary, path) == 0 else { throw system(what) }
        try synchroniseDirectory(of: path, doing: what)
    }

    private static func fill(_ path: String, _ bytes: [UInt8], doing what: String) throws(Failure) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw system(what) }
        defer { close(file) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw system(what) }
            rest = rest.dropFirst(count)
        }
        guard fsync(file) == 0 else { throw system(what) }
    }

    private static func synchroniseDirectory(of path: String, doing what: String) throws(Failure) {
        let end = path.lastIndex(of: "/")
        let directory = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw system(what) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw system(what) }
    }

    private static func system(_ what: String) -> Failure {
        Failure(.failed, what, why: String(cString: strerror(errno)))
    }
}

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
        do throws(Failure) {
            try DurableFile.make(temporary, holding: Array(text.utf8), mode: 0o644)
            // link(2), unlike rename(2), does not replace a file that has appeared meanwhile.
            guard replacing ? rename(temporary, path) == 0 : link(temporary, path) == 0 else {
                throw Failure.system(what)
            }
            try DurableFile.synchroniseDirectory(of: path)
        } catch { throw Failure(.failed, what, why: error.why) }
    }
}

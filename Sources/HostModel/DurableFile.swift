import Glibc

/// Files, and names in directories, that survive a power cut.
package enum DurableFile {
    /// Replaces the file as a whole, or makes it: after a power cut there is the former content or `bytes`. When it
    /// returns it is `bytes`. Throws the failure of a system call, with the path it was for.
    package static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o600) throws(Failure) {
        let temporary = path + ".new"
        // What an interrupted run has left: with its mode, or open in somebody else's hands.
        unlink(temporary)
        try make(temporary, holding: bytes, mode: mode)
        guard rename(temporary, path) == 0 else { throw Failure.system("cannot replace \(path)") }
        try synchroniseDirectory(of: path)
    }

    /// Makes a file that is not there yet and synchronises its content, but not yet its name. Throws the failure of a
    /// system call, and may leave a part of the file then.
    package static func make(_ path: String, holding bytes: [UInt8], mode: mode_t) throws(Failure) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard file >= 0 else { throw Failure.system("cannot make \(path)") }
        defer { close(file) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Failure.system("cannot write \(path)") }
            rest = rest.dropFirst(count)
        }
        guard fsync(file) == 0 else { throw Failure.system("cannot write \(path)") }
    }

    /// Removes a file; nothing happens where there is none. A power cut may bring it back until its directory is
    /// synchronised. Throws the failure of the system call, with the path.
    package static func remove(_ path: String) throws(Failure) {
        guard unlink(path) == 0 || errno == ENOENT else { throw Failure.system("cannot remove \(path)") }
    }

    /// Makes the names in a directory survive a power cut. Throws `.failed`.
    package static func synchronise(directory path: String) throws(Failure) {
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw failed("cannot open \(path)") }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failed("cannot sync \(path)") }
    }

    /// The same for the directory that has the name `path`.
    package static func synchroniseDirectory(of path: String) throws(Failure) {
        let end = path.lastIndex(of: "/")
        try synchronise(directory: end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".")
    }

    private static func failed(_ what: String) -> Failure {
        Failure(.failed, what, why: String(cString: strerror(errno)))
    }
}

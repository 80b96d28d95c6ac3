import HostModel

#if canImport(Glibc)
    import Glibc
#endif

/// A directory that only its owner may look into: what xenlvs keeps tells of guests, and some of it is their memory.
public enum PrivateDirectory {
    /// Makes the directory, or closes one that is there, 0700 whatever the umask. Its parent must be there.
    public static func prepare(_ path: String) throws(Failure) {
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw system("cannot create \(path)") }
        var status = stat()
        guard stat(path, &status) == 0 else { throw system("cannot look at \(path)") }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw Failure(.refused, "cannot use \(path)", why: "it is no directory", remedy: "move it away by hand")
        }
        guard status.st_mode & 0o7777 != 0o700 else { return }
        guard chmod(path, 0o700) == 0 else { throw system("cannot protect \(path)") }
    }

    private static func system(_ what: String) -> Failure {
        Failure(.failed, what, why: String(cString: strerror(errno)))
    }
}

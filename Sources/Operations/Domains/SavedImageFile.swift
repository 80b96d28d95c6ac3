import Domains
import Glibc
import HostModel

/// A file with a guest's memory, 0600, in a directory of 0700, that `xl save` writes.
struct SavedImageFile: Sendable {
    let path: String

    /// Makes it empty: `xl save` would create it with a wider mode.
    func create() throws -> String {
        unlink(path)
        try DurableFile.make(path, holding: [], mode: 0o600)
        return path
    }

    /// Makes it survive a power cut. Throws `.failed` where it is not whole.
    func seal() throws {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw Failure.system("cannot open \(path)") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw Failure.system("cannot write \(path)") }
        switch try SavedImage.check(SavedImageSource(descriptor: file, path: path)) {
        case .complete: break
        case .truncated(let offset, let place):
            throw Failure(
                .failed, "the saved image \(path) is not whole", why: "it ends at byte \(offset), in \(place)")
        case .notAnImage(let reason): throw Failure(.failed, "\(path) is no saved image", why: reason)
        }
        try DurableFile.synchroniseDirectory(of: path)
    }

    /// Removes it, and then the record beside it: without that nobody would know whose memory it is. When it returns, both are
    /// gone for good.
    func remove(with record: String) throws {
        for file in [path, record] where unlink(file) != 0 && errno != ENOENT {
            throw Failure.system("cannot remove \(file)")
        }
        try DurableFile.synchroniseDirectory(of: path)
    }

    /// Nil where there is none.
    var size: ByteCount? {
        var status = stat()
        return stat(path, &status) == 0 ? ByteCount(Int64(status.st_size)) : nil
    }

    /// Throws `.refused` where its directory has no room for the image of a domain.
    func checkRoom(for domain: DomainDescription, doing what: String) throws {
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { throw Failure.system("cannot look at \(directory)") }
        let (image, free) = (
            MemoryRequirement.savedImage(of: domain), ByteCount(Int64(status.f_bavail) * Int64(status.f_frsize))
        )
        guard image <= free else {
            throw Failure(
                .refused, what, why: "the saved image takes \(image), and \(free) are free at \(directory)",
                remedy: "free some space")
        }
    }
}

/// What was done about a domain that a killed run has left stopped or away.
public struct DomainRepair: Sendable, Encodable, Equatable {
    public var domain: DomainName
    /// What was done, or what is left to do.
    public var words: String
    public var needsOperator: Bool

    /// One line.
    public var line: String { "domain \(domain): \(words)" }
}

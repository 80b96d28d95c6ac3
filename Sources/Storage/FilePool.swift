import Glibc
import HostModel

/// A directory of volumes as files: `DIR/NAME.img`, and `DIR/NAME.drbdmd` with the DRBD metadata of such a volume.
///
/// Guests and DRBD use the files through loop devices (`LoopDevices`). A file appears under its name complete, with all
/// its blocks allocated, or not at all; a killed run leaves at most `.NAME.img.xenlvs-new`, which the next `create`
/// of that name removes. Two runs must not create one name at the same time; the lock on the volume sees to that.
public struct FilePool: Sendable {
    /// Which file of a volume.
    public enum Role: String, Sendable, CaseIterable {
        case data = ".img"
        case metadata = ".drbdmd"
    }

    public let directory: String

    /// Takes a checked directory. Throws `.usage` for a path that is not absolute and plain, `.notFound` where there is
    /// nothing, `.refused` where it is no directory or everybody can write to it.
    public init(_ directory: String) throws(Failure) {
        let what = "cannot use '\(directory)' as a directory pool"
        if let why = Self.objection(toPath: directory) {
            throw Failure(.usage, what, why: why, remedy: "give the full path of a directory")
        }
        var status = stat()
        guard lstat(directory, &status) == 0 else { throw Failure.system(what) }
        let kind = FileKind(mode: status.st_mode)
        guard kind == .directory else { throw Failure(.refused, what, why: "it is \(kind.rawValue)") }
        guard status.st_mode & 0o002 == 0 else {
            throw Failure(.refused, what, why: "everybody can write to it", remedy: "chmod o-w \(directory)")
        }
        self.directory = directory
    }

    /// Why `directory` cannot be the path of a pool, or nil. Nothing is looked at.
    public static func objection(toPath directory: String) -> String? {
        let parts = directory.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        guard directory.hasPrefix("/"), !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }),
            !directory.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
        else { return "it is not an absolute path without '.', '..' and control characters" }
        return directory.utf8.count > 1024 ? "it is longer than 1024 bytes" : nil
    }

    /// Where the file of a volume is or would be.
    public func path(of name: VolumeName, _ role: Role = .data) -> String { "\(directory)/\(name)\(role.rawValue)" }

    /// The size of a volume's file; nil where there is none. Throws `.refused` where it is no regular file.
    public func size(of name: VolumeName, _ role: Role = .data) throws(Failure) -> ByteCount? {
        let path = path(of: name, role)
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return nil }
            throw Failure.system("cannot look at \(path)")
        }
        let kind = FileKind(mode: status.st_mode)
        guard kind == .regularFile else {
            throw Failure(.refused, "cannot use \(path)", why: "it is \(kind.rawValue)", remedy: "move it away by hand")
        }
        return ByteCount(Int64(status.st_size))
    }

    /// What is left for new files.
    public func freeSpace() throws(Failure) -> ByteCount {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { throw Failure.system("cannot see the space in \(directory)") }
        return ByteCount(Int64(clamping: status.f_bavail) * Int64(clamping: status.f_frsize))
    }

    /// Makes a file of exactly `size`, zeroed, mode 0600, with its blocks allocated, and synchronises it and the
    /// directory.
    /// - Throws: `.refused` where the name is taken or `size` is no multiple of 512; `.failed` where the space runs
    ///   out.
    public func create(_ name: VolumeName, _ role: Role = .data, size: ByteCount) throws(Failure) {
        let what = "cannot make \(path(of: name, role)) of \(size)"
        guard size.bytes > 0, size.bytes % 512 == 0 else {
            throw Failure(.refused, what, why: "\(size.bytes) bytes are no multiple of 512")
        }
        guard try self.size(of: name, role) == nil else { throw taken(what) }
        let folder = try FileDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, doing: what)
        let final = name.text + role.rawValue
        let temporary = ".\(final).xenlvs-new"
        if unlinkat(folder.number, temporary, 0) != 0, errno != ENOENT { throw Failure.system(what) }
        defer { unlinkat(folder.number, temporary, 0) }
        try fill(temporary, in: folder.number, size, doing: what)
        // link(2), unlike rename(2), does not replace a file that has appeared meanwhile.
        guard linkat(folder.number, temporary, folder.number, final, 0) == 0 else {
            throw errno == EEXIST ? taken(what) : Failure.system(what)
        }
        try folder.synchronise(doing: what)
    }

    /// Removes a volume's file. Returns false where there is none. The caller has seen that no loop device uses it.
    @discardableResult
    public func remove(_ name: VolumeName, _ role: Role = .data) throws(Failure) -> Bool {
        let what = "cannot remove \(path(of: name, role))"
        guard try size(of: name, role) != nil else { return false }
        let folder = try FileDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, doing: what)
        guard unlinkat(folder.number, name.text + role.rawValue, 0) == 0 else { throw Failure.system(what) }
        try folder.synchronise(doing: what)
        return true
    }

    private func fill(_ file: String, in folder: Int32, _ size: ByteCount, doing what: String) throws(Failure) {
        let descriptor = try FileDescriptor(
            opening: file, in: folder, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, doing: what)
        let code = posix_fallocate(descriptor.number, 0, off_t(size.bytes))
        guard code == 0 else {
            throw Failure.system(what, errno: code, remedy: "see how much space 'df \(directory)' shows")
        }
        try descriptor.synchronise(doing: what)
    }

    private func taken(_ what: String) -> Failure {
        Failure(.refused, what, why: "there is a file of that name", remedy: "choose another name, or remove the file")
    }
}

import CLinux
import Domains
import FoundationEssentials
import HostModel
import Hosts
import Migration

#if canImport(Glibc)
    import Glibc
#endif

/// The saved images of a migration on this host.
///
/// An image holds all of a guest's memory: the directory is 0700, every file 0600. An image may be restored as long as the
/// guest has not run since; that is why it is marked *spent*, durably, before the domain is let run. And only in the boot of
/// the host that it was made in, which its name tells: after a power cut it need not have reached the disk, and somebody
/// may have started the guest from its disks meanwhile.
public struct SavedImages: Sendable {
    /// The brackets that save a domain; each has its own image.
    public enum Purpose: String, Sendable, CaseIterable {
        case substitution = "1"
        case handOver = "2"
        /// The compressed copy that the target keeps of what it received.
        case received = "2.zst"
        case settlement = "3"
        case rollback = "back"
        /// The guest's memory at an earlier moment, on both hosts: what has not changed since is not sent again. Never restored.
        case base = "base"

        /// Those that a source can restore, the newest first.
        static let ofSource: [Purpose] = [.rollback, .handOver, .substitution]
    }

    public enum State: Sendable, Equatable {
        case absent
        /// Complete, and the guest has not run since.
        case whole
        /// It ends early: the save did not finish.
        case partial(String)
        case spent
    }

    public let directory: String

    public init(directory: String) {
        self.directory = directory
        boot = String(((try? MachineIdentity.read()) ?? "unknown").prefix(8))
    }

    private let boot: String

    public func path(_ id: MigrationID, _ purpose: Purpose) -> String {
        "\(directory)/\(id).\(purpose.rawValue).\(boot).image"
    }
    private func spentPath(_ id: MigrationID, _ purpose: Purpose) -> String { path(id, purpose) + ".spent" }

    /// Makes the directory, 0700.
    public func prepare() throws {
        try PrivateDirectory.prepare(directory)
    }

    /// Makes an empty file, 0600, for a program that would create it with a wider mode. One that is there is emptied and stays
    /// the same file, so that whoever has it open already sees what is written.
    public func create(_ id: MigrationID, _ purpose: Purpose) throws -> String {
        try prepare()
        let path = path(id, purpose)
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw system("cannot create \(path)") }
        defer { close(file) }
        // The mode of one that was there already, or that the umask has changed.
        guard fchmod(file, 0o600) == 0 else { throw system("cannot protect \(path)") }
        // A bracket that failed and is taken again has spent an image already. It is empty by now, so the mark may go.
        guard unlink(spentPath(id, purpose)) == 0 || errno == ENOENT else { throw system("cannot reuse \(path)") }
        return path
    }

    /// What is there for `purpose`. An uncompressed image is walked from its header to its end.
    public func state(_ id: MigrationID, _ purpose: Purpose) throws -> State {
        if access(spentPath(id, purpose), F_OK) == 0 { return .spent }
        let path = path(id, purpose)
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else {
            if errno == ENOENT { return .absent }
            throw system("cannot open \(path)")
        }
        defer { close(file) }
        switch try SavedImage.check(SavedImageSource(descriptor: file, path: path)) {
        case .complete: return .whole
        case .truncated(let offset, let place): return .partial("it ends at byte \(offset), in \(place)")
        case .notAnImage(let reason): return .partial(reason)
        }
    }

    /// Whether there is a file for `purpose` that is not spent.
    public func exists(_ id: MigrationID, _ purpose: Purpose) -> Bool {
        access(path(id, purpose), F_OK) == 0
    }

    public func size(_ id: MigrationID, _ purpose: Purpose) -> ByteCount {
        var status = stat()
        return stat(path(id, purpose), &status) == 0 ? ByteCount(Int64(status.st_size)) : ByteCount(0)
    }

    /// Marks an image as spent, durably: nobody may restore it any more. Nothing happens where it is already.
    public func markSpent(_ id: MigrationID, _ purpose: Purpose) throws {
        let whole = path(id, purpose)
        if rename(whole, spentPath(id, purpose)) != 0 {
            if errno == ENOENT { return }
            throw system("cannot mark \(whole) as spent")
        }
        try DurableFile.synchronise(directory: directory)
    }

    /// Marks every image of a migration as spent, durably, those of earlier boots included.
    public func spendAll(_ id: MigrationID) throws {
        let mine = try names(of: id)
        for name in mine where !name.hasSuffix(".spent") {
            let path = "\(directory)/\(name)"
            guard rename(path, path + ".spent") == 0 else { throw system("cannot mark \(path) as spent") }
        }
        // Also where all are marked: a run that was cut off may not have come this far.
        if !mine.isEmpty { try DurableFile.synchronise(directory: directory) }
    }

    /// Whether an image is spent and its guest may not have been let run yet: once it runs, `retireSpent` follows.
    func awaitsRun(_ id: MigrationID, _ purpose: Purpose) -> Bool {
        var status = stat()
        return stat(spentPath(id, purpose), &status) == 0 && status.st_size > 0
    }

    /// Gives a spent image's space back: the next freeze needs room for an image of its own. That of the first freeze stays
    /// as the base of what the second one sends, where there is room for both.
    public func retireSpent(_ id: MigrationID, _ purpose: Purpose) throws {
        let spent = spentPath(id, purpose)
        var status = stat()
        guard stat(spent, &status) == 0, status.st_size > 0 else { return }
        if purpose == .substitution, try freeSpace().bytes > Int64(status.st_size) / 10 * 11 {
            try becomeBase(id, spent)
        } else {
            guard truncate(spent, 0) == 0 else { throw system("cannot empty \(spent)") }
        }
        if purpose == .received { try remove(id, .base) }
    }

    /// The mark stays; what it marked gets a name of its own, and is no image to `xl` any more.
    private func becomeBase(_ id: MigrationID, _ spent: String) throws {
        let file = open(spent, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw system("cannot open \(spent)") }
        defer { close(file) }
        let blank = [UInt8](repeating: 0, count: 32)
        let mark = spent + ".new"
        let empty = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard empty >= 0 else { throw system("cannot create \(mark)") }
        close(empty)
        try remove(id, .base)
        guard pwrite(file, blank, blank.count, 0) == blank.count, link(spent, path(id, .base)) == 0,
            rename(mark, spent) == 0
        else { throw system("cannot retire \(spent)") }
    }

    /// Has `write` fill a new file, 0600, and makes it the base when that has ended well.
    ///
    /// Until then the file has no name, and is reached through this process alone: nothing is left of a run that dies, and a
    /// program that it has started and that still writes cannot change the base of the next one.
    func makeBase(_ id: MigrationID, _ write: (_ path: String) async throws -> Void) async throws {
        try prepare()
        let file = open(directory, xenlvs_o_tmpfile | O_RDWR | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw system("cannot make a file in \(directory)") }
        defer { close(file) }
        try await write("/proc/\(getpid())/fd/\(file)")
        try remove(id, .base)
        guard linkat(AT_FDCWD, "/proc/self/fd/\(file)", AT_FDCWD, path(id, .base), AT_SYMLINK_FOLLOW) == 0 else {
            throw system("cannot keep \(path(id, .base))")
        }
    }

    /// Removes one image; nothing happens where it is not there.
    public func remove(_ id: MigrationID, _ purpose: Purpose) throws {
        let path = path(id, purpose)
        guard unlink(path) == 0 || errno == ENOENT else { throw system("cannot remove \(path)") }
    }

    /// Whether the migration has images of an earlier boot and none of this one: what it had saved, or let run, went with
    /// the host.
    public func areOfAnEarlierBoot(_ id: MigrationID) throws -> Bool {
        let names = try names(of: id)
        return !names.isEmpty
            && !names.contains { $0.hasSuffix(".\(boot).image") || $0.hasSuffix(".\(boot).image.spent") }
    }

    /// The paths of all images that were made in earlier boots and are not spent.
    public func ofEarlierBoots() throws -> [String] {
        try names().filter { $0.hasSuffix(".image") && !$0.hasSuffix(".\(boot).image") }.map { "\(directory)/\($0)" }
    }

    /// The names of what there is of a migration, in order, those of earlier boots and spent ones included.
    func names(of id: MigrationID) throws -> [String] { try names().filter { ImageFileName($0)?.migration == id } }

    /// The names of all there is, in order; none where there is no directory yet.
    private func names() throws -> [String] {
        guard access(directory, F_OK) == 0 else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    }

    /// Every file that is there, whosever it is, by name.
    func files() throws -> [ImageFile] {
        try names().compactMap { name in
            var status = stat()
            guard lstat("\(directory)/\(name)", &status) == 0 else {
                if errno == ENOENT { return nil }
                throw system("cannot look at \(directory)/\(name)")
            }
            return ImageFile(
                path: "\(directory)/\(name)", name: ImageFileName(name), size: ByteCount(Int64(status.st_size)),
                mode: status.st_mode & 0o7777, isOfThisBoot: name.contains(".\(boot).image"))
        }
    }

    /// Removes every image of a migration, those of earlier boots included. Returns what was removed.
    @discardableResult
    public func removeAll(_ id: MigrationID) throws -> [String] {
        let mine = try names(of: id)
        for name in mine where unlink("\(directory)/\(name)") != 0 && errno != ENOENT {
            throw system("cannot remove \(directory)/\(name)")
        }
        if !mine.isEmpty { try DurableFile.synchronise(directory: directory) }
        return mine
    }

    /// Bytes free for images.
    public func freeSpace() throws -> ByteCount {
        try prepare()
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { throw system("cannot look at \(directory)") }
        return ByteCount(Int64(status.f_bavail) * Int64(status.f_frsize))
    }

    private func system(_ what: String) -> Failure {
        Failure(.failed, what, why: String(cString: strerror(errno)))
    }
}

import Glibc
import HostModel

/// The directory of stable names, `/dev/xenlvs`: one symbolic link for each volume, to what backs it at the moment.
///
/// This is the only place that touches the links. What holds at any point of any method, also after a kill:
/// - a link is either the former or the new one, never missing in between (symlink beside, rename(2), fsync);
/// - what is not a symbolic link is never replaced nor removed;
/// - at most `.NAME.xenlvs-new` is left over, which the next `set` of that name or `sweep` removes.
///
/// Two runs must not change one name at the same time; the lock on the volume sees to that.
/// `/dev` is a devtmpfs: all links are gone after a boot and are put back by `repair`.
public struct LinkDirectory: Sendable {
    public static let standardPath = "/dev/xenlvs"

    public let path: String
    /// The directory that every target must lie below.
    private let devices: String
    private let owner: uid_t

    /// Names the directory; nothing is made or looked at. The other parameters than `path` are for tests.
    public init(path: String = Self.standardPath, devices: String = "/dev", owner: UInt32 = 0) {
        self.path = path
        self.devices = devices
        self.owner = owner
    }

    /// The path that a guest's configuration names: `/dev/xenlvs/web1`.
    public func path(of name: VolumeName) -> String { "\(path)/\(name)" }

    /// Makes the link of `name` point to `target`, at once and for good, and reads it back. Nothing is done where it
    /// does already.
    /// - Throws: `.usage` for a target that is not a plain absolute path below `/dev`; `.refused` where the target is
    ///   no block device, or the name is taken by something else than a link; `.notFound` where the target is missing.
    public func set(_ name: VolumeName, to target: String) throws(Failure) {
        let what = "cannot point \(path(of: name)) to \(target)"
        try checkName(name, doing: what)
        try checkTarget(target, doing: what)
        _ = try BlockDevice(at: target)
        let directory = try openDirectory(making: true)
        switch try read(name, in: directory.number) {
        case .link(target, _): return
        case .notALink(let kind): throw notOurs(kind, doing: what)
        case .absent, .link: break
        }

        let temporary = Self.temporaryName(of: name.text)
        if unlinkat(directory.number, temporary, 0) != 0, errno != ENOENT { throw Failure.system(what) }
        guard symlinkat(target, directory.number, temporary) == 0,
            renameat(directory.number, temporary, directory.number, name.text) == 0
        else { throw Failure.system(what) }
        try directory.synchronise(doing: what)

        let found = try read(name, in: directory.number)
        guard case .link(target, _) = found else {
            throw Failure(
                .inconsistent, what, why: "it was set, but reads back as \(found)",
                remedy: "find out what else changes \(path)")
        }
    }

    /// Removes the link. Returns false where there is none. Throws `.refused` where it is no link.
    @discardableResult
    public func remove(_ name: VolumeName) throws(Failure) -> Bool {
        let what = "cannot remove \(path(of: name))"
        try checkName(name, doing: what)
        guard let directory = try openDirectoryIfThere() else { return false }
        switch try read(name, in: directory.number) {
        case .absent: return false
        case .notALink(let kind): throw notOurs(kind, doing: what)
        case .link: break
        }
        guard unlinkat(directory.number, name.text, 0) == 0 else { throw Failure.system(what) }
        try directory.synchronise(doing: what)
        return true
    }

    /// What stands under `name`. Throws `.refused` where the directory itself cannot be trusted.
    public func read(_ name: VolumeName) throws(Failure) -> LinkState {
        try checkName(name, doing: "cannot read \(path(of: name))")
        guard let directory = try openDirectoryIfThere() else { return .absent }
        return try read(name, in: directory.number)
    }

    /// Every volume's name that something stands under, sorted. Names that cannot be a volume's are left out.
    public func list() throws(Failure) -> [VolumeName] {
        guard try openDirectoryIfThere() != nil else { return [] }
        return try TextFile.names(in: path, doing: "cannot list \(path)").compactMap { text in
            text.hasPrefix(".") ? nil : try? VolumeName(text)
        }.sorted()
    }

    /// Removes what a killed run left beside the links. Returns the names. Only for when no other run is under way.
    @discardableResult
    public func sweep() throws(Failure) -> [String] {
        let what = "cannot remove left-over links in \(path)"
        guard let directory = try openDirectoryIfThere() else { return [] }
        let leftOver = try TextFile.names(in: path, doing: what).filter(Self.isTemporary).sorted()
        for name in leftOver where unlinkat(directory.number, name, 0) != 0 { throw Failure.system(what) }
        if !leftOver.isEmpty { try directory.synchronise(doing: what) }
        return leftOver
    }
}

extension LinkDirectory {
    private static let temporarySuffix = ".xenlvs-new"

    private static func temporaryName(of name: String) -> String { ".\(name)\(temporarySuffix)" }
    private static func isTemporary(_ name: String) -> Bool { name.hasPrefix(".") && name.hasSuffix(temporarySuffix) }

    private func checkName(_ name: VolumeName, doing what: String) throws(Failure) {
        if name.text.hasPrefix(".") {
            throw Failure(.usage, what, why: "a volume's name with a leading '.' could be taken for a left-over link")
        }
    }

    private func checkTarget(_ target: String, doing what: String) throws(Failure) {
        let parts = target.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        let why: String? =
            if !target.hasPrefix(devices + "/") {
                "the target is not below \(devices)"
            } else if target.utf8.count > 1024 {
                "the target is longer than 1024 bytes"
            } else if parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) {
                "the target has an empty part, '.' or '..' in its path"
            } else if target.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
                "the target holds a control character"
            } else if target == path || target.hasPrefix(path + "/") {
                "the target is itself in the directory of links"
            } else {
                nil
            }
        if let why { throw Failure(.usage, what, why: why, remedy: "give the path of a block device below \(devices)") }
    }

    private func notOurs(_ kind: String, doing what: String) -> Failure {
        Failure(
            .refused, what, why: "there is \(kind) under that name, which xenlvs did not make",
            remedy: "move it away by hand")
    }

    private func openDirectoryIfThere() throws(Failure) -> FileDescriptor? {
        do {
            return try openDirectory(making: false)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    private func openDirectory(making: Bool) throws(Failure) -> FileDescriptor {
        let what = "cannot use \(path) as the directory of links"
        if making, mkdir(path, 0o755) == 0 {
            // The umask may have taken bits away.
            guard chmod(path, 0o755) == 0 else { throw Failure.system(what) }
        }
        // With O_NOFOLLOW and O_DIRECTORY a link fails with ENOTDIR (open(2)).
        let descriptor = try FileDescriptor(opening: path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, doing: what)
        var status = stat()
        guard fstat(descriptor.number, &status) == 0 else { throw Failure.system(what) }
        guard status.st_uid == owner, status.st_mode & 0o022 == 0 else {
            throw Failure(
                .refused, what,
                why: "it belongs to user \(status.st_uid) with mode \(String(status.st_mode & 0o7777, radix: 8))",
                remedy: "chown root \(path); chmod 755 \(path)")
        }
        return descriptor
    }

    private func read(_ name: VolumeName, in directory: Int32) throws(Failure) -> LinkState {
        let what = "cannot read \(path(of: name))"
        var status = stat()
        guard fstatat(directory, name.text, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return .absent }
            throw Failure.system(what)
        }
        let kind = FileKind(mode: status.st_mode)
        guard kind == .symbolicLink else { return .notALink(kind: kind.rawValue) }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlinkat(directory, name.text, &buffer, buffer.count)
        guard length >= 0 else { throw Failure.system(what) }
        let target = String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
        return .link(target: target, leadsTo: end(of: target.hasPrefix("/") ? target : "\(path)/\(target)"))
    }

    func end(of target: String) -> LinkEnd {
        var status = stat()
        guard stat(target, &status) == 0 else { return .dangling }
        let kind = FileKind(mode: status.st_mode)
        guard kind == .blockDevice, let device = try? BlockDevice(at: target) else {
            return .notABlockDevice(kind: kind.rawValue)
        }
        return .device(node: device.node, device.number)
    }
}

import FoundationEssentials
import Glibc
import HostModel
import Hosts
import Storage

/// Sets LVM's device filter so that LVM keeps off guests' disks, and takes that back. What an administrator has set is never
/// changed: the line that is missing is told instead.
public struct LVMFilterSetting: Sendable {
    let host: HostContext

    public init(host: HostContext) { self.host = host }

    static let file = LVMReach.directory + "/lvmlocal.conf"
    static let backup = file + ".before-xenlvs"
    private static let what = "cannot set LVM's device filter"

    /// Writes xenlvs's part of `lvmlocal.conf`, after a trial of the whole configuration with LVM itself beside the real one.
    /// Where LVM keeps off already nothing is done.
    ///
    /// - Throws: `.refused` where somebody else has set a filter, or LVM would lose sight of a physical volume that is on no
    ///   disk of a guest's; `.busy` where it would of one whose volume group is active. Nothing is changed then.
    public func set() async throws -> [Finding] {
        try await locked {
            let reach = try await LVMReach.read(host)
            if let list = reach.list {
                return [finding("LVM looks at nothing but the devices in \(list.path): there is nothing to set")]
                    + (try await warnings())
            }
            let former = try read(doing: Self.what)
            let local = LVMLocalFile(former.text ?? "")
            let kinds = try reach.kindsLookedInto()
            let wanted = try local.setting(LVMDeviceFilter.ownPatterns)
            let isOurs = try local.hasPart
            if kinds.isEmpty, wanted == local || !isOurs {
                return [finding("LVM keeps off guests' disks; there is nothing to do")] + (try await warnings())
            }
            if !isOurs { try await refuseForeignFilter(reach.filter, kinds) }
            let lost = try await tryOut(wanted)
            try write(wanted, former)
            do {
                let kinds = try await LVMReach.read(host).kindsLookedInto()
                guard kinds.isEmpty else { throw notTaken(kinds) }
            } catch {
                try restore(former)
                throw error
            }
            return [finding("LVM keeps off guests' disks now, by \(Self.file)")]
                + lost.map { finding("LVM does not see \($0.path)\($0.inGroup) any more, which is a guest's disk") }
                + (try await warnings())
        }
    }

    /// Takes xenlvs's part out again. The rest of the file stays as it is.
    public func remove() async throws -> [Finding] {
        try await locked {
            let former = try read(doing: "cannot take LVM's device filter back")
            let local = LVMLocalFile(former.text ?? "")
            guard try local.hasPart else { return [finding("\(Self.file) has no filter of xenlvs's; nothing to do")] }
            let rest = try local.removing()
            let kept = KernelFile.read(host.tree.root + Self.backup)
            if rest.text.isEmpty, kept == nil {
                try removeFile(Self.file)
            } else {
                try replace(Self.file, with: rest.text, mode: former.mode)
            }
            if kept == rest.text { try removeFile(Self.backup) }
            let kinds = try await LVMReach.read(host).kindsLookedInto()
            guard !kinds.isEmpty else { return [finding("took xenlvs's filter out of \(Self.file)")] }
            return [
                Finding(
                    .warning, host.name, "took xenlvs's filter out of \(Self.file)",
                    why: "LVM looks into \(kinds.joined(separator: ", ")) now, and may activate guests' volume groups",
                    remedy: "xenlvs doctor --set-lvm-filter")
            ]
        }
    }

    private func locked(_ body: () async throws -> [Finding]) async throws -> [Finding] {
        try PrivateDirectory.prepare(host.paths.run)
        let lock = try FileLock(path: host.paths.run + "/lvm-filter.lock", purpose: "setting LVM's device filter")
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    private func finding(_ what: String) -> Finding { Finding(.fine, host.name, what) }

    /// What no filter puts right.
    private func warnings() async throws -> [Finding] {
        let checks = ISCSIChecks(host: host)
        return try await checks.lvmFindings() + checks.exportFindings().filter { $0.severity != .fine }
    }

    private func refuseForeignFilter(_ filter: LVMDeviceFilter, _ kinds: [String]) async throws {
        let result = try await host.runner.run(LVMDeviceFilter.settingQuery())
        guard result.termination == .exited(0) else { return }
        let theirs = try LVMDeviceFilter(parsing: result.output).patterns
        let merged = LVMDeviceFilter.ownPatterns + theirs.filter { !LVMDeviceFilter.ownPatterns.contains($0) }
        let stillIn = try LVMReach(
            filter: LVMDeviceFilter(parsing: "global_filter=[\(merged.map { "\"\($0)\"" }.joined(separator: ","))]")
        ).kindsLookedInto()
        throw Failure(
            .refused, Self.what,
            why: "a global_filter is set already, and lets LVM look into \(kinds.joined(separator: ", "))",
            remedy: "write in its place: \(LVMDeviceFilter.line(merged))"
                + (stillIn.isEmpty
                    ? ""
                    : "; it accepts \(stillIn.joined(separator: ", ")) under another name: narrow its patterns that begin "
                        + "with 'a' down to this host's own disks"))
    }

    private func notTaken(_ kinds: [String]) -> Failure {
        Failure(
            .failed, Self.what, why: "LVM looks into \(kinds.joined(separator: ", ")) all the same",
            remedy: "see 'lvmconfig devices/global_filter', and whether \(Self.file) has another one")
    }

    /// - Returns: the physical volumes on guests' disks that LVM would not see any more.
    private func tryOut(_ wanted: LVMLocalFile) async throws -> [PhysicalVolume] {
        let trial = try LVMTrial(host: host, local: wanted)
        defer { trial.end() }
        let kinds = try await trial.kindsLookedInto()
        guard kinds.isEmpty else { throw notTaken(kinds) }
        let seen = try await trial.physicalVolumes()
        let now = try LVMReport.physicalVolumes(try await host.runner.run(LVMCommands.listPhysicalVolumes()).output)
        let lost = now.filter { volume in !seen.contains { $0.path == volume.path } }
        guard !lost.isEmpty else { return [] }
        let own = try await GuestDevices.all(host)
        if let other = lost.first(where: { !own.contains($0.path, host) }) {
            throw Failure(
                .refused, Self.what,
                why:
                    "LVM would not see \(other.path)\(other.inGroup) any more, and xenlvs knows of no guest's disk there",
                remedy: "write a global_filter by hand that accepts it: the example is "
                    + "/usr/share/doc/xenlvs/examples/lvmlocal.conf")
        }
        let volumes = try LVMReport.volumes(try await host.runner.run(LVMCommands.listVolumes()).output)
        let active = volumes.first { volume in
            volume.activation != .inactive && lost.contains { $0.group == volume.reference.group.text }
        }
        if let active {
            throw Failure(
                .busy, Self.what, why: "\(active.reference) is active, and lies on a guest's disk",
                remedy: "see that nothing uses it here, then: vgchange --activate n \(active.reference.group)")
        }
        return lost
    }
}

extension LVMFilterSetting {
    struct Former {
        /// Nil where there is no file.
        var text: String?
        var mode: mode_t
    }

    private func read(doing what: String) throws -> Former {
        let path = host.tree.root + Self.file
        var status = stat()
        guard lstat(path, &status) == 0 else {
            guard errno == ENOENT else { throw Failure.system("cannot look at \(Self.file)") }
            return Former(text: nil, mode: 0o644)
        }
        guard status.st_mode & S_IFMT == S_IFREG, let data = FileManager.default.contents(atPath: path),
            let text = String(validating: data, as: UTF8.self)
        else {
            throw Failure(
                .refused, what, why: "\(Self.file) is no plain text file; something else may be in charge of it",
                remedy: "put this into its section devices: \(LVMDeviceFilter.line(LVMDeviceFilter.ownPatterns))")
        }
        return Former(text: text, mode: status.st_mode & 0o777)
    }

    private func write(_ wanted: LVMLocalFile, _ former: Former) throws {
        if let text = former.text, try !LVMLocalFile(text).hasPart {
            try replace(Self.backup, with: text, mode: former.mode)
        }
        try replace(Self.file, with: wanted.text, mode: former.mode)
    }

    private func restore(_ former: Former) throws {
        guard let text = former.text else { return try removeFile(Self.file) }
        try replace(Self.file, with: text, mode: former.mode)
    }

    private func replace(_ file: String, with text: String, mode: mode_t) throws {
        try DurableFile.replace(host.tree.root + file, with: Array(text.utf8), mode: mode)
    }

    private func removeFile(_ file: String) throws {
        try DurableFile.remove(host.tree.root + file)
        try DurableFile.synchroniseDirectory(of: host.tree.root + file)
    }
}

extension PhysicalVolume {
    fileprivate var inGroup: String { group.isEmpty ? "" : " of the volume group \(group)" }
}

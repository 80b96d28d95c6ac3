import Domains
import HostModel
import Hosts
import ISCSI
import Storage

/// What an operator wants to be shared.
public struct ShareRequest: Sendable {
    public enum Way: Sendable {
        /// - Parameters:
        ///   - portals: what each host is to use; none for the address that it is reached from.
        ///   - chapFile: it has to be on every host.
        case iscsi(portals: [Portal], chapFile: String?)
        case aoe(shelf: Int, interfaces: [InterfaceName])

        var word: ShareRecord.Way {
            switch self {
            case .iscsi: .iscsi
            case .aoe: .aoe
            }
        }
    }

    public var domain: DomainName
    public var way: Way
    /// Where the domain is to be able to run. This host may be among them.
    public var hosts: [HostName]
    /// Its disks; empty for what the running domain, or its configuration here, names.
    public var volumes: [VolumeName]
    /// Guests on several hosts are to write to them at the same time, by a file system that is made for that.
    public var hasClusterFileSystem: Bool

    public init(
        domain: DomainName, way: Way, hosts: [HostName], volumes: [VolumeName] = [], hasClusterFileSystem: Bool = false
    ) {
        self.domain = domain
        self.way = way
        self.hosts = hosts
        self.volumes = volumes
        self.hasClusterFileSystem = hasClusterFileSystem
    }
}

/// Makes the disks of a domain, volumes of this host, disks of other hosts too, and sees that they are the same ones.
///
/// What is so already is left as it is: a run that was cut off is completed by the next one. Unless the operator says that a
/// cluster file system is in them nothing is shared to be used on two hosts at once: that a domain runs on one of them alone,
/// its operator sees to.
public struct ShareManager: Sendable {
    let worker: HostWorker
    private let say: @Sendable (String) -> Void
    var host: HostContext { worker.host }
    let store: ShareStore

    /// - Parameter say: told of progress and warnings.
    public init(worker: HostWorker, say: @escaping @Sendable (String) -> Void) {
        self.worker = worker
        self.say = say
        store = ShareStore(worker.host.paths)
    }

    /// - Throws: `.refused`, `.busy`, `.notFound` before anything is changed; `.outcomeUnknown` where it was done in part.
    public func share(_ request: ShareRequest) async throws -> ShareRecord {
        let lock = try await lock()
        defer { withExtendedLifetime(lock) {} }
        let others = request.hosts.filter { $0 != host.name }
        guard !others.isEmpty, Set(others).count == others.count else {
            throw Failure(
                .usage, "cannot share '\(request.domain)' with \(others.count) hosts",
                why: others.isEmpty ? "no other host is given" : "one is given twice", remedy: "name them with --hosts")
        }
        if case .iscsi(let portals, _) = request.way, portals.count > SharedTarget.mostPortals {
            throw Failure(
                .usage, "cannot share '\(request.domain)' by \(portals.count) portals",
                why: "a host uses at most \(SharedTarget.mostPortals)", remedy: "give fewer with --portal")
        }
        let volumes = request.volumes.isEmpty ? try await disks(of: request.domain) : request.volumes
        let remotes = others.map { RemoteHost($0, from: host, version: worker.version) }
        defer { for remote in remotes { remote.close() } }
        var record = ShareRecord(
            domain: request.domain, way: request.way.word, hosts: others, volumes: volumes,
            hasClusterFileSystem: request.hasClusterFileSystem ? true : nil)
        let isHere = try await worker.sharedDisks(of: request.domain, []).hasDomain
        if isHere || request.hosts.contains(host.name) { record.runsHere = true }
        try keepFormer(&record)
        try await checkBefore(record, remotes)
        do {
            let targets = try await ShareExporter(host: host, say: say).serve(request, &record, to: remotes) {
                try store.save($0)
            }
            for remote in remotes { try await attach(targets[remote.name] ?? [], on: remote) }
            try await verify(record, remotes)
        } catch {
            let failure = Failure(error, doing: "cannot share '\(request.domain)'")
            guard (try? store.record(request.domain)) != nil else { throw failure }
            throw Failure(
                .outcomeUnknown, "'\(request.domain)' is shared in part",
                remedy: "put right what is told, then repeat the command, or take it back with "
                    + "'xenlvs unshare \(request.domain)'", causes: [failure])
        }
        return record
    }

    private func lock() async throws -> FileLock {
        try PrivateDirectory.prepare(host.paths.run)
        return try await FileLock.waiting(
            path: host.paths.run + "/shares.lock", purpose: "a change to what this host shares", limit: .seconds(10))
    }

    /// Hosts of an earlier run stay in the record: they are given back with the rest.
    private func keepFormer(_ record: inout ShareRecord) throws {
        guard let former = try store.all().first(where: { $0.domain == record.domain }) else { return }
        guard former.way == record.way else {
            throw Failure(
                .refused, "'\(record.domain)' is shared already", why: "over \(former.way.rawValue)",
                remedy: "xenlvs unshare \(record.domain) first")
        }
        guard former.hasClusterFileSystem == record.hasClusterFileSystem else {
            throw Failure(
                .refused, "'\(record.domain)' is shared already",
                why: record.hasClusterFileSystem == true
                    ? "to run on one host at a time" : "with a cluster file system, for guests on several hosts",
                remedy: "xenlvs unshare \(record.domain) first")
        }
        record.hosts = Set(record.hosts + former.hosts).sorted()
        record.volumes += former.volumes.filter { !record.volumes.contains($0) }
        (record.exportedBefore, record.additions) = (former.exportedBefore, former.additions)
        record.runsHere = record.runsHere ?? former.runsHere
    }

    /// The disks of the running domain; else the links that its configuration on this host names.
    private func disks(of domain: DomainName) async throws -> [VolumeName] {
        let what = "cannot share '\(domain)'"
        do {
            let description = try await MigrationStarter(worker: worker).describe(domain)
            let disks = DiskCheck.assign(description)
            if let finding = disks.findings.first {
                throw Failure(.refused, what, why: "\(finding.what): \(finding.why)", remedy: finding.remedy)
            }
            if !disks.volumes.isEmpty { return disks.volumes.map(\.volume) }
        } catch let failure as Failure where failure.code == .notFound {}
        let places = ["/etc/xen/\(domain).cfg", "/etc/xen/auto/\(domain).cfg", "/etc/xen/\(domain)"]
        for text in places.compactMap({ KernelFile.read($0) }) {
            let names = LinksInText.names(text)
            if !names.isEmpty { return names }
        }
        throw Failure(
            .notFound, what, why: "it does not run here, and no configuration in /etc/xen names a link of it",
            remedy: "name its disks with --volume")
    }

    /// Throws where a disk is not this host's to share, or the domain runs on two hosts.
    private func checkBefore(_ record: ShareRecord, _ remotes: [RemoteHost]) async throws {
        let what = "cannot share '\(record.domain)'"
        for name in record.volumes { try ServedVolume.check(name, in: host.database) }
        let here = try await worker.sharedDisks(of: record.domain, record.volumes)
        if let disk = here.disks.first(where: { $0.kind != .exported && $0.why != nil }) {
            throw Failure(.refused, what, why: "'\(disk.name)': \(disk.why ?? "")", remedy: disk.remedy)
        }
        let views = [here] + (try await look(record.domain, record.volumes, remotes))
        guard record.hasClusterFileSystem == true else { return try checkRunsOnce(record.domain, views) }
        for name in record.volumes { try DiskContent.read(host.links.path(of: name)).checkSuitsCluster(name) }
        say(
            "warning: guests on several hosts may write to the disks of \(record.domain) at the same time. Only a cluster file "
                + "system (OCFS2, GFS2) with its lock manager in all of these guests keeps the data whole; any other one is "
                + "destroyed. That one host at a time has a disk is not looked after any more")
    }

    func look(_ domain: DomainName, _ volumes: [VolumeName], _ remotes: [RemoteHost]) async throws -> [SharedDisks] {
        var views: [SharedDisks] = []
        for remote in remotes { views.append(try await SharedStorage.ask(remote, domain, volumes)) }
        return views
    }

    private func checkRunsOnce(_ domain: DomainName, _ views: [SharedDisks]) throws {
        let homes = views.filter(\.hasDomain).map(\.host.text)
        guard homes.count < 2 else {
            throw Failure(
                .refused, "cannot share '\(domain)'",
                why: "there is a domain of that name on \(homes.joined(separator: " and "))",
                remedy: "two guests on one disk destroy it: rename one, or end the one that must not be there")
        }
        let starting = views.filter(\.startsAtBoot).map(\.host.text)
        if starting.count > 1 {
            say(
                "warning: \(domain) is in /etc/xen/auto on \(starting.joined(separator: " and ")): after a power cut of both "
                    + "it would be started twice, on one disk")
        }
    }

    private func attach(_ targets: [SharedTarget], on remote: RemoteHost) async throws {
        for target in targets {
            let disk = try await remote.share(.attach(target), \.attached)
            say("\(remote.name): \(disk.name), \(disk.size?.description ?? "-"), \(target.identity)")
        }
    }

    /// Every host has to see the same disks, by identity, size and the bytes at both ends.
    private func verify(_ record: ShareRecord, _ remotes: [RemoteHost]) async throws {
        let views = [try await ownDisks(record)] + (try await look(record.domain, record.volumes, remotes))
        if record.hasClusterFileSystem != true { try checkRunsOnce(record.domain, views) }
        switch SharedStorage(views) {
        case .shared: break
        case .apart(let why):
            throw Failure(.inconsistent, "the disks of '\(record.domain)' are not the same everywhere", why: why)
        case .broken(let name, let why, let remedy):
            throw Failure(
                .inconsistent, "the disks of '\(record.domain)' are not the same everywhere", host: name.text, why: why,
                remedy: remedy)
        }
        for remote in remotes {
            for volume in record.volumes { try await SharedStorage.compareEdges(of: volume, worker, remote) }
        }
    }

    /// How the disks are on this host. Whether they take flushes here is no matter where no guest is to come.
    private func ownDisks(_ record: ShareRecord) async throws -> SharedDisks {
        var here = try await worker.sharedDisks(of: record.domain, record.volumes)
        if record.runsHere != true { for index in here.disks.indices { here.disks[index].hasCache = nil } }
        return here
    }

    // MARK: The end

    /// Gives the disks back on the other hosts, ends the exports that were made for it, and takes its hosts out of others.
    /// - Returns: what was removed, one line each.
    /// - Throws: `.busy` where another host uses one. What was given back by then stays so.
    public func unshare(_ domain: DomainName) async throws -> [String] {
        let lock = try await lock()
        defer { withExtendedLifetime(lock) {} }
        let record = try store.record(domain)
        var removed: [String] = []
        for name in record.hosts {
            let remote = RemoteHost(name, from: host, version: worker.version)
            defer { remote.close() }
            for volume in record.volumes {
                let wasThere = try await remote.share(.detach(volume), \.detached)
                removed.append(
                    wasThere ? "\(volume) on \(name)" : "nothing on \(name): \(volume) was not attached by this share")
            }
        }
        removed += try await ShareExporter(host: host, say: say).end(record)
        try store.remove(domain)
        return removed
    }

    /// Every domain whose disks this host shares, and how they stand. Changes nothing.
    public func list() async throws -> [ShareRow] {
        var rows: [ShareRow] = []
        for record in try store.all() { rows.append(await row(record)) }
        return rows
    }

    private func row(_ record: ShareRecord) async -> ShareRow {
        ShareRow(record, hosts: [host.name] + record.hosts, await ask(record))
    }

    /// How the disks are on every host of a share, this one first. All are asked at the same time: one that does not
    /// answer keeps nobody from knowing what the others say.
    private func ask(_ record: ShareRecord) async -> [Result<SharedDisks, Failure>] {
        await withTaskGroup(of: (Int, Result<SharedDisks, Failure>).self) { group in
            group.addTask { (0, await view(record, on: nil)) }
            for (index, name) in record.hosts.enumerated() {
                group.addTask { (index + 1, await view(record, on: name)) }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    /// - Parameter other: nil for this host.
    private func view(_ record: ShareRecord, on other: HostName?) async -> Result<SharedDisks, Failure> {
        do {
            guard let other else { return .success(try await ownDisks(record)) }
            let remote = RemoteHost(other, from: host, version: worker.version)
            defer { remote.close() }
            return .success(try await SharedStorage.ask(remote, record.domain, record.volumes))
        } catch { return .failure(Failure(error, doing: "cannot look at its disks")) }
    }
}

/// The links that a configuration names. Pure.
enum LinksInText {
    static func names(_ text: String) -> [VolumeName] {
        var names: [VolumeName] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let code = line.prefix { $0 != "#" }
            for part in String(code).split(separator: "\(DiskCheck.linkDirectory)/", omittingEmptySubsequences: false)
                .dropFirst()
            {
                let word = part.prefix { String($0).isPlain("_.+-") }
                guard let name = try? VolumeName(String(word)), !names.contains(name) else { continue }
                names.append(name)
            }
        }
        return names
    }
}

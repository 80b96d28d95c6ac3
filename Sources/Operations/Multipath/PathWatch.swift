import DeviceMapper
import Glibc
import HostModel
import Hosts
import Storage

/// Keeps the maps that xenlvs makes itself: looks at every path once a second, fails what must not be used, takes back what
/// can be used again, and lets requests wait for a path no longer than they may. For that it reads no journal, and it touches
/// no map of anybody else's. Beside it, paths of attachments that have no session are brought back (`MissingPaths`).
public actor PathWatch {
    private let keeper: MapKeeper
    private let store: MapStore
    private let say: @Sendable (String) -> Void
    private let lock: FileLock
    private let started = ContinuousClock.now
    private let missing: MissingPaths?
    private var maps: [VolumeName: WatchedMap] = [:]
    /// Why a map that an operator has made could not take in every disk, by the last try.
    private var incomplete: [VolumeName: String] = [:]
    private var ticks = 0
    private var published: [MapReport]?
    private var complaint: String?

    private struct WatchedMap {
        var judge = MapJudge()
        var probes: [BlockDeviceNumber: PathProbe] = [:]
    }

    /// How often maps that an operator has made are looked for disks that have come.
    private static let assemblyTicks = 5

    /// - Parameter say: told of what an operator should know.
    /// - Throws: `.busy` where another process of the host does it.
    public init(paths: Paths, say: @escaping @Sendable (String) -> Void) throws {
        let missing = MissingPaths(say: say) {
            // Where there is no journal there is no attachment, and none is to be made.
            access(paths.database, F_OK) == 0 ? try HostContext(paths: paths) : nil
        }
        try self.init(
            MapKeeper(mapper: KernelMapper(), runner: ProcessRunner(), tree: DeviceTree(), paths: paths), missing,
            say: say)
    }

    init(_ keeper: MapKeeper, _ missing: MissingPaths? = nil, say: @escaping @Sendable (String) -> Void) throws {
        self.keeper = keeper
        self.missing = missing
        self.say = say
        store = MapStore(keeper.paths)
        try PrivateDirectory.prepare(keeper.paths.run)
        lock = try FileLock(path: MapKeeper.watchLock(keeper.paths), purpose: "checking paths")
    }

    /// Looks once at everything, and acts on it. Once a second.
    public func tick() async {
        missing?.beginWhereDue()
        do {
            var reports: [MapReport] = []
            let records = try store.all()
            for record in records { reports.append(await keep(record)) }
            maps = maps.filter { name, _ in records.contains { $0.name == name } }
            incomplete = incomplete.filter { name, _ in records.contains { $0.name == name } }
            ticks += 1
            if reports != published {
                try DurableFile.replace(MapReport.path(keeper.paths), with: Array(try JSONText.encode(reports).utf8))
                published = reports
            }
            complaint = nil
        } catch {
            let text = Failure(error, doing: "cannot check paths").description
            if text != complaint { say(text) }
            complaint = text
        }
    }

    /// What must not be left behind: requests that wait while nobody would ever end that.
    public func end() async {
        for record in (try? store.all()) ?? [] {
            guard let device = try? await keeper.find(record), device.queues else { continue }
            try? await keeper.tell(record, .failIfNoPath)
        }
    }

    private func keep(_ record: MapRecord) async -> MapReport {
        do { return try await check(record) } catch {
            return MapReport(name: record.name, paths: [], why: Failure(error, doing: "cannot look at it").description)
        }
    }

    private func check(_ record: MapRecord) async throws -> MapReport {
        if !record.isOfAttachment, ticks % Self.assemblyTicks == 0 { await completeByItself(record) }
        guard let device = try await keeper.find(record), let status = try await keeper.status(record) else {
            return MapReport(
                name: record.name, paths: [], why: incomplete[record.name] ?? "there is no \(record.identity.path)")
        }
        var map = maps[record.name] ?? WatchedMap()
        // After the status: a disk that was taken in a moment ago is among them.
        let names = SCSIDisk.namesByNumber(in: keeper.tree)
        var looks: [BlockDeviceNumber: PathHealth] = [:]
        for path in status.paths {
            guard let disk = names[path.device.description].flatMap({ SCSIDisk.named($0, in: keeper.tree) }) else {
                looks[path.device] = .bad("the kernel has no such disk any more")
                continue
            }
            let probe = map.probes[path.device] ?? PathProbe()
            map.probes[path.device] = probe
            looks[path.device] = probe.news { [tree = keeper.tree, wwid = record.wwid] in
                PathCheck.look(at: disk, wwid: wwid, in: tree)
            }
        }
        let messages = map.judge.decide(
            record.policy, status, queues: device.queues, looks, now: started.duration(to: .now))
        maps[record.name] = map
        for message in messages {
            try await keeper.tell(record, message)
            tell(record, message, map.judge, names)
        }
        return MapReport(
            name: record.name,
            paths: status.paths.map {
                .init(disk: names[$0.device.description] ?? $0.device.description, why: map.judge.reasons[$0.device])
            },
            why: map.judge.withoutPathSince == nil ? incomplete[record.name] : "it has no path")
    }

    /// A map that an operator has made comes back after a restart, and takes disks in that come later. Whatever keeps one out
    /// must not keep the paths that the map has from being looked at.
    private func completeByItself(_ record: MapRecord) async {
        let disks = SCSIDisk.all(with: record.wwid, in: keeper.tree)
        var trouble: String?
        do {
            // A command that makes or removes the map is not disturbed, nor is what it has removed made again.
            if !disks.isEmpty, let lock = try keeper.changing(record) {
                defer { withExtendedLifetime(lock) {} }
                if try store.record(record.name) == record { try await keeper.assemble(record, of: disks) }
            }
        } catch { trouble = Failure(error, doing: "it cannot be completed").description }
        if let trouble, trouble != incomplete[record.name] { say("\(record.name): \(trouble)") }
        incomplete[record.name] = trouble
    }

    private func tell(
        _ record: MapRecord, _ message: MultipathMessage, _ judge: MapJudge, _ names: [String: String]
    ) {
        func disk(_ number: BlockDeviceNumber) -> String { names[number.description] ?? number.description }
        switch message {
        case .failPath(let number):
            say("\(record.name): \(disk(number)) is not used any more: \(judge.reasons[number] ?? "")")
        case .reinstatePath(let number): say("\(record.name): \(disk(number)) is used again")
        case .failIfNoPath:
            say("\(record.name): no path has come back within \(record.policy.noPathSeconds) s; requests fail now")
        case .switchGroup(let number): say("\(record.name): back to path \(number)")
        case .queueIfNoPath: break
        }
    }
}

extension MappedDevice {
    /// Whether requests wait for a path.
    fileprivate var queues: Bool { table?.multipath?.queuesWithoutPath == true }
}

import DeviceMapper
import HostModel
import Hosts
import ISCSI
import Storage

/// Makes, extends and removes the maps that xenlvs keeps itself, where no multipathd does. What it has not made it leaves
/// alone.
struct MapKeeper: Sendable {
    let mapper: any MappedDevices
    let runner: any CommandRunner
    let tree: DeviceTree
    let paths: Paths

    init(mapper: any MappedDevices, runner: any CommandRunner, tree: DeviceTree, paths: Paths) {
        self.mapper = mapper
        self.runner = runner
        self.tree = tree
        self.paths = paths
    }

    init(host: HostContext) {
        self.init(mapper: host.mapper, runner: host.runner, tree: host.tree, paths: host.paths)
    }

    /// How long requests that are under way may keep a change of the paths waiting.
    private static let limit = Duration.seconds(10)

    /// `/dev/mapper/xenlvs-mpath-web1`.
    static func path(_ name: VolumeName, in tree: DeviceTree) -> String {
        "\(tree.devices)/mapper/\(MappedIdentity.ofMap(name, wwid: "").name)"
    }

    /// Held by whoever checks paths.
    static func watchLock(_ paths: Paths) -> String { paths.run + "/multipath.lock" }

    /// Whether paths are checked on this host.
    var isWatched: Bool {
        get throws {
            try PrivateDirectory.prepare(paths.run)
            let lock = try FileLock.ifFree(path: Self.watchLock(paths), purpose: "checking paths")
            return lock == nil
        }
    }

    func find(_ record: MapRecord) async throws -> MappedDevice? {
        try await Blocking.run("device-mapper") { [mapper] in try mapper.find(uuid: record.identity.uuid) }
    }

    func status(_ record: MapRecord) async throws -> MultipathStatus? {
        try await Blocking.run("device-mapper") { [mapper] in try mapper.status(record.identity) }
    }

    func tell(_ record: MapRecord, _ message: MultipathMessage) async throws {
        try await Blocking.run("device-mapper") { [mapper] in try mapper.tell(record.identity, message) }
    }

    /// Makes the map over these disks, or takes those in that it has not yet. Those that have gone are left out, and so are
    /// those that are smaller than it (`PathChoice`).
    ///
    /// - Parameters:
    ///   - disks: at least one, all of the record's WWID.
    ///   - size: what the disk has, where that is recorded.
    /// - Returns: the disks that are too small.
    /// - Throws: `.refused` where one is another disk, or it cannot be told how large it is; `.busy` where something else uses
    ///   one.
    @discardableResult
    func assemble(_ record: MapRecord, of disks: [SCSIDisk], size: ByteCount? = nil) async throws -> [SCSIDisk] {
        let known = try await find(record)
        let choice = try choose(among: disks, record, size, known)
        let numbers = try numbers(choice.disks, record)
        try checkAreFree(choice.disks, record, known)
        var target = record.policy.target(over: numbers)
        target.queuesWithoutPath = known?.table?.multipath?.queuesWithoutPath ?? false
        let table = MappingTable(over: target, sectors: UInt64(choice.size.sectors))
        let (mapper, identity) = (mapper, record.identity)
        guard let known, let former = known.table else {
            // The kernel loads what the table needs by itself: the daemon that checks paths may load no module.
            try await Blocking.run("device-mapper") { try mapper.create(identity, table) }
            return choice.leftOut
        }
        guard former.multipath.map({ Set($0.paths) }) != Set(numbers) || former.sectors < table.sectors else {
            return choice.leftOut
        }
        // What waits for a path would never come to its end before the change.
        let isFlushing = former.sectors != table.sectors
        _ = try await Blocking.run("device-mapper") {
            try mapper.change(identity, to: table, limit: Self.limit, isFlushing: isFlushing)
        }
        return choice.leftOut
    }

    private static func what(_ record: MapRecord) -> String { "cannot make the map \(record.identity.path)" }

    private func choose(
        among disks: [SCSIDisk], _ record: MapRecord, _ size: ByteCount?, _ known: MappedDevice?
    ) throws -> PathChoice {
        guard disks.contains(where: { $0.size.sectors > 0 }) else {
            throw Failure(
                .notFound, Self.what(record), why: "this host has no disk with the WWID \(record.wwid)",
                remedy: "see 'lsblk' and 'dmesg'")
        }
        let map = known?.table.map { ByteCount.sectors(Int64(clamping: $0.sectors)) }
        guard disks.allSatisfy({ $0.wwid == record.wwid }),
            let choice = PathChoice(of: disks, known: size, map: map)
        else {
            let found = disks.map { "\($0.name) has WWID \($0.wwid ?? "none") and \($0.size.bytes) bytes" }
            let wanted = (size ?? map).map { ", not \($0.bytes)" } ?? ""
            throw Failure(
                .refused, Self.what(record), why: found.joined(separator: "; ") + wanted,
                remedy: "two disks are never mixed up: see what each of them is. \(Self.askAgain)")
        }
        return choice
    }

    /// Held by whoever makes, completes or removes a map; nil where somebody else does.
    func changing(_ record: MapRecord) throws -> FileLock? {
        try FileLock.ifFree(path: changeLock(record), purpose: Self.change(record))
    }

    /// The same for a command. Throws `.busy` where it takes too long.
    func waitToChange(_ record: MapRecord) async throws -> FileLock {
        try await FileLock.waiting(path: changeLock(record), purpose: Self.change(record), limit: .seconds(30))
    }

    private func changeLock(_ record: MapRecord) -> String { "\(paths.run)/multipath-\(record.name).lock" }

    private static func change(_ record: MapRecord) -> String { "a change of the map '\(record.name)'" }

    static let askAgain =
        "Of one that has grown the kernel learns the size by 'echo 1 >/sys/block/NAME/device/rescan'"

    private func numbers(_ disks: [SCSIDisk], _ record: MapRecord) throws -> [BlockDeviceNumber] {
        try disks.map { disk in
            guard let device = disk.blockDevice(in: tree) else {
                throw Failure(
                    .notFound, Self.what(record), why: "there is no node of \(disk.name)", remedy: "see 'lsblk'")
            }
            return device.number
        }
    }

    /// Two maps over one path are refused by nobody else.
    func checkAreFree(_ disks: [SCSIDisk], _ record: MapRecord, _ known: MappedDevice?) throws {
        let own = known.map { "dm-\($0.number.minor)" }
        for disk in disks {
            guard let device = disk.blockDevice(in: tree) else { continue }
            let uses =
                try device.holders().filter { $0 != own }.map { VolumeUse(.holder, $0) }
                + device.mountPoints().map { VolumeUse(.mount, $0) }
            guard let first = uses.first else { continue }
            throw Failure(
                .busy, "cannot use \(disk.name) as a path of \(record.identity.path)",
                why: uses.map(\.sentence).joined(separator: "; "),
                remedy: first.kind == .mount
                    ? first.remedy : "see 'lsblk'; a map of multipathd's keeps its disks: blacklist them there first")
        }
    }

    /// Removes the map. Requests that wait for a path fail.
    /// - Throws: `.busy` where something has it open.
    func remove(_ record: MapRecord) async throws {
        guard let known = try await find(record) else { return }
        let (mapper, identity) = (mapper, record.identity)
        try known.require(identity)
        if known.table?.multipath?.queuesWithoutPath == true { try await tell(record, .failIfNoPath) }
        try await Blocking.run("device-mapper") { try mapper.remove(identity) }
    }
}

extension SCSIDisk {
    /// The kernel's names of this host's SCSI disks, in no order.
    private static func names(in tree: DeviceTree) -> [String] {
        KernelFile.names(in: "\(tree.sysfs)/block").filter { $0.hasPrefix("sd") }
    }

    /// Every SCSI disk of this host with this WWID, by the kernel's names. Opens none.
    static func all(with wwid: String, in tree: DeviceTree) -> [SCSIDisk] {
        names(in: tree).compactMap { named($0, in: tree) }.filter { $0.wwid == wwid }
            .sorted { ($0.name.utf8.count, $0.name) < ($1.name.utf8.count, $1.name) }
    }

    /// The disk of this name; nil where there is none.
    static func named(_ name: String, in tree: DeviceTree) -> SCSIDisk? {
        let place = "\(tree.sysfs)/block/\(name)"
        let disk = read(name, lun: 0, block: place, device: "\(place)/device")
        return disk.number == nil ? nil : disk
    }

    /// The names of all of them by their numbers, as `8:16`.
    static func namesByNumber(in tree: DeviceTree) -> [String: String] {
        names(in: tree).reduce(into: [:]) { found, name in
            if let number = KernelFile.word("\(tree.sysfs)/block/\(name)/dev") { found[number] = name }
        }
    }
}

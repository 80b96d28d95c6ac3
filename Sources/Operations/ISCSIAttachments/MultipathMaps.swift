import DeviceMapper
import FoundationEssentials
import HostModel
import Hosts
import ISCSI
import Storage

/// Maps over attachments with several paths. Where multipathd runs it makes and owns them: here it is told what it is to
/// make, and looked at what has come of it. Where it does not, xenlvs makes them itself (`MapKeeper`), and multipathd, should
/// it be started later, is told to leave them alone.
struct MultipathMaps: Sendable {
    let host: HostContext

    private static let patience = Duration.seconds(20)
    private static let retry = Duration.seconds(2)
    private static let pause = Duration.milliseconds(200)

    /// `/dev/mapper/web1`, or `/dev/mapper/xenlvs-mpath-web1`.
    static func path(_ attachment: ISCSIAttachment, in tree: DeviceTree) -> String {
        attachment.ownMap.map { MapKeeper.path($0.name, in: tree) } ?? "\(tree.devices)/mapper/\(attachment.name)"
    }

    /// device-mapper's UUID of the map: multipathd's is `mpath-` with the WWID.
    static func uuid(_ attachment: ISCSIAttachment) -> String {
        attachment.ownMap?.identity.uuid ?? "mpath-\(attachment.identity.wwid)"
    }

    /// Whether a device is the attachment's map, with paths that are all among `disks`.
    static func isOver(
        _ disks: [SCSIDisk], _ device: BlockDevice, _ attachment: ISCSIAttachment, in tree: DeviceTree
    ) -> Bool {
        guard (try? device.mapping())?.uuid == uuid(attachment) else { return false }
        let paths = Self.disks(below: device, in: tree)
        return !paths.isEmpty && Set(paths).isSubset(of: disks.map(\.name))
    }

    /// The kernel's names of a map's paths.
    static func disks(below map: BlockDevice, in tree: DeviceTree) -> [String] {
        KernelFile.names(in: "\(tree.sysfs)/dev/block/\(map.number)/slaves")
    }

    private var runsDaemon: Bool {
        get async {
            do {
                // It answers at once, or does not run.
                return try await host.runner.run(.query(.multipathd, "show", "daemon", deadline: Self.patience)).output
                    .hasPrefix("pid ")
            } catch { return false }
        }
    }

    private var keeper: MapKeeper { MapKeeper(host: host) }

    /// Who is to make a map of several paths. Throws `.refused` where nobody would look after it.
    func owner(doing what: String) async throws -> MapOwner {
        if await runsDaemon { return .multipathd }
        guard try !keeper.isWatched else { return .xenlvs }
        throw Failure(
            .refused, "\(what) over several portals",
            why: "multipathd does not run, and nobody else checks paths on this host",
            remedy:
                "\(MapKeeper.watchRemedy); or install multipath-tools and start multipathd; or give one portal alone")
    }

    /// Writes down what multipathd is to make and to leave alone, by what is recorded, and tells it where that is new.
    func writeConfiguration() async throws {
        // What is recorded is read within: of two at the same time the later one writes all.
        let lock = try await FileLock.waiting(
            path: host.paths.run + "/multipath-configuration.lock", purpose: "writing multipathd's configuration",
            limit: .seconds(30))
        defer { withExtendedLifetime(lock) {} }
        let attachments = try host.iscsiAttachments()
        let theirs = attachments.filter { $0.isMultipath && $0.ownMap == nil }
        let others = attachments.filter { !$0.isMultipath || $0.ownMap != nil }.map(\.identity.wwid)
        let standing = try MapStore(host.paths).all().filter { !$0.isOfAttachment }.map(\.wwid)
        let configuration = MultipathConfiguration(
            maps: theirs.map { .init(volume: $0.name, wwid: $0.identity.wwid) }, keptAway: others + standing)
        let path = host.tree.root + MultipathConfiguration.path
        let former = KernelFile.read(path)
        if former == nil, attachments.isEmpty, standing.isEmpty { return }
        let isNew = former != configuration.text
        if isNew {
            for directory in ["/etc", "/etc/multipath", "/etc/multipath/conf.d"] {
                let place = host.tree.root + directory
                if !FileManager.default.fileExists(atPath: place) {
                    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
                }
            }
            try DurableFile.replace(path, with: Array(configuration.text.utf8))
        }
        if isNew, await runsDaemon { try await tell(.multipathd, "reconfigure") }
    }

    /// Makes the map, or lets multipathd make it, and waits until it is there over the attachment's own disks. One that is
    /// there takes in those that it does not have, and gets the recorded size.
    func assemble(_ attachment: ISCSIAttachment, _ deadline: ContinuousClock.Instant) async throws {
        if let map = attachment.ownMap {
            try MapStore(host.paths).save(map)
            let disks = ISCSIDevice.disks(attachment, in: host.tree)
            try await keeper.assemble(map, of: disks, size: attachment.identity.size)
            return
        }
        if ISCSIDevice.read(attachment, in: host.tree) == nil { try await waitForDaemon(attachment, deadline) }
        guard let map = ISCSIDevice.read(attachment, in: host.tree) else { return }
        if try map.size() != attachment.identity.size { try await resize(attachment) }
        let known = Self.disks(below: map, in: host.tree)
        for disk in ISCSIDevice.disksInReach(attachment, in: host.tree) where !known.contains(disk.name) {
            // What it refuses it comes to by itself, once udev has told it; the map stands without it.
            try? await tell(.multipathd, "add", "path", disk.name)
        }
    }

    private func waitForDaemon(_ attachment: ISCSIAttachment, _ deadline: ContinuousClock.Instant) async throws {
        let disks = ISCSIDevice.disks(attachment, in: host.tree).filter { $0.size == attachment.identity.size }
        if let first = disks.first {
            // Where only known WWIDs get a map (find_multipaths), it has to be known.
            try await tell(.multipath, "-a", "\(host.tree.devices)/\(first.name)")
        }
        var refusal: Failure?
        var nextTry = ContinuousClock.now
        while ISCSIDevice.read(attachment, in: host.tree) == nil {
            guard ContinuousClock.now < deadline else {
                let names = disks.map(\.name).joined(separator: ", ")
                throw Failure(
                    .failed, "there is no map \(Self.path(attachment, in: host.tree))",
                    why: refusal?.why ?? "multipathd has not made it over \(names), or has more in it",
                    remedy: "see 'multipath -ll', 'multipathd show config' and the log of multipathd")
            }
            if ContinuousClock.now >= nextTry {
                // It refuses a disk of which udev has not told it yet, and comes to it by itself then, or when it is asked again.
                for disk in disks {
                    do { try await tell(.multipathd, "add", "path", disk.name) } catch {
                        refusal = Failure(error, doing: "multipathd does not take \(disk.name)")
                    }
                }
                nextTry = .now + Self.retry
            }
            try await Task.sleep(for: Self.pause)
        }
    }

    /// How the paths of these attachments stand in their maps, by the disks' names.
    func opinions(on attachments: [ISCSIAttachment]) async throws -> [String: PathOpinion] {
        var opinions: [String: PathOpinion] = [:]
        if attachments.contains(where: { $0.isMultipath && $0.ownMap == nil }) {
            opinions = await pathStates().mapValues { words in
                let isActive = words.split(separator: " ").first == "active"
                return PathOpinion(words: words, why: isActive ? nil : "multipathd has it as \(words)")
            }
        }
        for map in attachments.compactMap(\.ownMap) {
            for path in try await MapManager(host: host).summary(map).paths {
                opinions[path.disk] = PathOpinion(words: path.isUp ? "active" : "failed", why: path.why)
            }
        }
        return opinions
    }

    /// How multipathd has its paths, by the disk's name: `active ready`, `failed i/o timeout`. Empty where it does not
    /// run.
    private func pathStates() async -> [String: String] {
        // Device, device-mapper's state, the checker's (multipathd(8), "show paths format").
        let command = Command.query(.multipathd, "show", "paths", "format", "%d %t %T", deadline: Self.patience)
        guard let output = try? await host.runner.run(command).output else { return [:] }
        return Self.parsePathStates(output)
    }

    /// One disk a line. The checker's state may be several words, such as `i/o timeout` (`snprint_chk_state`,
    /// libmultipath/print.c). What is said of a disk counts whatever it is: one that is passed over would be taken for
    /// a path that multipathd uses.
    static func parsePathStates(_ output: String) -> [String: String] {
        var states: [String: String] = [:]
        for line in output.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace).map { String($0) }
            guard words.count > 1, words[0].hasPrefix("sd") else { continue }
            states[words[0]] = ProbeAnswer.plain(words.dropFirst().joined(separator: " "))
        }
        return states
    }

    /// Takes the map away. Nothing may use it.
    func remove(_ attachment: ISCSIAttachment) async throws {
        if let map = attachment.ownMap {
            // Whoever checks paths lets go of it.
            try MapStore(host.paths).remove(map.name)
            do { try await keeper.remove(map) } catch {
                try MapStore(host.paths).save(map)
                throw error
            }
            return
        }
        guard let device = try? BlockDevice(at: Self.path(attachment, in: host.tree), sysfs: host.tree.sysfs),
            (try? device.mapping())?.uuid == Self.uuid(attachment)
        else { return }
        // Requests that wait for a path would keep it. Where multipathd does not run nobody lets them wait for long.
        try? await tell(.multipathd, "disablequeueing", "map", attachment.name.text)
        // udev may have it open for a moment.
        try await tell(.multipath, "-R", "5", "-f", attachment.name.text)
    }

    /// Has multipathd forget a WWID that it was told to know.
    func forget(_ wwid: String) async {
        guard KernelFile.read(host.tree.root + "/etc/multipath/wwids")?.contains("/\(wwid)/") == true else { return }
        // What is left there does no harm: it only says that such a disk is one with several paths.
        try? await tell(.multipath, "-w", wwid)
    }

    /// Gives the map the attachment's size. A path on which the kernel has another one, because it was down when the disk grew,
    /// is no path of the map until it is back: no map is larger than any of its disks.
    func resize(_ attachment: ISCSIAttachment) async throws {
        let disks = ISCSIDevice.disks(attachment, in: host.tree)
        let size = attachment.identity.size
        if let map = attachment.ownMap {
            try await keeper.assemble(map, of: disks, size: size)
            return
        }
        // It takes the size of the first path that it has.
        if disks.contains(where: { $0.size == size }) {
            for disk in disks where disk.size != size { try? await tell(.multipathd, "del", "path", disk.name) }
        }
        try await tell(.multipathd, "resize", "map", attachment.name.text)
    }

    /// Of one path in its map.
    struct PathOpinion: Sendable {
        /// `active ready`, as multipathd says it; `active` or `failed`.
        var words: String
        /// Why it is not used; nil where it is.
        var why: String?
    }

    private func tell(_ tool: Tool, _ words: String...) async throws {
        let result = try await host.runner.run(Command(tool, words, .mutation, deadline: Self.patience))
        // Older clients end well whatever the daemon says.
        guard tool == .multipathd, result.output.hasPrefix("fail") || result.output.hasPrefix("error") else { return }
        throw Failure(
            .failed, "multipathd does not do '\(words.joined(separator: " "))'",
            why: ProbeAnswer.plain(result.lastWords), remedy: "see the log of multipathd")
    }
}

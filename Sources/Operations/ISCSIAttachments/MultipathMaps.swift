import FoundationEssentials
import HostModel
import Hosts
import ISCSI
import Storage

/// Maps that multipathd makes of attachments with several paths. multipathd owns them: here it is told what it is to make,
/// and looked at what has come of it.
struct MultipathMaps: Sendable {
    let host: HostContext

    private static let patience = Duration.seconds(20)
    private static let retry = Duration.seconds(2)
    private static let pause = Duration.milliseconds(200)

    /// `/dev/mapper/web1`.
    static func path(_ name: VolumeName, in tree: DeviceTree) -> String { "\(tree.devices)/mapper/\(name)" }

    /// Whether a device is multipathd's map of this WWID (its UUID is `mpath-` with the WWID), with paths that are all
    /// among `disks`.
    static func isOver(_ disks: [SCSIDisk], _ device: BlockDevice, _ wwid: String, in tree: DeviceTree) -> Bool {
        guard (try? device.mapping())?.uuid == "mpath-\(wwid)" else { return false }
        let paths = KernelFile.names(in: "\(tree.sysfs)/dev/block/\(device.number)/slaves")
        return !paths.isEmpty && Set(paths).isSubset(of: disks.map(\.name))
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

    /// Throws `.refused` where nobody would make a map of several paths.
    func checkDaemonRuns(doing what: String) async throws {
        guard await !runsDaemon else { return }
        throw Failure(
            .refused, "\(what) over several portals", why: "multipathd does not run, which makes one device of them",
            remedy: "install multipath-tools and start multipathd, or give one portal alone")
    }

    /// Writes down what multipathd is to make and to leave alone, by what is recorded, and tells it where that is new.
    func writeConfiguration() async throws {
        let attachments = try host.iscsiAttachments()
        let configuration = MultipathConfiguration(
            maps: attachments.filter(\.isMultipath).map { .init(volume: $0.name, wwid: $0.identity.wwid) },
            keptAway: attachments.filter { !$0.isMultipath }.map(\.identity.wwid))
        let path = host.tree.root + MultipathConfiguration.path
        let former = KernelFile.read(path)
        if former == nil, attachments.isEmpty { return }
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

    /// Lets multipathd make the map, and waits until it is there over the attachment's own disks.
    func assemble(_ attachment: ISCSIAttachment, _ deadline: ContinuousClock.Instant) async throws {
        let disks = ISCSIDevice.disks(attachment, in: host.tree)
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
                    .failed, "there is no map \(Self.path(attachment.name, in: host.tree))",
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

    /// How multipathd has its paths, by the disk's name: `active ready`, `failed faulty`. Empty where it does not run.
    func pathStates() async -> [String: String] {
        // Device, device-mapper's state, the checker's (multipathd(8), "show paths format").
        let command = Command.query(.multipathd, "show", "paths", "format", "%d %t %T", deadline: Self.patience)
        guard let output = try? await host.runner.run(command).output else { return [:] }
        return Self.parsePathStates(output)
    }

    static func parsePathStates(_ output: String) -> [String: String] {
        var states: [String: String] = [:]
        for line in output.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count == 3, words[0].hasPrefix("sd") else { continue }
            states[String(words[0])] = "\(words[1]) \(words[2])"
        }
        return states
    }

    /// Takes the map away. Nothing may use it.
    func remove(_ attachment: ISCSIAttachment) async throws {
        guard let device = try? BlockDevice(at: Self.path(attachment.name, in: host.tree), sysfs: host.tree.sysfs),
            (try? device.mapping())?.uuid == "mpath-\(attachment.identity.wwid)"
        else { return }
        // Requests that wait for a path would keep it. Where multipathd does not run nobody lets them wait for long.
        try? await tell(.multipathd, "disablequeueing", "map", attachment.name.text)
        // udev may have it open for a moment.
        try await tell(.multipath, "-R", "5", "-f", attachment.name.text)
    }

    /// Takes over a new size of its disks.
    func resize(_ attachment: ISCSIAttachment) async throws {
        try await tell(.multipathd, "resize", "map", attachment.name.text)
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

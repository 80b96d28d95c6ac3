import Domains
import HostModel
import Hosts
import Storage

extension DomainBracket {
    struct Record: Sendable, Equatable, Codable {
        /// How far it has come. Each is recorded before anything of it is done.
        enum Stage: String, Sendable, Codable {
            /// It is being saved, or stands paused after it: it runs on, and the image is worth nothing.
            case saving
            /// Its image is whole, and what was written to its disks is recorded. It is restored, unless more was written.
            case away
            /// It is there again and has its disks: the image is spent.
            case back
        }

        struct Disk: Sendable, Equatable, Codable {
            var device: String
            var volume: VolumeName
            /// What was written to it, by its link and past its switch, when its guest stood still; nil up to `away`.
            var counts: [WriteCount]?
        }

        var domain: DomainName
        var uuid: String
        /// The domain's number when it was saved: what has this one was not restored. Nil in records of earlier versions.
        var id: DomainID?
        var memory: ByteCount
        var disks: [Disk]
        /// The boot of this host in which it was saved.
        var machine: String
        var stage: Stage

        /// Its disks as they are looked for in the restored domain.
        var places: [(device: String, volume: VolumeName)] { disks.map { ($0.device, $0.volume) } }
    }

    /// What has become of a domain that a run has left.
    struct Outcome: Equatable {
        var words: String
        /// Its memory is gone.
        var isLost = false
    }

    /// How long what a paused guest has written may take to come to its end.
    private static let patience = Duration.seconds(20)

    /// What was written so far to the disks of a guest that stands still.
    /// - Throws: `.refused` where the kernel does not count it, `.busy` where a disk does not come to rest.
    func counted(_ disks: [Record.Disk]) async throws -> [Record.Disk] {
        var counted = disks
        for index in counted.indices { counted[index].counts = try await counts(counted[index].volume) }
        return counted
    }

    private func counts(_ volume: VolumeName) async throws -> [WriteCount] {
        guard case .link(_, .device(let node, _)) = try host.links.read(volume) else {
            throw Failure(
                .inconsistent, "the link \(host.links.path(of: volume)) does not lead to a device",
                remedy: "see 'xenlvs link show \(volume)'")
        }
        let linked = try BlockDevice(at: node, sysfs: host.tree.sysfs)
        var devices = [linked]
        // There are ways to the volume past its switch, as that of a checkpoint that is restored.
        if let recorded = try host.recordedVolume(volume),
            let plain = try await LinkKeeper(host: host).plainDevice(recorded), plain.number != linked.number
        {
            devices.append(plain)
        }
        let (requireCount, tree) = (requireCount, host.tree)
        var counts: [WriteCount] = []
        for device in devices {
            try await rest(device)
            counts.append(
                try await Blocking.run("write counts") {
                    try requireCount(device, tree)
                    return try WriteCount(of: device.number, in: tree)
                })
        }
        return counts
    }

    /// A write that is under way need not be counted yet. What is read changes nothing, whoever reads.
    private func rest(_ device: BlockDevice) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while try device.writesUnderWay() > 0 {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .busy, "\(device.path) does not come to rest",
                    why: "it has writes under way, although its guest stands still",
                    remedy: "see whether it answers, and what else uses it: 'lsblk', 'xenlvs attachments'")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Whether somebody has written to a disk since the guest was stopped: its memory does not know of that.
    /// - Throws: `.inconsistent` where it cannot be told.
    func isWritten(_ record: Record) throws -> Bool {
        var doubt: String?
        for disk in record.disks {
            let counts = disk.counts ?? []
            for count in counts {
                do throws(Failure) {
                    if try count.hasGrown(in: host.tree) { return true }
                } catch { doubt = "\(disk.volume): \(error.what)" }
            }
            guard case .link(_, .device(_, let number)) = try host.links.read(disk.volume),
                counts.contains(where: { $0.device == number })
            else {
                doubt = doubt ?? "\(host.links.path(of: disk.volume)) does not lead to what the guest has had"
                continue
            }
        }
        guard let doubt else { return false }
        let image = image(record.domain).path
        throw Failure(
            .inconsistent, "will not restore \(record.domain): its disks may have been written to since it was saved",
            why: doubt,
            remedy: "put that right (see 'xenlvs link show') and run 'xenlvs recover'; or give its memory up: remove "
                + "\(image), run 'xenlvs recover', and start it with 'xl create'")
    }
}

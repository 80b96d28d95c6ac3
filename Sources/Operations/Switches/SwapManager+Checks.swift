import DeviceMapper
import HostModel
import Hosts
import Migration
import Storage

extension SwapManager {
    /// The volume, where it is somebody's disk, has a switch, and no migration is under way.
    func checkedVolume(_ name: VolumeName) throws -> Volume {
        let what = "cannot swap '\(name)'"
        guard let volume = try host.recordedVolume(name) else {
            throw Failure(.notFound, "there is no volume '\(name)'", remedy: "see 'xenlvs volume list'")
        }
        if let objection = volume.objection {
            throw Failure(.refused, what, why: "it \(objection)", remedy: "see 'xenlvs volume show \(name)'")
        }
        guard volume.switchGoal != nil else {
            throw Failure(
                .refused, what, why: "there is no switch between its link and its LV",
                remedy:
                    "give its domain one with 'xenlvs domain prepare DOMAIN --live', while it runs, or without, from its "
                    + "next start on")
        }
        try Self.requireNoMigration(of: name, try OpenMigration.all(in: host.database))
        return volume
    }

    /// How long an opener that will go by itself is waited for: a probe by udev or LVM.
    private static let patience = Duration.seconds(3)

    /// Throws where somebody other than one guest has the switch, or anybody goes around it.
    func checkUsers(_ volume: Volume) async throws {
        let plain = try await host.switches.checkedDevice(volume)
        let backends = BlockBackend.all()
        let what = "cannot swap '\(volume.name)'"
        if backends.contains(where: { $0.device == plain.number }) {
            throw Failure(
                .busy, what, why: "its domain has the LV itself open, from before the switch was made",
                remedy:
                    "start the domain anew: it uses the switch from then on; or 'xenlvs domain prepare DOMAIN --live', which has "
                    + "it do so while it runs, or --now, which saves and restores it")
        }
        try await checkHolders(volume, plain, what)
        guard let found = try await host.switches.find(volume) else { return }
        try found.require(try host.switches.identity(volume))
        let device = try BlockDevice(at: found.path)
        if let holder = try device.holders().first {
            throw Failure(
                .busy, what, why: "the device \(holder) is built on its switch",
                remedy: "see 'lsblk' and 'dmsetup ls --tree'")
        }
        if let mount = try device.mountPoints().first {
            throw Failure(.busy, what, why: "its switch is mounted on \(mount)", remedy: "umount \(mount)")
        }
        try await checkOpeners(volume, found, guests: backends.count { $0.device == found.number }, what)
    }

    private func checkHolders(_ volume: Volume, _ plain: BlockDevice, _ what: String) async throws {
        let own = [try host.switches.identity(volume).name, try host.switches.lowerIdentity(volume).name]
        for holder in try plain.holders() {
            let name = KernelFile.read("/sys/block/\(holder)/dm/name")?.filter { !$0.isNewline }
            guard name.map(own.contains) != true else { continue }
            throw Failure(
                .busy, what, why: "the device \(name ?? holder) is built on its LV, and would go around the switch",
                remedy: "see 'lsblk' and 'dmsetup ls --tree'; remove it first")
        }
    }

    private func checkOpeners(_ volume: Volume, _ first: MappedDevice, guests: Int, _ what: String) async throws {
        if guests > 1 {
            throw Failure(
                .busy, what, why: "\(guests) disks of guests are on it", remedy: "see 'xenlvs domain list'")
        }
        let deadline = ContinuousClock.now + Self.patience
        var openCount = first.openCount
        while openCount > guests {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .busy, what, why: "its switch is open \(openCount) times, \(guests) of them by a guest",
                    remedy: "see 'lsof \(first.path)', 'xenlvs exports' and 'dmsetup ls --tree' for who else has it")
            }
            try await Task.sleep(for: .milliseconds(100))
            openCount = try await host.switches.find(volume)?.openCount ?? 0
        }
    }
}

extension BlockDevice {
    /// Throws `.failed` where its first block cannot be read past the host's memory: a guest that was led there would get
    /// errors.
    func requireReadable(doing what: String, remedy: String) async throws {
        let path = node
        do {
            try await Blocking.run("first block") {
                let device = try ComparedDevice(path, isDirect: true)
                try device.read(0, ComparedDevice.block)
            }
        } catch {
            let cause = Failure(error, doing: "cannot read \(path)")
            throw Failure(.failed, what, why: cause.description, remedy: remedy)
        }
    }
}

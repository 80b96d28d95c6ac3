import DeviceMapper
import HostModel
import Hosts
import Migration
import Storage

/// A volume with everything that is known about it.
public struct VolumeSummary: Sendable, Encodable {
    public var name: VolumeName
    /// In bytes.
    public var size: ByteCount
    /// `lv`, `file` or `attachment`.
    public var kind: String
    /// `vg0/web1`, or the file's path.
    public var place: String
    /// Its own device, where it has one now: `/dev/vg0/web1`, `/dev/loop0`.
    public var device: String?
    public var logicalVolumeUUID: String?
    /// `active`, `incoming`, `retired`, `former` or `restoring`.
    public var state: String
    /// The migration, or the volume, that goes with the state.
    public var stateDetail: String?
    public var link: LinkFacts
    /// The switch between link and volume; nil where there has to be none.
    public var deviceSwitch: SwitchFacts?
    public var uses: [VolumeUse]
    public var snapshots: [Snapshot]
    /// What is wrong with the storage; nil where it is as recorded.
    public var problem: String?
}

/// Lists volumes. Changes nothing.
public struct VolumeCatalog: Sendable {
    private let host: HostContext
    private let keeper: LinkKeeper

    public init(host: HostContext) {
        self.host = host
        keeper = LinkKeeper(host: host)
    }

    /// Every volume in the journal, by name.
    /// - Parameter asksLVM: also where the kernel has all LVs as they are recorded; LVM knows of physical volumes that are
    ///   missing.
    public func all(asksLVM: Bool) async throws -> [VolumeSummary] {
        let volumes = try host.recordedVolumes()
        let use = try await host.currentUse(
            asksLVM: volumes.contains { $0.place.logicalVolume != nil }, unlessActive: asksLVM ? nil : volumes)
        var summaries: [VolumeSummary] = []
        for volume in volumes { summaries.append(try await summary(volume, use)) }
        return summaries
    }

    /// One volume. Throws `.notFound`.
    public func volume(_ name: VolumeName) async throws -> VolumeSummary {
        guard let volume = try host.recordedVolume(name) else {
            throw Failure(.notFound, "there is no volume '\(name)'", remedy: "see 'xenlvs volume list'")
        }
        return try await summary(volume, try await host.currentUse(asksLVM: volume.place.logicalVolume != nil))
    }

    private func summary(_ volume: Volume, _ use: HostUse) async throws -> VolumeSummary {
        let plain = try await keeper.plainDevice(volume)
        let found = volume.switchGoal == nil ? nil : try await deviceSwitch(volume, use)
        let link = try host.links.read(volume.name)
        var linked: BlockDeviceNumber?
        if case .link(_, .device(_, let number)) = link { linked = number }
        return VolumeSummary(
            name: volume.name, size: volume.size, kind: volume.place.kind,
            place: volume.place.dataPath(of: volume.name), device: plain?.path,
            logicalVolumeUUID: volume.logicalVolumeUUID, state: volume.state.word, stateDetail: volume.state.detail,
            link: keeper.facts(
                volume.name, volume, use.migrations, link,
                linked: volume.switchGoal == nil ? plain?.number : try keeper.linkedDevice(volume, found)?.number),
            deviceSwitch: volume.switchGoal == nil
                ? nil
                : try await host.switches.facts(
                    volume, found, await host.switches.ends(volume, plain: plain?.number), use.migrations),
            uses: try use.uses(
                of: volume.name, at: volume.place, plain: plain, linked: linked, own: use.devices(of: volume)
            )
            .filter { $0.kind != .snapshot },
            snapshots: volume.place.logicalVolume.map(use.snapshots.of) ?? [], problem: problem(volume, use))
    }

    /// The switch, or what is in its place.
    private func deviceSwitch(_ volume: Volume, _ use: HostUse) async throws -> MappedDevice? {
        if let found = use.mapped.device(try host.switches.identity(volume)) { return found }
        return try await host.switches.find(volume)
    }

    private func problem(_ volume: Volume, _ use: HostUse) -> String? {
        switch volume.place {
        case .logicalVolume(let group, let name):
            let reference = LogicalVolumeReference(group: group, name: name)
            // A swap that was cut off may have given it its new name.
            if volume.switchGoal?.move?.stage == .decided { return nil }
            guard let found = use.logicalVolume(reference) else { return "there is no LV \(reference)" }
            do { try volume.check(found) } catch { return error.why ?? error.what }
            return found.health.map { "LVM says '\($0)'" }
        case .attachment:
            return keeper.attachmentProblem(volume)
        case .file(let directory):
            do {
                guard let size = try FilePool(directory).size(of: volume.name) else { return "there is no such file" }
                return size == volume.size
                    ? nil : "the file has \(size.bytes) bytes, recorded are \(volume.size.bytes)"
            } catch { return error.why ?? error.what }
        }
    }
}

extension VolumeState {
    /// One word, as it stands in listings.
    var word: String {
        switch self {
        case .active: "active"
        case .incoming: "incoming"
        case .retired: "retired"
        case .former: "former"
        case .restoring: "restoring"
        }
    }

    var detail: String? {
        switch self {
        case .active: nil
        case .incoming(let migration), .retired(let migration): migration
        case .former(let volume): "of \(volume)"
        case .restoring(let checkpoint): "checkpoint \(checkpoint)"
        }
    }
}

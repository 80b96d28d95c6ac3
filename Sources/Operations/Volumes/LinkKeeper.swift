import DeviceMapper
import HostModel
import Hosts
import Migration
import Storage

/// A volume's link as it stands, beside what is recorded.
public struct LinkFacts: Sendable, Encodable {
    public var name: VolumeName
    /// `/dev/xenlvs/web1`.
    public var path: String
    /// The path that the link holds; nil where there is none.
    public var target: String?
    /// The device it leads to in the end: `/dev/dm-3`.
    public var node: String?
    /// The same by its numbers: `253:3`.
    public var device: String?
    /// What the journal has for the volume, or an attachment's target; nil where it knows none of that name.
    public var recorded: String?
    public var verdict: LinkVerdict
    /// The volume's switch leads to a replica, by a swap.
    public var isOnSwappedReplica = false
    /// The verdict in words; nil where all is well.
    public var why: String?
    public var remedy: String?
}

/// Looks at the links below `/dev/xenlvs`.
public struct LinkKeeper: Sendable {
    let host: HostContext
    let store: VolumeStore

    public init(host: HostContext) {
        self.host = host
        store = VolumeStore(runner: host.runner)
    }

    /// Every link, volume and attachment, or those of one name. Changes nothing.
    /// - Throws: `.notFound` where neither link nor volume has the name.
    public func show(_ name: VolumeName? = nil) async throws -> [LinkFacts] {
        let volumes = try host.recordedVolumes()
        let attachments = try host.attachments()
        let migrations = try OpenMigration.all(in: host.database)
        var names = Set(volumes.map(\.name)).union(attachments.map(\.name)).union(try host.links.list())
        if let name {
            guard names.contains(name) else {
                throw Failure(
                    .notFound, "there is neither a volume nor a link '\(name)'", remedy: "see 'xenlvs link show'")
            }
            names = [name]
        }
        var facts: [LinkFacts] = []
        for name in names.sorted() {
            if let attachment = attachments.first(where: { $0.name == name }) {
                facts.append(try self.facts(attachment))
                continue
            }
            facts.append(try await self.facts(name, volumes.first { $0.name == name }, migrations))
        }
        return facts
    }

    func facts(_ name: VolumeName, _ volume: Volume?, _ migrations: [OpenMigration]) async throws -> LinkFacts {
        var linked: BlockDevice?
        if let volume { linked = try await linkedDevice(volume) }
        return facts(name, volume, migrations, try host.links.read(name), linked: linked?.number)
    }

    /// The same of what was looked at already.
    /// - Parameter linked: the device that the link has to lead to, where it is there.
    func facts(
        _ name: VolumeName, _ volume: Volume?, _ migrations: [OpenMigration], _ state: LinkState,
        linked: BlockDeviceNumber?
    ) -> LinkFacts {
        var facts = LinkFacts(
            name: name, path: host.links.path(of: name), recorded: volume.map(\.place.description),
            verdict: .notRecorded)
        if case .link(let target, let end) = state {
            facts.target = target
            if case .device(let node, let number) = end { (facts.node, facts.device) = (node, number.description) }
        }
        guard let volume else {
            facts.why = "there is no volume of that name"
            facts.remedy = "record it with 'xenlvs link set \(name) PATH', or remove the link"
            return facts
        }
        if case .replica = volume.switchGoal { facts.isOnSwappedReplica = true }
        let duty = LinkDuty(volume, migrations)
        facts.verdict = LinkVerdict(state, duty, plain: linked)
        (facts.why, facts.remedy) = explain(facts, state, duty)
        return facts
    }

    /// The volume's own device, where it has one now.
    func plainDevice(_ volume: Volume) async throws -> BlockDevice? {
        if let attachment = volume.place.attachment { return try? device(of: host.attachment(attachment)) }
        // A pool that is gone has no device either.
        guard let path = try? await store.presentDevice(volume.name, .data, at: volume.place) else { return nil }
        return try? BlockDevice(at: path)
    }

    /// The device that the volume's link has to lead to, where it is there now: its switch, or the volume's own.
    func linkedDevice(_ volume: Volume) async throws -> BlockDevice? {
        guard volume.switchGoal != nil else { return try await plainDevice(volume) }
        return try linkedDevice(volume, try await host.switches.find(volume))
    }

    /// The same where the switch was looked for already.
    func linkedDevice(_ volume: Volume, _ found: MappedDevice?) throws -> BlockDevice? {
        let identity = try host.switches.identity(volume)
        guard found?.identity == identity else { return nil }
        return try? BlockDevice(at: identity.path)
    }

    private func explain(_ facts: LinkFacts, _ state: LinkState, _ duty: LinkDuty) -> (String?, String?) {
        let repair = "put it back with 'xenlvs link repair \(facts.name)'"
        let target = facts.target ?? ""
        switch facts.verdict {
        case .right, .migration: return (nil, nil)
        case .onReplica, .rightlyAbsent: return (reason(duty), nil)
        case .missing: return ("there is no link", repair)
        case .dangling: return ("\(target) is not there", repair)
        case .replacedByHand:
            return (
                "it leads to \(target), recorded is \(facts.recorded ?? "nothing")",
                "\(repair), or record what it leads to with 'xenlvs link set \(facts.name) \(target)'"
            )
        case .notALink:
            if case .notALink(let kind) = state { return ("\(kind) is in its place", "move it away by hand") }
            return ("something is in its place", "move it away by hand")
        case .notRecorded: return ("there is no volume of that name", nil)
        case .mustNotBe: return (reason(duty), "remove the link by hand, once nothing uses it: rm \(facts.path)")
        }
    }

    func reason(_ duty: LinkDuty) -> String? {
        switch duty {
        case .volume: nil
        case .volumeOrReplica(let migration, _), .migration(let migration):
            "migration \(migration.id) is not finished"
        case .handedOver(let migration, _):
            "its domain belongs to \(migration.target) since migration \(migration.id)"
        case .none(let why): why
        }
    }
}

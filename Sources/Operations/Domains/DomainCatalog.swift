import Domains
import HostModel
import Hosts
import Migration
import Storage

/// A disk of a running domain, and whether it can move.
public struct DomainDiskSummary: Sendable, Encodable {
    /// The device in the guest: `xvda`.
    public var device: String
    /// What the configuration names; nil for an empty drive.
    public var path: String?
    /// The volume whose link that is.
    public var volume: VolumeName?
    /// What the link holds at the moment.
    public var leadsTo: String?
    public var isMigratable: Bool
    /// Why it cannot move, and what to do.
    public var why: String?
    public var remedy: String?
}

/// A domain of this host.
public struct DomainSummary: Sendable, Encodable {
    /// Nil for a domain that Xen knows and xenstore does not.
    public var name: String?
    public var id: UInt32
    public var state: DomainState
    /// What Xen has given it, in bytes.
    public var memory: ByteCount
    public var virtualCPUs: Int
    /// Nil while libxl keeps no configuration of it, as during a restore.
    public var type: DomainType?
    public var disks: [DomainDiskSummary]
    /// What keeps the domain from being migrated, whatever its disks are.
    public var obstacles: [String]
    public var isMigratable: Bool
}

/// Lists the domains of this host. Changes nothing.
public struct DomainCatalog: Sendable {
    private let host: HostContext

    public init(host: HostContext) { self.host = host }

    /// Every domain but the control domain, by number.
    public func all() async throws -> [DomainSummary] {
        let listing = try await host.runner.domains()
        let descriptions = try DomainDescription.parse(
            listing: try await host.runner.run(XLCommands.describe()).output)
        let keeper = LinkKeeper(host: host)
        var links: [VolumeName: LinkFacts] = [:]
        for facts in try await keeper.show() { links[facts.name] = facts }
        return listing.entries.compactMap { entry in
            entry.id.map { id in
                DomainSummary(entry, id, descriptions.first { $0.id == id }, links)
            }
        }
    }
}

extension DomainSummary {
    init(
        _ entry: DomainListEntry, _ id: DomainID, _ description: DomainDescription?, _ links: [VolumeName: LinkFacts]
    ) {
        var obstacles = description?.obstacles ?? ["Xen does not tell its configuration: its creation has not ended"]
        if entry.state != .active { obstacles.append("it is \(entry.state.rawValue), not running") }
        let disks = description.map { DomainDiskSummary.disks(of: $0, links) } ?? []
        if !disks.contains(where: { $0.volume != nil }) { obstacles.append("it has no disk on a volume") }
        self.init(
            name: entry.name, id: id.number, state: entry.state, memory: entry.memory,
            virtualCPUs: entry.virtualCPUs, type: description?.type, disks: disks, obstacles: obstacles,
            isMigratable: obstacles.isEmpty && disks.allSatisfy(\.isMigratable))
    }
}

extension DomainDiskSummary {
    /// In the configuration's order.
    static func disks(of domain: DomainDescription, _ links: [VolumeName: LinkFacts]) -> [DomainDiskSummary] {
        let assignment = DiskCheck.assign(domain)
        return domain.disks.map { disk in
            let volume = assignment.volumes.first { $0.device == disk.device }?.volume
            var summary = DomainDiskSummary(device: disk.device, path: disk.path, volume: volume, isMigratable: true)
            if let finding = assignment.findings.first(where: { $0.device == disk.device }) {
                (summary.isMigratable, summary.why, summary.remedy) = (false, finding.why, finding.remedy)
            }
            guard let volume else { return summary }
            summary.leadsTo = links[volume]?.target
            guard let link = links[volume] else {
                (summary.isMigratable, summary.why) = (false, "there is no volume and no link of that name")
                return summary
            }
            if link.isOnSwappedReplica {
                (summary.isMigratable, summary.why) = (false, "it was swapped to a replica")
                summary.remedy = "go back first: xenlvs swap \(domain.name) --to volume"
            } else if !link.verdict.isFine {
                (summary.isMigratable, summary.why, summary.remedy) = (false, link.why, link.remedy)
            } else if link.verdict != .right {
                (summary.isMigratable, summary.why) = (false, link.why ?? "a migration has it")
            }
            return summary
        }
    }
}

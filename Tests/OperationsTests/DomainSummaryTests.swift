import Domains
import HostModel
import Storage
import Testing

@testable import Operations

@Suite("Domains and their disks")
struct DomainSummaryTests {
    private func domain(_ disks: DomainDisk..., obstacles: [String] = []) throws -> DomainDescription {
        DomainDescription(
            id: DomainID(4), name: "web1", uuid: "u", type: .pv, maximumMemory: .mebibytes(96),
            targetMemory: .mebibytes(96), virtualCPUs: 1, disks: disks, obstacles: obstacles)
    }

    private func links(_ verdict: LinkVerdict, why: String? = nil) throws -> [VolumeName: LinkFacts] {
        let name = try VolumeName("web1")
        return [
            name: LinkFacts(
                name: name, path: "/dev/xenlvs/web1", target: "/dev/vg0/web1", recorded: "vg0/web1", verdict: verdict,
                why: why)
        ]
    }

    private let onLink = DomainDisk(device: "xvda", path: "/dev/xenlvs/web1")

    private func summary(
        _ description: DomainDescription?, _ links: [VolumeName: LinkFacts], _ state: DomainState = .active
    ) throws -> DomainSummary {
        let id = try #require(DomainID(4))
        let entry = DomainListEntry(id: id, name: "web1", memory: .mebibytes(96), virtualCPUs: 1, state: state)
        return DomainSummary(entry, id, description, links)
    }

    @Test("A running domain whose disks are on right links can be migrated")
    func migratable() throws {
        let summary = try summary(try domain(onLink), try links(.right))
        #expect(summary.isMigratable)
        #expect(summary.disks.first?.volume == (try VolumeName("web1")))
        #expect(summary.disks.first?.leadsTo == "/dev/vg0/web1")
    }

    @Test("A disk that names a device instead of a link keeps its domain where it is")
    func notOnALink() throws {
        let plain = DomainDisk(device: "xvdb", path: "/dev/vg0/data")
        let summary = try summary(try domain(onLink, plain), try links(.right))
        #expect(!summary.isMigratable)
        #expect(summary.disks.map(\.isMigratable) == [true, false])
        #expect(summary.disks[1].remedy?.contains("/dev/xenlvs/data") == true)
    }

    @Test("A link that was replaced by hand, or is in a migration, keeps its domain where it is")
    func wrongLink() throws {
        for verdict in [LinkVerdict.replacedByHand, .dangling, .onReplica, .migration] {
            let summary = try summary(try domain(onLink), try links(verdict, why: "because"))
            #expect(summary.disks.first?.isMigratable == false, "\(verdict)")
            #expect(summary.disks.first?.why == "because")
        }
        #expect(try summary(try domain(onLink), [:]).disks.first?.isMigratable == false)
    }

    @Test("An empty drive is no obstacle, and a domain without a volume is one")
    func drives() throws {
        let drive = DomainDisk(device: "hdc", path: nil, isCDROM: true)
        #expect(try summary(try domain(onLink, drive), try links(.right)).isMigratable)
        let none = try summary(try domain(drive), [:])
        #expect(!none.isMigratable)
        #expect(none.obstacles == ["it has no disk on a volume"])
    }

    @Test("A paused domain, and one whose creation has not ended, say why they cannot be migrated")
    func states() throws {
        #expect(
            try summary(try domain(onLink), try links(.right), .paused).obstacles == ["it is paused, not running"])
        #expect(try summary(nil, [:]).obstacles.first?.contains("creation has not ended") == true)
    }
}

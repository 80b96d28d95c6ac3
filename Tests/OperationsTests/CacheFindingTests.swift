import Domains
import HostModel
import Migration
import Replication
import Storage
import Testing

@testable import Operations

/// A guest knows from its start on whether it has to flush its disk.
@Suite("A migration between disks with and without a cache")
struct CacheFindingTests {
    private static let web1 = VolumeName(unchecked: "web1")
    private static let group = VolumeGroupName(unchecked: "vg0")

    private func survey(_ name: String, hasCache: Bool?) throws -> HostSurvey {
        let host = try HostName(name)
        return HostSurvey(
            host: host, version: "1", xen: nil, drbd: DRBDFacts(version: "8.4.11", isAvailable: true, objections: []),
            cpuFlags: [], clock: 0,
            groups: [
                GroupFacts(name: Self.group, free: .gibibytes(1), extentSize: .mebibytes(4), hasCache: hasCache)
            ], freeForImages: .gibibytes(1), numbers: NumbersInUse(), domains: [],
            volumes: [
                VolumeFacts(
                    name: Self.web1, link: "/dev/vg0/web1", linkIsWhole: true, size: .mebibytes(64), hasCache: hasCache,
                    isForeign: false, linkMatchesRecord: true, groups: [Self.group])
            ], lvmAcceptsDRBD: false, obstacles: [])
    }

    private func blocking(here: Bool?, there: Bool?, _ method: MigrationPlan.Method?) throws -> [String] {
        let description = DomainDescription(
            name: "web1", type: .pvh, maximumMemory: .mebibytes(96), targetMemory: .mebibytes(96), virtualCPUs: 1)
        let findings = Preflight(
            source: try survey("nodea", hasCache: here), target: try survey("nodeb", hasCache: there),
            subject: Preflight.Subject(
                description: description, volumes: [Self.web1],
                targetPlaces: [.logicalVolume(group: Self.group, name: LogicalVolumeName(of: Self.web1))],
                plan: method.map { MigrationPlan(method: $0, settlement: .late, comparesCopies: false) })
        ).findings()
        return findings.filter { $0.severity == .blocking && $0.what.contains("cache") }.map(\.what)
    }

    @Test("Who does not flush never comes to a disk that has to be flushed, but when it is started anew")
    func doesNotFlush() throws {
        for method in [nil, .threeFreeze, .oneFreeze, .live] as [MigrationPlan.Method?] {
            #expect(
                try blocking(here: false, there: true, method) == [
                    "the disks of 'vg0' have a cache that has to be flushed"
                ])
        }
        #expect(try blocking(here: false, there: true, .cold).isEmpty)
    }

    @Test("Who flushes never comes to a disk that takes no flushes, but when it is started anew")
    func flushes() throws {
        for method in [nil, .threeFreeze, .oneFreeze, .live] as [MigrationPlan.Method?] {
            #expect(try blocking(here: true, there: false, method) == ["the disks of 'vg0' have no cache"])
        }
        #expect(try blocking(here: true, there: false, .cold).isEmpty)
    }

    @Test("Where both are alike, or one is not known, nothing is said", arguments: [true, false, nil])
    func alike(_ here: Bool?) throws {
        #expect(try blocking(here: here, there: here, .threeFreeze).isEmpty)
        #expect(try blocking(here: here, there: nil, .threeFreeze).isEmpty)
    }
}
